"""Errors say what was given, what is allowed and what to do; they travel between processes."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from astropy.table import Table

import praesepe
from praesepe.cli.common import as_options
from praesepe.errors import InputError, already_exists, listed, reason, refuse_unused, unknown
from praesepe.images.catalog.tables import READ_SUFFIXES
from praesepe.mocks.sets import SUFFIXES
from praesepe.plots.posterior import plot_posterior
from praesepe.plots.stamps import color_scale, rgb


def test_the_message_is_made_of_what_the_error_carries() -> None:
    assert str(InputError("plain")) == "plain"
    error = InputError(
        "no unit", given="", allowed="Jy", remedy="give one", code="units={'A': 'B'}"
    )
    assert str(error) == "no unit; give one (units={'A': 'B'})"
    assert error.text(as_options) == "no unit; give one (--unit A=B)"
    assert error.text(lambda _: "") == "no unit; give one"
    assert str(InputError("A sentence.", remedy="Do this")) == "A sentence. Do this"


@pytest.mark.parametrize(
    "error",
    [
        InputError("plain"),
        InputError("wrong", given=3, allowed=(1, 2), remedy="give 1", code="n=1"),
        unknown("survey", "phatt", ["phat"], "Write one."),
        already_exists(Path("a.fits")),
    ],
)
def test_an_error_comes_back_from_a_worker(error: InputError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is InputError
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_unknown_names() -> None:
    error = unknown("survey", "phatt", ["phat", "m83"], "Write one.")
    assert str(error) == "unknown survey 'phatt'. Did you mean 'phat'? Allowed: 'phat', 'm83'. " + (
        "Write one."
    )
    assert (error.given, error.allowed) == ("phatt", ("phat", "m83"))


def test_names_as_a_sentence() -> None:
    assert listed(["F336W", "F475W", "F814W"]) == "F336W, F475W and F814W"
    assert listed(["F336W", "F475W"], "or") == "F336W or F475W"
    assert listed(["F336W"]) == listed("F336W") == "F336W"
    assert listed([]) == "none"
    assert listed(3) == "3"


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("overwrite=True", "--overwrite"),
        ("units={'F475W': 'Jy', 'F814W': 'Jy'}", "--unit F475W=Jy --unit F814W=Jy"),
        ("n=3, edge_px=2", "--n 3 --edge 2"),
        ("praesepe.import_isochrones(files, name=…)", "praesepe stars import FILE --name "),
        ("praesepe.init_survey('m83.toml')", "praesepe survey init m83.toml"),
        ("praesepe.build_fields(…)", "praesepe fields build"),
        ("praesepe.unheard_of(1)", ""),
        ("keep='draws', or samples='a.parquet'", ""),
    ],
)
def test_python_in_the_words_of_the_command_line(code: str, options: str) -> None:
    assert as_options(code).startswith(options)
    assert bool(as_options(code)) == bool(options)


@cache
def _modules(repository: Path) -> list[tuple[Path, ast.Module]]:
    paths = sorted((repository / "src" / "praesepe").rglob("*.py"))
    return [(path, ast.parse(path.read_text())) for path in paths]


def _strings(repository: Path) -> Iterator[tuple[Path, ast.Constant, str | None]]:
    """Every text in the library and the keyword that it is given for."""
    for path, tree in _modules(repository):
        if "cli" in path.parts:
            continue
        keywords = {
            id(word.value): word.arg
            for call in ast.walk(tree)
            if isinstance(call, ast.Call)
            for word in call.keywords
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path, node, keywords.get(id(node))


def test_only_the_command_line_names_its_options(repository: Path) -> None:
    """The demonstration records a command line, which is no message."""
    named = [
        f"{path}:{node.lineno}"
        for path, node, _ in _strings(repository)
        if re.search("--[a-z]", node.value) and path.name != "demo.py"
    ]
    assert named == []


def test_errors_carry_what_was_given_and_what_helps(repository: Path) -> None:
    """Every one, of the command line too; the helpers of `praesepe.errors` do by themselves."""
    without = [
        f"{path}:{call.lineno}"
        for path, tree in _modules(repository)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) in ("InputError", "errors.InputError")
        and not {"given"} < {word.arg for word in call.keywords} - {"code"}
    ]
    assert without == []


CAUGHT = {"unpack", "_number", "_check", "check_ages", "check_metallicities", "read_text"}
CAUGHT |= {"_refuse_constant"}
"""Functions whose ValueError is caught by what calls them, and told by an `InputError`."""


def _bare_raises(node: ast.AST, *, caught: bool = False) -> Iterator[int]:
    """Lines that raise Python's own errors of values where nothing catches them."""
    if isinstance(node, ast.FunctionDef):
        marks = " ".join(ast.unparse(one) for one in node.decorator_list)
        caught |= "_validator" in marks or node.name in CAUGHT
    if isinstance(node, ast.Raise) and node.exc is not None and not caught:
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        if ast.unparse(raised) in ("ValueError", "TypeError"):
            yield node.lineno
    catches = isinstance(node, ast.Try) and any(
        one.type is not None and "ValueError" in ast.unparse(one.type) for one in node.handlers
    )
    for child in ast.iter_child_nodes(node):
        inside = catches and isinstance(child, ast.stmt) and child in node.body  # type: ignore
        yield from _bare_raises(child, caught=caught or inside)


def test_no_error_of_python_itself_is_raised(repository: Path) -> None:
    """Pydantic's validators may, and what is caught in the same function."""
    found = [f"{path}:{line}" for path, tree in _modules(repository) for line in _bare_raises(tree)]
    assert found == []


SURVEY = praesepe.load_survey("phat")
PHAT = SURVEY.band_names
POSTERIOR = praesepe.Posterior(np.zeros((1, 4, 3), "f4"), np.zeros(1, "f4"), lambda x: x[:, 0])
TABLE = {"ra": [10.0], "dec": [41.0], "xc": [5.0], "yc": [5.0]}


def _arrays(**shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {band: np.ones(shapes.get(band, (9, 9)), np.float32) for band in PHAT}


@pytest.mark.parametrize(
    ("call", "given", "allowed", "remedy"),
    [
        (lambda _: praesepe.load_survey("phatt"), "phatt", praesepe.survey_names(), "Or give"),
        (lambda f: praesepe.load_survey(f / "a.toml"), "a.toml", None, "write one to start from"),
        (lambda _: SURVEY.with_values(galaxy={"distance": 1}), {"galaxy.distance": 1},
         {"galaxy.distance": tuple(type(SURVEY.galaxy).model_fields)}, ""),
        (lambda _: SURVEY.with_values(galaxy={"distance_pc": -1.0}),
         {"galaxy.distance_pc": -1.0}, {"galaxy.distance_pc": "Input should be greater than 0"},
         ""),
        (lambda f: praesepe.init_survey(f / "a.txt"), ".txt", (".toml",), ""),
        (lambda _: praesepe.Catalog.read(Table(TABLE), x="xc", y="yc"), None, (0, 1), "give 1"),
        (lambda _: praesepe.Catalog.read(Table(TABLE), origin=2), 2, (0, 1), "it is"),
        (lambda f: praesepe.Catalog.read(f / "a.doc"), "a.doc", READ_SUFFIXES, ""),
        (lambda _: praesepe.Mosaic.read(_arrays(F336W=(9, 8)), "phat"),
         {"F336W": (9, 8), "F475W": (9, 9), "F814W": (9, 9)}, "the same for all bands", ""),
        (lambda _: praesepe.Mosaic.read({"F475W": np.ones((9, 9))}, "phat"), ("F475W",), PHAT,
         "Give exactly one image"),
        (lambda _: praesepe.simulate("phat", n=0), 0, "a whole number, at least 1", ""),
        (lambda f: praesepe.simulate("phat", n=1, out=f / "a.png"), ".png", SUFFIXES, "for a fold"),
        (lambda f: praesepe.simulate("phat", n=600, out=f / "a", shards=9), 9,
         "1 to 3: 600 clusters are 3 blocks of 256, and a shard holds whole ones", ""),
        (lambda _: praesepe.simulate_mosaic("phat", n=1, size=10), 10,
         "at least 64, so that it holds a stamp", "make the m"),
        (lambda f: praesepe.train("phat", out=f / "a"), (None, None), None, "give either minutes"),
        (lambda _: praesepe.load_isochrones().nearest_metallicity(0.5), 0.5, (0.0002, 0.03), ""),
        (lambda f: praesepe.import_isochrones([f / "a"], name="sse"), "sse", None, "choose anoth"),
        (lambda f: praesepe.read_samples(f / "a.parquet"), "a.parquet", None, "correct its path"),
        (lambda _: praesepe.Estimator.load("phat").predict(np.ones((1, 3, 8, 8))), (1, 3, 8, 8),
         ("n", 3, 64, 64), ""),
    ],
)  # fmt: skip
def test_what_errors_of_the_library_carry(
    tmp_path: Path, call: Callable[[Path], object], given: object, allowed: object, remedy: str
) -> None:
    with pytest.raises(InputError) as found:
        call(tmp_path)
    error = found.value
    carried = error.given
    assert (Path(carried).name if str(tmp_path) in str(carried) else carried) == given
    assert error.allowed == allowed
    assert error.remedy.startswith(remedy)
    assert bool(error.remedy) == bool(remedy)
    assert str(error).endswith((error.remedy, f"({error.code})"))


def test_an_error_says_where_it_was_met() -> None:
    error = InputError("no unit", given="", allowed="Jy", remedy="give one").at("band 'A'")
    assert str(error) == "band 'A': no unit; give one"
    assert (error.given, error.allowed) == ("", "Jy")


def test_what_errors_advise_is_an_option(repository: Path) -> None:
    """Every ``code=`` of the library has an option or a command, and the option is there."""
    from typer.main import get_command

    from praesepe.cli.app import app

    def options(command: object) -> set[str]:
        found = {name for one in command.params for name in one.opts}  # type: ignore[attr-defined]
        for child in getattr(command, "commands", {}).values():
            found |= options(child)
        return found

    known = options(get_command(app))
    codes = [node.value for _, node, keyword in _strings(repository) if keyword == "code"]
    assert codes
    for code in codes:
        words = as_options(code).split()
        assert {word for word in words if word.startswith("--")} <= known, code
        assert words or "(" in code or ", or " in code, code  # some are for Python alone


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("No SIMPLE card found. If it is FITS, try ignore_missing_simple=True",
         "No SIMPLE card found"),
        ("the number of columns changed from 2 to 3; use `usecols` to select a subset",
         "the number of columns changed from 2 to 3"),
        ("This file contains pickled (object) data. If you trust it use the allow_pickle= keyword",
         "This file contains pickled (object) data"),
        ("Multiple tables found: the table_id= argument is needed", "ValueError"),
        ("3 errors\n  see https://errors.example", "ValueError"),
        ("", "ValueError"),
    ],
)  # fmt: skip
def test_what_a_library_says_without_its_advice(said, kept):
    assert reason(ValueError(said)) == kept


def test_options_without_a_use_are_named():
    refuse_unused("nothing is read", x=None, origin=None, units={}, allow_no_wcs=False)
    with pytest.raises(
        InputError, match=r"x and origin would be ignored: nothing is read"
    ) as found:
        refuse_unused("nothing is read", x="xc", y=None, origin=0)
    assert "(x='xc', origin=0)" in str(found.value)


def test_no_option_is_ignored(tmp_path):
    """Of the library and of the command line, each before any work."""
    from praesepe.cli.common import ImagePixels, Images
    from praesepe.cli.models import annotated
    from praesepe.images import Mosaic
    from praesepe.images.units.headers import Headers
    from praesepe.images.units.zero_points import calibrate
    from praesepe.mocks.fields import build_fields
    from praesepe.mocks.mosaic_files import simulate_mosaic
    from praesepe.mocks.sets import simulate
    from praesepe.survey import load_survey

    phat = load_survey("phat")
    header = Headers([{"BUNIT": "MJy/sr", "PIXAR_SR": 2e-14}], "a.fits")
    moved = Mosaic(phat, {"F475W": SimpleNamespace(reprojected=True)}, None, (9, 9), 0.05)
    cases = {
        "x and y": lambda: simulate_mosaic(phat, n=1, x="a", y="b"),
        "origin": lambda: build_fields(phat, {}, out=tmp_path / "f", origin=0),
        "exclude_radius": lambda: build_fields(phat, {}, out=tmp_path, exclude_radius_arcsec=1.0),
        "format": lambda: simulate(phat, n=1, format="zarr"),
        "columns": lambda: annotated(phat, None, Images(), ImagePixels(columns="a,b")),
        "units": lambda: annotated(phat, None, Images(unit=["F475W=Jy"]), ImagePixels()),
        "allow_no_wcs": lambda: annotated(phat, None, Images(no_wcs=True), ImagePixels()),
        "the one given, 26,": lambda: calibrate(
            header, zero_point_ab=26.0, survey_zero_point_ab=25.0
        ),
        "reproject": lambda: Mosaic.read(moved, phat, reproject="never"),
    }
    for named, call in cases.items():
        with pytest.raises(InputError, match=f"{named}.* would be ignored"):
            call()


@pytest.fixture(scope="module")
def simulator() -> praesepe.Simulator:
    return praesepe.Simulator("phat", n_fields=0)


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.sample(-1),
        lambda s: s.sample(2.5),
        lambda s: s.draw(2, batch_size=0),
        lambda s: s.draw_block(-1, 2),
        lambda s: s.seed("a"),
        lambda s: s.populate({"log_age": 8.0}),
        lambda s: s.spread(s.sample(1)),
        lambda s: s.render(s.sample(1)),
        lambda s: s.render(torch.zeros(1, 3, 64, 64)),
        lambda s: s.expose(np.zeros((1, 3, 64, 64))),
        lambda s: s.expose(torch.zeros(1, 2, 64, 64)),
        lambda s: s.expose(torch.zeros(2, 3, 8, 8), background=torch.zeros(1, 3, 8, 8)),
        lambda s: s.expose(torch.zeros(2, 3, 8, 8), exposure_s=torch.ones(2, 2)),
        lambda s: s.expose(torch.zeros(2, 3, 8, 8), sky=3),
        lambda s: s.observe(None),
        lambda _: praesepe.load_survey(None),
        lambda _: praesepe.load_passband(3),
        lambda _: praesepe.load_isochrones(3),
        lambda _: praesepe.Estimator.load(3),
        lambda _: praesepe.Catalog.read(None),
        lambda _: praesepe.Mosaic.read(None, "phat"),
        lambda _: praesepe.read_samples(3),
        lambda _: praesepe.init_survey(3),
        lambda _: praesepe.upgrade_survey(3),
        lambda _: praesepe.simulate("phat", n=1, out=3),
        lambda _: praesepe.simulate_mosaic("phat", n=1, out=3),
        lambda _: praesepe.train("phat", steps=1, out=3),
        lambda _: praesepe.import_isochrones(["a"], name=3),
        lambda _: praesepe.run_demo(3),
        lambda s: praesepe.inject(s, np.zeros((1, 3, 64, 64)), None),
        lambda _: POSTERIOR.log_prob("a"),
        lambda _: POSTERIOR.shares("log_age"),
        lambda _: POSTERIOR.shares("log_aeg"),
        lambda _: POSTERIOR.percentile(150),
        lambda _: POSTERIOR.percentile([16, None]),
        lambda _: plot_posterior(None, np.zeros((4, 2)), POSTERIOR.quantities),
        lambda _: rgb(np.zeros((2, 8, 8)), color_scale(SURVEY.bands)),
    ],
)
def test_faulty_input_is_told_by_our_own_error(
    simulator: praesepe.Simulator, call: Callable[[praesepe.Simulator], object]
) -> None:
    with pytest.raises(InputError):
        call(simulator)
