"""Twins are clusters of the posterior, seen as the real stamp was: depth, width, level, bands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from praesepe.errors import InputError, PraesepeWarning
from praesepe.inference.prediction import predict
from praesepe.inference.result import Result
from praesepe.inference.twins import Twins
from praesepe.network.estimator import Estimator
from praesepe.statistics.twins import background_level, background_scatter
from praesepe.survey import load_survey

PHAT = load_survey("phat-nodust")
SURVEY = PHAT.with_values(
    galaxy={"field": {"surface_density": (0.02, 0.1), "metallicity": (0.02, 0.02)}},
    clusters={"log_mass": (2.0, 4.0), "rh_arcsec": (0.1, 0.3)},
    contaminants={"fraction": 0.3},
    network={"stamp_size": 32},
)
INFERS = ("log_age", "log_mass", "log_rh", "object_class")
NOISE, LEVEL = 0.0055, 0.3
CLUSTER, BACKGROUND = (8.0, 3.5, -0.7, 1.0), (6.8, 2.1, -0.7, 0.0)


@pytest.fixture(scope="module")
def model() -> Estimator:
    told = ["present", "depth", "psf_fwhm_px"]
    return Estimator.untrained(SURVEY, encoder="tiny", infers=INFERS, conditions=told, seed=3)


@pytest.fixture(scope="module")
def measure(model: Estimator, wcs: WCS) -> Callable[..., Result]:
    """Measure three places on images of noise; the last is off them."""

    def measure(noise: float = NOISE, bands: tuple[str, ...] = SURVEY.band_names) -> Result:
        rng = np.random.default_rng(1)
        planes = rng.normal(LEVEL, noise, (3, 200, 200)).astype(np.float32)
        planes[:, 90:105, 90:105] = np.nan  # in the second stamp
        images = {
            name: (plane, wcs)
            for name, plane in zip(SURVEY.band_names, planes, strict=True)
            if name in bands
        }
        ra, dec = wcs.pixel_to_world_values([40, 110, -500], [40, 110, -500])
        table = Table({"name": ["one", "Ć", "off"], "ra": ra, "dec": dec})
        return predict(model, images, table, n_samples=20)

    return measure


@pytest.fixture(scope="module")
def result(measure: Callable[..., Result]) -> Result:
    return measure()


@pytest.fixture(autouse=True)
def posterior(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What the model is to find: half of the draws are of a cluster, half of none."""

    def find(*points: tuple[float, ...]) -> None:
        draws = np.repeat(np.array(points, np.float32), 20, axis=0)
        monkeypatch.setattr(
            Result, "draws", lambda self, row: draws if row % len(self) < 2 else draws * np.nan
        )

    find(CLUSTER, BACKGROUND)
    return find


def light(twins: Twins) -> np.ndarray:
    return np.median(twins.statistics().twin_flux, axis=(0, 1))


def test_twins_are_clusters_of_the_posterior(
    result: Result, posterior: Callable[..., None]
) -> None:
    twins = result.simulate(3, seed=4)
    assert twins.rows.tolist() == [0, 1]
    assert twins.images.shape == (2, 3, 3, 32, 32)
    np.testing.assert_allclose(twins.parameters["log_age"], 8.0)
    np.testing.assert_allclose(twins.parameters["log_mass"], 3.5, atol=0.1)  # of the stars drawn
    assert twins.rh_px == pytest.approx(10**-0.7 / 0.05)
    posterior((8.0, 2.5, -0.7, 1.0))  # negative control: a tenth of the mass
    tenth = light(result.simulate(3, seed=4))
    np.testing.assert_allclose(np.log10(light(twins) / tenth), 1, atol=0.5)


def test_a_row_has_its_twins_whatever_else_is_asked(result: Result) -> None:
    both, one = result.simulate(2, seed=4), result.simulate(2, rows=[-2], seed=4)
    assert one.rows.tolist() == [1]
    np.testing.assert_array_equal(one.images[0], both.images[1])
    other = result.simulate(2, rows=[1], seed=5)
    assert np.abs(other.images - one.images).mean() > 1e-3


@pytest.mark.parametrize("noise", [NOISE, 1.35 * NOISE])
def test_level_and_noise_are_those_of_the_stamp(
    measure: Callable[..., Result], posterior: Callable[..., None], noise: float
) -> None:
    posterior((9.8, 2.0, -1.0, 1.0))  # too faint to reach the background
    twins = measure(noise).simulate(2, rows=[0])
    np.testing.assert_allclose(background_level(twins.images[0]), LEVEL, atol=0.3 * noise)
    np.testing.assert_allclose(background_scatter(twins.images), noise, rtol=0.15)


def test_stars_are_as_wide_as_was_told(result: Result) -> None:
    def width(fwhm_px: float) -> float:
        """Share of the light of a compact cluster that lies in the middle."""
        told = replace(result.told, values=result.told.values | {"psf_fwhm_px": [fwhm_px] * 3})
        stamps = replace(result, told=told).simulate(4, rows=[0], seed=1).images[0]
        stamps = stamps - background_level(stamps)[..., None, None]
        return float(stamps[..., 13:20, 13:20].sum() / stamps.sum())

    assert width(2.0) > width(5.0) + 0.05


def test_bands_and_pixels_that_are_missing_are_so_in_the_real_stamp(
    measure: Callable[..., Result],
) -> None:
    twins = measure(bands=("F336W", "F814W")).simulate(3)
    assert twins.survey.band_names == ("F336W", "F814W")
    assert np.isfinite(twins.real[0]).all()
    assert np.isnan(twins.real[1]).any()
    assert np.isfinite(twins.images).all()
    table = twins.to_table()
    assert table["id"].tolist() == ["one", "Ć"]
    assert np.isfinite(np.asarray(table["p_twins"], float)).all()
    assert "chi2_F475W" not in table.colnames


def test_rows_without_a_cluster_have_no_twins(
    result: Result, posterior: Callable[..., None]
) -> None:
    with pytest.warns(PraesepeWarning, match=r"no twins: \[2\]"):
        assert len(result.simulate(1, rows=[0, 2])) == 1
    posterior(BACKGROUND)
    with pytest.raises(InputError, match="none of the rows has a posterior of a cluster"):
        result.simulate(1)
    with pytest.raises(InputError, match="number of twins"):
        result.simulate(20_000)
    with pytest.raises(InputError, match="row"):
        result.simulate(1, rows=[3])


def test_figure_and_file(result: Result, tmp_path: Path) -> None:
    twins = result.simulate(3, seed=4)
    figure = twins.plot()
    assert len(figure.axes) == 2 * (1 + 3 + 1)
    assert "100 Myr" in figure.axes[1].texts[0].get_text()
    with pytest.raises(InputError, match="those with twins: 0 and 1"):
        twins.plot([2])
    path = twins.save(tmp_path / "twins.fits")
    with pytest.raises(InputError, match="exists"):
        twins.save(path)
    with fits.open(path) as hdus:
        assert [hdu.name for hdu in hdus[1:]] == [*SURVEY.band_names, "TWINS", "CLUSTERS"]
        np.testing.assert_array_equal(hdus["F814W"].data[:, 0], twins.real[:, 2])
        np.testing.assert_array_equal(hdus["F814W"].data[:, 1:], twins.images[:, :, 2])
    listed = Table.read(path, "TWINS")
    assert listed["twin"].tolist() == [1, 2, 3] * 2
    assert listed["id"].tolist() == ["one"] * 3 + [r"\u0106"] * 3
    np.testing.assert_allclose(listed["log_mass"], twins.parameters["log_mass"].ravel())
    assert len(Table.read(path, "CLUSTERS")) == 2


def test_the_command_writes_them(
    run_cli: Callable[..., Any], measure: Callable[..., Result], tmp_path: Path
) -> None:
    result = measure()
    result.model.save(tmp_path / "model")
    result.catalog.table.write(tmp_path / "catalog.ecsv")
    options = ["--catalog", "catalog.ecsv", "--out", "out.ecsv"]
    for name, band in result.observation.bands.items():
        image = np.asarray(band.pixels[0:200, 0:200], np.float32)
        header = result.observation.wcs.to_header()
        header["BUNIT"] = "electron/s"
        fits.writeto(tmp_path / f"{name}.fits", image, header)
        zero_point = SURVEY.band(name).zero_point_ab
        options += ["--image", f"{name}={name}.fits", "--zero-point", f"{name}={zero_point}"]
    run = ["predict", "model", *options, "--n-samples", 20, "--twins", 2]
    refused = run_cli(*run, cwd=tmp_path, check=False)
    assert refused.returncode == 2
    assert "--twins-out" in refused.output
    told = run_cli(*run, "--twins-out", "twins.fits", cwd=tmp_path)
    assert "of 2 clusters differ more from their 2 twins" in told.output
    assert len(Table.read(tmp_path / "twins.fits", "CLUSTERS")) == 2
