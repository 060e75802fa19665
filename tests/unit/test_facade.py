"""Every public object says what it is, and every public name is documented."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS

import praesepe
from praesepe.mocks.places import Removed
from praesepe.mocks.stamps import MockSet
from praesepe.report.demo import Demonstration
from praesepe.training import Labelled

LONGEST = 500
ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")

PUBLIC = [name for name in praesepe.__all__ if name != "__version__"]


def documented_parts(thing: Any) -> Iterator[tuple[str, Any]]:
    """A public function; or a class and its public methods."""
    yield getattr(thing, "__name__", str(thing)), thing
    if inspect.isclass(thing):
        for name, part in vars(thing).items():
            if name.startswith("_"):
                continue
            if isinstance(part, property):
                part = part.fget
            if isinstance(part, classmethod | staticmethod):
                part = part.__func__
            if inspect.isfunction(part):
                yield f"{thing.__name__}.{name}", part


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_documented(name: str) -> None:
    """Numpydoc: one sentence, and for functions every parameter and what comes back."""
    thing = getattr(praesepe, name)
    for label, part in documented_parts(thing):
        text = inspect.getdoc(part) or ""
        assert text.split("\n")[0].rstrip().endswith((".", "?")), label
        if part is not thing or inspect.isclass(thing):
            continue
        taken = list(inspect.signature(part).parameters)
        if taken:
            assert re.search(r"^Parameters\n-{10}$", text, re.M), label
        described = set(re.findall(r"\w+", text))
        missing = [one for one in taken if one not in described]
        assert missing == [], label
        if inspect.signature(part).return_annotation in ("None", None):
            continue
        assert re.search(r"^(Returns\n-{7}|Yields\n-{6})$", text, re.M), label


PACKAGES = [one.name for one in pkgutil.walk_packages(praesepe.__path__, "praesepe.") if one.ispkg]


@pytest.mark.parametrize("name", PACKAGES)
def test_packages_show_their_public_names_alone(name: str) -> None:
    package = importlib.import_module(name)
    shown = dir(package)
    assert shown
    assert shown == sorted(shown)
    assert not {"Any", "TYPE_CHECKING", "annotations", "lazy_names", "sys"} & set(shown)
    for one in shown:
        assert getattr(package, one).__doc__, one


def test_every_command_has_its_function() -> None:
    """What the command line has, Python has: commands and functions, by their names."""
    from praesepe.cli.app import COMMANDS, GROUPS

    functions = {
        "check": ["check"],
        "demo": ["run_demo"],
        "evaluate": ["evaluate"],
        "fields build": ["build_fields"],
        "mosaic": ["simulate_mosaic"],
        "predict": ["predict"],
        "simulate": ["simulate"],
        "stars import": ["import_isochrones"],
        "stars list": ["isochrone_names"],
        "stars show": ["load_isochrones", "load_passband", "figure_stellar_model"],
        "survey init": ["init_survey"],
        "survey list": ["survey_names"],
        "survey show": ["load_survey", "check_survey"],
        "survey upgrade": ["upgrade_survey"],
        "train": ["train", "read_labelled"],
    }
    groups = {f"{group} {name}" for group, (_, names) in GROUPS.items() for name in names}
    assert set(functions) == set(COMMANDS) | groups
    assert {one for some in functions.values() for one in some} <= set(praesepe.__all__)


def test_a_mosaic_is_taken_wherever_images_are() -> None:
    """For type checkers too."""
    for verb in (praesepe.predict, praesepe.check, praesepe.build_fields):
        taken = inspect.signature(verb).parameters["images"].annotation
        assert taken == "Mapping[str, Any] | Mosaic", verb


def test_commands_share_their_options() -> None:
    """What one command of a kind can be told, the others can."""
    from typer.main import get_command

    from praesepe.cli.app import app

    groups = get_command(app).commands  # type: ignore[attr-defined]
    commands = {
        f"{group} {name}": command
        for group, one in groups.items()
        for name, command in getattr(one, "commands", {"": one}).items()
    }
    options = {name: {o for p in one.params for o in p.opts} for name, one in commands.items()}
    reads_images = {"--image", "--unit", "--zero-point", "--no-wcs", "--catalog", "--x", "--y"}
    for name, words in options.items():
        if "--image" in words:
            assert words >= reads_images, name
        if words & {"--seed", "--device"}:
            assert {"--seed", "--threads", "--out"} <= words, name
        if words & {"--out", "--like"} and "--resume" not in words:
            assert "--overwrite" in words, name
        assert "--verbose" in words, name
    assert "--threads" in options["check "]
    assert {"--model", "--n"} <= options["demo "]


def stamps(n: int) -> np.ndarray:
    return np.random.default_rng(3).normal(0.05, 0.01, (n, 3, 64, 64)).astype("f4")


@pytest.fixture(scope="module")
def objects() -> dict[str, Any]:
    """One of each public class, and what the verbs return."""
    survey = praesepe.load_survey("phat")
    estimator = praesepe.Estimator.load("phat")
    plane = np.zeros((96, 96), dtype="f4")
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crpix, wcs.wcs.crval = [48, 48], [11.0, 41.0]
    wcs.wcs.cdelt = [-0.05 / 3600, 0.05 / 3600]
    images = dict.fromkeys(survey.band_names, (plane + 0.05, wcs))
    mosaic = praesepe.Mosaic.read(images, survey)
    catalog = {"ra": [11.0], "dec": [41.0]}
    small = survey.with_values(
        observation={"bands": survey.bands[1:2]},
        clusters={"log_mass": (2.0, 3.0), "rh_arcsec": (0.1, 0.4), "center_shift_px": 1},
        network={"stamp_size": 16},
    )
    simulator = praesepe.Simulator(small, seed=1, n_fields=0)
    training = praesepe.train(small, steps=1, encoder="tiny", batch_size=4, valid_size=4)
    evaluation = praesepe.evaluate(training.estimator, n=8, seed=5, n_samples=4)
    grid = praesepe.load_isochrones("sse")
    return {
        "training": training,
        "evaluation": evaluation,
        "recovery": evaluation.recovery,
        "demonstration": Demonstration(
            {}, *[Path("file")] * 5, measured=Table(catalog), evaluation=evaluation
        ),
        "grid": grid,
        "isochrone": grid.isochrone(0, 0),
        "passband": praesepe.load_passband("acs_wfc_f814w"),
        "survey": survey,
        "band": survey.bands[0],
        "estimator": estimator,
        "posterior": estimator.predict(stamps(3)),
        "mosaic": mosaic,
        "simulator": simulator,
        "clusters": (clusters := simulator.sample(300)),
        "population": simulator.populate(clusters),
        "mocks": simulator.observe({"log_age": 9.0, "log_mass": 3.0, "log_rh": -0.5}, n=2),
        "result": praesepe.predict(estimator, mosaic, Table(catalog)),
        "catalog": praesepe.Catalog.read(Table(catalog)),
        "flag": praesepe.Flag.EDGE,
        "labelled": Labelled(stamps(20), np.zeros((20, 3), "f4")),
        "simulated stamps": praesepe.SimulatedStamps(MockSet(survey, 1, True, 2)),
        "simulated mosaic": praesepe.SimulatedMosaic(survey, images, Table(catalog)),
        "card": estimator.card,
        "field pool": praesepe.Simulator(
            small, seed=1, n_fields=1, tables=simulator.tables
        ).field_pool,
        "injected": praesepe.inject(
            simulator, np.zeros((2, 1, 16, 16)) + 0.05, simulator.sample(2)
        ),
        "sampler": simulator.stars,
        "massive sampler": simulator.cluster_stars,
        "tables": simulator.tables,
        "star fields": praesepe.StarFields(Path("fields"), 3, Removed(9, 2, 2, 2, 3)),
    }


NAMES = (
    "band", "card", "catalog", "clusters", "demonstration", "estimator", "evaluation",
    "field pool", "flag", "grid", "injected", "isochrone", "labelled", "massive sampler", "mocks",
    "mosaic", "passband", "population", "posterior", "recovery", "result", "sampler",
    "simulated mosaic", "simulated stamps", "simulator", "star fields", "survey", "tables",
    "training",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_repr_says_what_an_object_is(objects: dict[str, Any], name: str) -> None:
    text = repr(objects[name])
    assert not ADDRESS.search(text), text
    assert len(text) <= LONGEST, text[:LONGEST]
    assert "\n" not in text
    assert type(objects[name]).__name__ in text
