"""The architecture: a bare GPU node needs no heavy library, and code comes in short pieces.

That imports go down only is import-linter's task (`make lint`).
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

HEAVY = (
    "astropy",
    "reproject",
    "sedpy",
    "dust_extinction",
    "scipy",
    "matplotlib",
    "typer",
    "rich",
    "h5py",
    "pyarrow",
    "tensorboard",
    "pandas",
    "dask",
    "zarr",
    "galsim",
)

# In lines; a function's docstring does not count.
LONGEST_FUNCTION = 75
LONGEST_MODULE = 500


def modules(package: Path) -> dict[str, Path]:
    """Dotted names below the package, e.g. ``sky.psf``: their files."""
    names = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if len(parts) > 1 and parts[-1] == "__init__":
            parts = parts[:-1]
        names[".".join(parts)] = path
    return names


@pytest.fixture(scope="module")
def package(repository: Path) -> Path:
    return repository / "src" / "praesepe"


def heavy_after(run_python: Callable[..., object], names: Iterable[str]) -> set[str]:
    """Heavy libraries that a fresh interpreter has loaded after importing the named modules."""
    code = (
        "import importlib, sys\n"
        f"for name in {list(names)!r}: importlib.import_module(name)\n"
        f"print(*(set({HEAVY!r}) & set(sys.modules)))"
    )
    finished = run_python(code)
    assert finished.returncode == 0, finished.stderr
    return set(finished.stdout.split())


def test_training_and_inference_import_nothing_heavy(
    package: Path, run_python: Callable[..., object]
) -> None:
    # `inference` works on FITS images and is left out: `images` may import astropy.
    bare = {"errors", "quantities", "survey", "stars", "sky", "network", "training", "evaluation"}
    names = [f"praesepe.{name}" for name in modules(package) if name.split(".")[0] in bare]
    assert {f"praesepe.{name}" for name in bare} <= set(names)
    # What the four allowed libraries load by themselves is their affair.
    allowed = heavy_after(run_python, ["numpy", "torch", "zuko", "pydantic", "safetensors.torch"])
    assert heavy_after(run_python, names) - allowed == set()


def test_a_heavy_import_is_found(run_python: Callable[..., object]) -> None:
    assert "scipy" in heavy_after(run_python, ["praesepe", "scipy.special"])


def test_importing_the_package_loads_nothing(run_python: Callable[..., object]) -> None:
    finished = run_python("import sys, praesepe; print({'numpy', 'torch'} & set(sys.modules))")
    assert finished.stdout.strip() == "set()", finished.stderr


def length(node: ast.stmt) -> int:
    """Lines that a statement spans."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def too_long(package: Path) -> list[str]:
    """Functions and modules that are longer than agreed."""
    found = []
    for name, path in modules(package).items():
        text = path.read_text(encoding="utf-8")
        if len(text.splitlines()) > LONGEST_MODULE:
            found.append(f"{name}: {len(text.splitlines())} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = length(node) - (length(node.body[0]) if ast.get_docstring(node) else 0)
                if lines > LONGEST_FUNCTION:
                    found.append(f"{name}.{node.name}: {lines} lines")
    return found


def test_functions_and_modules_are_short(package: Path) -> None:
    assert too_long(package) == []


def test_a_long_function_is_found(tmp_path: Path) -> None:
    body = "\n".join(["def f():", '    """Say."""', *["    pass"] * LONGEST_FUNCTION])
    (tmp_path / "survey.py").write_text(body, encoding="utf-8")
    assert too_long(tmp_path) == ["survey.f: 76 lines"]


def reached_into(path: Path) -> list[str]:
    """Private names of other modules that a file imports, or reads from what it imports.

    A test may import those of the module that it is named after, and replace others for a while.
    """
    tree, imported, found = ast.parse(path.read_text(encoding="utf-8")), set(), []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("praesepe"):
            imported |= {one.asname or one.name for one in node.names}
            if path.stem != f"test_{str(node.module).rpartition('.')[2]}":
                found += [one.name for one in node.names if re.match("_[^_]", one.name)]
    if not path.stem.startswith("test_"):
        read = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        named = {ast.unparse(node): node for node in read if re.match("_[^_]", node.attr)}
        found += [name for name, node in named.items() if ast.unparse(node.value) in imported]
    return [f"{path}: {name}" for name in found]


def test_no_module_reaches_into_the_private_names_of_another(
    package: Path, repository: Path
) -> None:
    paths = [*package.rglob("*.py"), *(repository / "tests").rglob("*.py")]
    assert [name for path in paths for name in reached_into(path)] == []


def test_reaching_into_private_names_is_found(tmp_path: Path) -> None:
    text = "from praesepe.sky import psf, _inner\nprint(psf._outer)"
    (tmp_path / "a.py").write_text(text, encoding="utf-8")
    assert [one.split(": ")[1] for one in reached_into(tmp_path / "a.py")] == [
        "_inner",
        "psf._outer",
    ]


def test_every_folder_with_code_is_a_package(package: Path) -> None:
    folders = {path.parent for path in package.rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_no_module_has_the_name_of_a_public_function(package: Path) -> None:
    """Of its package's, or of its own; a verb of the command line may have a module of its name."""
    found = []
    for name, path in modules(package).items():
        home, _, stem = f"praesepe.{name}".rpartition(".")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        public = set(dir(importlib.import_module(home))) if home.count(".") else set()
        face = {one for one in public if not inspect.ismodule(getattr(sys.modules[home], one))}
        if stem in face or (stem in defined and not home.startswith("praesepe.cli")):
            found.append(name)
    assert found == []


def test_every_module_says_what_it_is(package: Path) -> None:
    silent = [
        name
        for name, path in modules(package).items()
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []
