"""The public names: lazy, complete, and unforgiving of typos."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import praesepe
from praesepe.lazy import EXTRAS, extras


@pytest.mark.parametrize("name", praesepe.__all__)
def test_every_public_name_loads(name: str) -> None:
    assert getattr(praesepe, name) is not None
    assert name in dir(praesepe)


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("Simulater", "Simulator"), ("load_surveys", "load_survey"), ("estimator", "Estimator")],
)
def test_a_typo_names_the_nearest(typo: str, meant: str) -> None:
    with pytest.raises(AttributeError, match=f"{typo!r}.*Did you mean '{meant}'"):
        getattr(praesepe, typo)


def test_a_stranger_gets_the_list() -> None:
    with pytest.raises(AttributeError, match=r"Public names: Catalog, .*train"):
        praesepe.zzzzzz  # noqa: B018


def test_from_import_of_a_typo_fails() -> None:
    with pytest.raises(ImportError):
        exec("from praesepe import Simulater")


def test_only_public_names_are_listed() -> None:
    assert dir(praesepe) == sorted(praesepe.__all__)


def test_the_version_is_one(repository: Path) -> None:
    assert f'version: "{praesepe.__version__}"' in (repository / "CITATION.cff").read_text()
    assert f"## {praesepe.__version__}" in (repository / "CHANGELOG.md").read_text()


def normal(name: str) -> str:
    """A distribution's name as the index spells it."""
    return re.sub("[-_.]+", "-", name).lower()


def requirements(repository: Path) -> dict[str, list[str]]:
    """Distributions that the core (``""``) and each extra name themselves."""
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {
        group: [normal(name.split(">=")[0]) for name in names if not name.startswith("praesepe[")]
        for group, names in groups.items()
    }


def pins(repository: Path, file: str) -> dict[str, str]:
    """Distribution: version, from a file of constraints."""
    lines = (repository / file).read_text().splitlines()
    pinned = [line for line in lines if line and not line.startswith("#")]
    assert all(line.count("==") == 1 and "+" not in line for line in pinned)
    return {normal(name): version for name, version in (line.split("==") for line in pinned)}


def test_constraints_pin_what_the_project_needs(repository: Path) -> None:
    needed = {name for names in requirements(repository).values() for name in names}
    assert needed <= set(pins(repository, "constraints.txt"))


def test_lowest_versions_are_those_that_the_project_allows(repository: Path) -> None:
    spec = importlib.util.spec_from_file_location("low", repository / "tools/lowest_versions.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    lowest = tool.lowest_versions(repository / "pyproject.toml")
    named = requirements(repository)
    wanted = {name for extra in ("", *EXTRAS) for name in named[extra]} - {"torch"}
    assert {normal(name) for name in lowest} == wanted
    assert all(re.fullmatch(r"[0-9.]+", version) for version in lowest.values())


def test_all_is_every_extra_that_a_user_may_want(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["all"] == [f"praesepe[{','.join(EXTRAS)}]"]


def test_the_code_knows_what_each_extra_brings(repository: Path) -> None:
    """The message for a missing library names an extra that has it."""
    named = requirements(repository)
    distributions = {"sedpy": "astro-sedpy"}
    for extra, libraries in EXTRAS.items():
        brought = {normal(distributions.get(library, library)) for library in libraries}
        assert brought <= set(named[extra])
        # What several extras need is told with one of them.
        assert set(named[extra]) - brought <= {"astro-sedpy", "astropy", "scipy"}


def test_a_missing_library_names_its_extra(run_python: Callable[..., Any]) -> None:
    finished = run_python(
        "import sys; sys.modules['astropy'] = None\n"
        "import praesepe\n"
        "try: praesepe.Mosaic\n"
        "except praesepe.errors.MissingDependencyError as error: print(error)"
    )
    assert finished.stdout.startswith("astropy is not installed; it comes with: pip install"), (
        finished.stderr
    )
    assert "'praesepe[images]'" in finished.stdout


def test_other_missing_modules_are_told_as_they_are() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"), extras():
        import no_such_module  # noqa: F401
