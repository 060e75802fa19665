"""What may be wrong with images of a model that needs only some bands, and with what it is told.

One message that says what is wrong, or values that are flagged or wider; never a wrong one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from scipy.ndimage import gaussian_filter

from praesepe.flags import Flag
from praesepe.network.estimator import Estimator
from praesepe.survey import load_survey

Run = Callable[..., Any]
TOLD = ("--known", "foreground_a_v=0.1", "--known", "distance_pc=8e5")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of all quantities and conditions, which can do without some of its bands."""
    survey = load_survey("phat-nodust").with_values(
        clusters={"a_v": (0.0, 2.0)},
        contaminants={"fraction": 0.3},
        galaxy={"foreground_a_v": (0.0, 0.3), "distance_pc": (685e3, 900e3)},
    )
    infers = ["log_age", "log_mass", "log_rh", "a_v", "object_class", "log_visibility"]
    conditions = ["present", "depth", "psf_fwhm_px", "foreground_a_v", "log_distance"]
    made = Estimator.untrained(survey, encoder="tiny", infers=infers, conditions=conditions, seed=2)
    return made.save(tmp_path_factory.mktemp("model") / "whole")


@pytest.fixture
def run(run_cli: Run, whole: Path, field: Any, tmp_path: Path) -> Run:
    """Run `predict`; return what was said, and the table where there is one."""

    def once(
        *words: Any, status: int = 0, told: Any = TOLD, look: bool = False
    ) -> tuple[str, Table | None]:
        out = tmp_path / "measured.ecsv"
        options = ("--n-samples", 50, "--out", out, "--overwrite")
        options = options if look else ("--no-check", *options)
        done = run_cli("predict", whole, *field.arguments, *told, *words, *options, check=False)
        assert done.returncode == status, done.output
        assert "Traceback" not in done.output
        assert done.stderr.count("Error:") == (status > 0)
        return done.stderr, Table.read(out) if status == 0 else None

    return once


def widths(table: Table) -> np.ndarray:
    return np.asarray(table["log_mass_p84"] - table["log_mass_p16"])


@pytest.mark.parametrize(("skies", "look"), [(-10, False), (10, True)])
def test_a_constant_changes_nothing(run: Run, field: Any, skies: int, look: bool) -> None:
    """No quantity, class, visibility or flag, from file to table, be it measured or not."""
    words = ("--prior", "a_v=exponential:0.7")
    rng = np.random.default_rng(2)
    stars = 20.0 * (rng.random((192, 192)) < 2e-3) * rng.random((192, 192))
    for band in field.images:
        field.change(band, lambda hdus: hdus["SCI"].data.__iadd__(gaussian_filter(stars, 1.0)))
    _, before = run(*words, look=look)
    field.change("F475W", lambda hdus: hdus["SCI"].data.__iadd__(np.float32(skies * 0.05)))
    _, after = run(*words, look=look)
    measured = set(before.colnames) - {"name", "ra", "dec"}
    assert {"p_cluster", "visibility_p50", "a_v_p50", "flags"} <= measured
    assert np.isfinite(before["log_age_p50"]).all()

    def largest(table: Table) -> dict[str, float]:
        """Of each column; visibilities, which are large here, in units of themselves."""
        values = {n: (np.asarray(before[n], float), np.asarray(table[n], float)) for n in measured}
        change = {n: np.abs(b - a) / np.fmax(1, np.abs(a)) for n, (a, b) in values.items()}
        return {n: float(c.max()) for n, c in change.items() if c.max() > 1.001e-3}

    assert largest(after) == {}
    field.change("F475W", lambda hdus: hdus["SCI"].data.__imul__(np.float32(50.0)))
    _, brighter = run(*words, look=look)
    assert {"p_cluster", "visibility_p50", "log_mass_p50"} <= largest(brighter).keys()


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_stamps_of_nothing(run: Run, field: Any, value: float) -> None:
    """In all bands: no values. In one: that of the other two, as if it were not given."""
    for band in field.images:
        field.change(band, lambda hdus: hdus["SCI"].data.__setitem__(np.s_[:, :96], value))
    _, table = run()
    left = np.asarray(table["x"]) < 90
    assert 0 < left.sum() < len(left)
    assert ((table["flags"] & Flag.MISSING) > 0)[left].all()
    for name in ("log_age_p50", "a_v_p50", "p_cluster", "visibility_p50"):
        assert np.array_equal(np.ma.getmaskarray(table[name]), table["flags"] & Flag.MISSING > 0)


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_a_dead_band_is_one_that_is_not_given(run: Run, field: Any, value: float) -> None:
    field.change("F475W", lambda hdus: hdus["SCI"].data.fill(value))
    _, table = run()
    del field.images["F475W"]
    _, without = run()
    assert ((table["flags"] & Flag.PARTLY_MISSING) > 0).all()
    np.testing.assert_allclose(table["log_mass_p50"], without["log_mass_p50"], atol=1e-3)
    np.testing.assert_allclose(widths(table), widths(without), atol=1e-3)


def test_too_few_bands(run: Run, field: Any) -> None:
    images = dict(field.images)
    for band in ("F336W", "F475W"):
        del field.images[band]
    said, _ = run(status=2)
    assert "images in F814W alone: one color at least is needed; give images of two or more" in said
    assert "F336W, F475W and F814W" in said
    field.images.clear()
    field.images["F555W"] = images["F814W"]
    said, _ = run(status=2)
    assert "images in F555W, which are no bands of model 'phat-nodust'; give images of two" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--known", "a_v=2.5"], "known a_v = 2.5 is outside the range that model"),
        (["--known", "a_v=2.5:0.1"], "known a_v = 2.5 is outside the range that model"),
        (["--known", "log_age=12:0.1"], "known log_age = 12 is outside the range that model"),
        (["--prior", "a_v=uniform:2:4"], "prior of a_v = 4 is outside the range that model"),
        (["--cluster-odds", "none"], "cluster_odds = 'none': it must be two positive numbers"),
        (["--magnitudes", "ST"], "unknown system of magnitudes 'ST'"),
    ],
)
def test_what_no_training_knows_is_refused(run: Run, words: list[str], said: str) -> None:
    assert said in run(*words, status=2)[0]


def test_a_condition_outside_the_training_flags(run: Run) -> None:
    told = ("--known", "foreground_a_v=0.1", "--known", "distance_pc=4e6")
    said, table = run(told=told)
    assert "log_distance = [6.6021] (given) is outside what model 'phat-nodust'" in said
    assert ((table["flags"] & Flag.OUT_OF_DOMAIN) > 0).all()
    said, table = run(told=())
    assert said.count("Warning:") == 2
    assert "taken as 785.2 kpc" in said
    assert not ((table["flags"] & Flag.OUT_OF_DOMAIN) > 0).any()


def test_a_prior_that_excludes_the_posterior(run: Run) -> None:
    _, table = run("--prior", "log_age=uniform:8:8.000001")
    assert ((table["flags"] & Flag.FEW_DRAWS) > 0).all()
    assert np.ma.getmaskarray(table["log_age_p50"]).all()
    assert np.ma.getmaskarray(table["a_v_mode"]).all()
    assert not np.ma.getmaskarray(table["p_cluster"]).any()  # that of the stamp


def test_weights_of_the_old_format(run: Run, whole: Path, tmp_path: Path) -> None:
    content = whole / "model.json"
    text = content.read_text()
    content.write_text(json.dumps(json.loads(text) | {"format": 2}))
    try:
        assert "is of model format 2, this version reads 3" in run(status=2)[0]
    finally:
        content.write_text(text)
