"""The architecture: layers import downwards only, and a bare GPU node needs no heavy library."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

LAYERS = (
    {"errors", "parameters", "survey"},
    {"stars", "sky", "images", "network"},
    {
        "train",
        "schedule",
        "labelled",
        "predict",
        "samples",
        "scan",
        "evaluate",
        "mocks",
        "mock_files",
        "mock_mosaics",
        "starfields",
        "clean_places",
        "star_plots",
        "sky_plots",
        "photometry",
        "plots",
        "report",
        "distributed",
    },
    {
        "__init__",
        "__main__",
        "cli",
        "cli_common",
        "cli_sky",
        "cli_stars",
        "cli_survey",
        "screen",
        "viewer",
        "demo",
    },
)
LAYER_OF = {part: number for number, parts in enumerate(LAYERS) for part in parts}

# Within layer 1 a package imports only itself; the sky is made of stars.
SIDEWAYS = {("sky", "stars")}

HEAVY = (
    "astropy",
    "reproject",
    "regions",
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


def imported(name: str, path: Path) -> Iterable[tuple[int, str]]:
    """Line and dotted name, below the package, of everything of praesepe that a module imports."""
    is_package = path.name == "__init__.py"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = ["praesepe", *([] if name == "__init__" else name.split("."))]
                up = here[: len(here) - node.level + is_package]
                base = ".".join([*up, *([node.module] if node.module else [])])
            targets = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            head, _, rest = target.partition(".")
            if head == "praesepe":
                yield node.lineno, rest or "__init__"


def violations(package: Path) -> list[str]:
    """Imports that go up, or sideways within layer 1, and modules that have no layer."""
    known = modules(package)
    found = [
        f"{name}: give it a layer in tests/unit/test_layers.py"
        for name in known
        if name.split(".")[0] not in LAYER_OF
    ]
    for name, path in known.items():
        part = name.split(".")[0]
        layer = LAYER_OF.get(part)
        for line, target in imported(name, path):
            other = target.split(".")[0]
            if other == "__version__":
                continue  # a package's own file is always loaded before its modules
            if other not in LAYER_OF:
                other = "__init__"  # `from praesepe import Survey`: a name of the façade
            if layer is None or other == part:
                continue
            goes_up = LAYER_OF[other] > layer
            sideways = LAYER_OF[other] == layer == 1 and (part, other) not in SIDEWAYS
            if goes_up or sideways:
                found.append(f"{path.name}:{line}: {name} (layer {layer}) imports {target}")
    return found


@pytest.fixture(scope="module")
def package(repository: Path) -> Path:
    return repository / "src" / "praesepe"


def test_imports_go_down_only(package: Path) -> None:
    assert violations(package) == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("survey.py", "from praesepe.stars import imf"),
        ("sky/psf.py", "from praesepe.images.mosaic import read_mosaic"),
        ("images/mosaic.py", "import praesepe.network.estimator"),
        ("network/heads.py", "from praesepe.sky import psf"),
        ("stars/imf.py", "from ..sky.psf import band_psf"),
        ("stars/imf.py", "from praesepe import sky"),
        ("network/estimator.py", "def f():\n    from praesepe.train import train"),
        ("predict.py", "from praesepe import cli"),
        ("predict.py", "from . import demo"),
        ("predict.py", "from praesepe import Survey"),
        ("misplaced.py", "import numpy"),
    ],
)
def test_a_wrong_import_is_found(tmp_path: Path, name: str, line: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(line + "\n", encoding="utf-8")
    assert len(violations(tmp_path)) == 1


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("sky/render.py", "from praesepe.stars.imf import KROUPA2001"),
        ("sky/render.py", "from .psf import band_psf"),
        ("sky/__init__.py", "from .psf import band_psf"),
        ("sky/__init__.py", "from praesepe.sky import psf"),
        ("survey.py", "from .errors import InputError"),
        ("survey.py", "from . import errors"),
        ("evaluate.py", "from praesepe.predict import predict"),
        ("network/estimator.py", "from praesepe import __version__"),
        ("cli.py", "from praesepe import demo, predict, train"),
    ],
)
def test_a_right_import_passes(tmp_path: Path, name: str, line: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(line + "\n", encoding="utf-8")
    assert violations(tmp_path) == []


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
    # `predict` works on FITS images and is left out: `images` may import astropy.
    bare = {"errors", "parameters", "survey", "stars", "sky", "network", "train", "evaluate"}
    names = [f"praesepe.{name}" for name in modules(package) if name.split(".")[0] in bare]
    assert {f"praesepe.{name}" for name in bare - {"stars", "sky", "network"}} <= set(names)
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


def test_every_folder_with_code_is_a_package(package: Path) -> None:
    folders = {path.parent for path in package.rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_every_module_says_what_it_is(package: Path) -> None:
    silent = [
        name
        for name, path in modules(package).items()
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []
