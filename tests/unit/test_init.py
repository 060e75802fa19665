"""The public names: lazy, complete, and unforgiving of typos."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import praesepe


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
    with pytest.raises(AttributeError, match=r"Public names: Estimator, .*train"):
        praesepe.zzzzzz  # noqa: B018


def test_from_import_of_a_typo_fails() -> None:
    with pytest.raises(ImportError):
        exec("from praesepe import Simulater")


def test_only_public_names_are_listed() -> None:
    assert dir(praesepe) == sorted(praesepe.__all__)


def test_the_version_is_one(repository: Path) -> None:
    assert f'version: "{praesepe.__version__}"' in (repository / "CITATION.cff").read_text()
    assert f"## {praesepe.__version__}" in (repository / "CHANGELOG.md").read_text()


def test_constraints_pin_what_the_project_needs(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    needed = {
        requirement.split(">=")[0].lower().replace("_", "-")
        for requirement in [*project["dependencies"], *(name for extra in extras for name in extra)]
    }
    pins = [
        line
        for line in (repository / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert all(line.count("==") == 1 and "+" not in line for line in pins)
    assert needed <= {line.split("==")[0].lower().replace("_", "-") for line in pins}
