"""What a model is told of images: bands, depth, width. What is missing is left out."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.table import Table
from scipy.ndimage import gaussian_filter

import praesepe
from praesepe.errors import InputError, PraesepeWarning
from praesepe.flags import Flag
from praesepe.inference.check.background import measure_plane
from praesepe.inference.check.measured import measure_mosaic, psf_widths
from praesepe.inference.check.telling import measured_by_band, sharp_response, survey_by_band
from praesepe.inference.prediction import predict
from praesepe.inference.told import tell_model
from praesepe.mocks.mosaic_files import SimulatedMosaic
from praesepe.network.estimator import Estimator
from praesepe.sky.instrument.detector import Detector
from praesepe.survey import Survey, load_survey

CONDITIONS = ["present", "depth", "psf_fwhm_px"]
INFERS = ("log_age", "log_mass", "log_rh", "a_v")


@pytest.fixture(scope="module")
def survey() -> Survey:
    return load_survey("phat-nodust")


@pytest.fixture(scope="module")
def model(survey: Survey) -> Estimator:
    dusty = survey.with_values(clusters={"a_v": (0.0, 2.0)})
    told = {"conditions": CONDITIONS, "infers": INFERS}
    made = Estimator.untrained(dusty, encoder="tiny", **told, seed=3)
    with torch.no_grad():
        for modulation in made.net.encoder.modulations:
            modulation.linear.weight.normal_(0, 0.2)
    return made


@pytest.fixture(scope="module")
def mosaic(survey: Survey) -> SimulatedMosaic:
    return praesepe.simulate_mosaic(survey, n=6, size=512, density=40, seed=5, nuisances=False)


def medians(result: Any) -> np.ndarray:
    return np.column_stack([result[f"{name}_p50"] for name in ("log_age", "log_mass")])


@pytest.mark.parametrize("name", ["known", "prior"])
def test_a_text_is_no_mapping(model: Estimator, mosaic: SimulatedMosaic, name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is of type str: it must be a mapping"):
        predict(model, mosaic.images, mosaic.truth, n_samples=5, check=False, **{name: "a_v=1"})


def test_depth_and_width_are_measured(
    model: Estimator, mosaic: SimulatedMosaic, survey: Survey
) -> None:
    result = predict(model, mosaic.images, mosaic.truth, n_samples=5)
    told = result.meta["told"]
    assert {name: entry["from"] for name, entry in told.items()} == {
        "depth": "measured",
        "psf_fwhm_px": "measured",
    }
    widths = result.told.values["psf_fwhm_px"]
    usual = list(survey_by_band("psf_fwhm_px", result.observation).values())
    np.testing.assert_allclose(widths, usual, rtol=0.1)
    # Between the faintest and the brightest sky, with the light of the field's stars.
    faintest = survey_by_band("depth", result.observation)
    for depth, usual in zip(result.told.values["depth"], faintest.values(), strict=True):
        assert usual - 0.5 < depth < usual + 0.4
    unseen = predict(model, mosaic.images, mosaic.truth, n_samples=5, check=False)
    assert unseen.meta["told"]["psf_fwhm_px"]["from"] == "survey"
    assert unseen.meta["told"]["depth"]["from"] == "header"  # which has an exposure


def test_the_depth_is_measured_or_the_headers_or_the_surveys(
    model: Estimator, mosaic: SimulatedMosaic, survey: Survey
) -> None:
    """Of each band the best that there is, and the table says which."""
    images = {name: [hdu.copy() for hdu in hdus] for name, hdus in mosaic.images.items()}
    images["F475W"][0].header["EXPTIME"] /= 1.21
    for key in ("EXPTIME", "EXPOSURE", "TEXPTIME"):
        images["F814W"][0].header.pop(key, None)
    images = {name: fits.HDUList(hdus) for name, hdus in images.items()}
    result = predict(model, images, mosaic.truth, n_samples=5, check=False)
    usual = survey_by_band("depth", result.observation)
    depth = dict(zip(survey.band_names, result.told.values["depth"], strict=True))
    assert result.meta["told"]["depth"]["from"] == ["header", "header", "survey"]
    assert depth["F336W"] == pytest.approx(usual["F336W"])
    # The sky's noise goes with the root of the time, that of reading with the time itself.
    assert 2.5 * np.log10(1.1) < usual["F475W"] - depth["F475W"] < 2.5 * np.log10(1.21)
    assert depth["F814W"] == usual["F814W"]
    # What was looked at in vain: a band without noise has no depth that could be measured.
    read = praesepe.Mosaic.read(images, survey)
    measured = measure_mosaic(read, psf_widths(survey), 4)
    blind = replace(measured.bands["F336W"], noise=math.nan)
    measured = replace(measured, bands=measured.bands | {"F336W": blind})
    told = tell_model(model, read, measured, {}, mosaic.truth)
    assert told.meta["depth"]["from"] == ["header", "measured", "measured"]
    assert told.values["depth"][0] == pytest.approx(usual["F336W"])


def test_the_depth_of_a_resampled_band_is_not_told(mosaic: SimulatedMosaic, survey: Survey) -> None:
    read = praesepe.Mosaic.read(mosaic.images, survey)
    measured = measure_mosaic(read, psf_widths(survey), 4)
    assert set(measured_by_band("depth", read, measured)) == set(survey.band_names)
    smoothed = replace(read.bands["F475W"], reprojected=True)
    resampled = replace(read, bands=read.bands | {"F475W": smoothed})
    assert set(measured_by_band("depth", resampled, measured)) == {"F336W", "F814W"}


@pytest.mark.parametrize("kernel", [None, "drizzle", ((0.1, 0.3, 0.1),) * 3])
def test_the_depth_is_that_of_correlated_noise(survey: Survey, kernel: Any) -> None:
    bands = tuple(
        band.model_copy(update={"noise_kernel": kernel, "sky_e_s": (0.1, 0.1)})
        for band in survey.bands
    )
    detector = Detector(survey.with_values(observation={"bands": bands}))
    generator = torch.Generator().manual_seed(5)
    empty = detector.expose(torch.zeros(1, 3, 512, 512), generator=generator)[0]
    between = measure_plane(empty[1].numpy(), sharpest=0.5).noise
    response = sharp_response(detector.kernels[1])
    assert between / response == pytest.approx(float(empty[1].std()), rel=0.02)
    assert (response < 0.9) == (kernel is not None)  # without it, the test would fail


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_how_much_of_the_noise_is_correlated_is_measured(survey: Survey, share: float) -> None:
    """Else the depth of white noise would be that of drizzled noise, 0.4 mag off."""
    bands = tuple(
        band.model_copy(update={"noise_kernel": "drizzle", "sky_e_s": (0.1, 0.1)})
        for band in survey.bands
    )
    nuisance = {"noise_correlation": (share, share)}
    changed = survey.with_values(observation={"bands": bands, "nuisance": nuisance})
    generator = torch.Generator().manual_seed(5)
    empty = Detector(changed).expose(torch.zeros(1, 3, 512, 512), generator=generator)[0]
    plane = measure_plane(empty[1].numpy(), sharpest=0.5)
    kernels = Detector(changed).kernels[1]
    noise = plane.noise / sharp_response(kernels, (0.0, 1.0), plane.correlation)
    assert noise == pytest.approx(float(empty[1].std()), rel=0.03)
    believed = plane.noise / sharp_response(kernels)
    assert (believed == pytest.approx(noise, rel=0.1)) == (share == 1.0)


def test_a_band_without_an_image_is_absent(model: Estimator, mosaic: SimulatedMosaic) -> None:
    """The answer is that of the network which is told so, whatever would stand in the band."""
    images = dict(mosaic.images)
    whole = predict(model, images, mosaic.truth, n_samples=50, keep="draws")
    del images["F475W"]
    result = predict(model, images, mosaic.truth, n_samples=50, keep="draws")
    stamps = praesepe.images.extract_stamps(
        whole.observation, *whole._positions, model.survey.stamp_size
    ).images
    told = {name: np.array(value) for name, value in result.told.values.items()}
    assert np.isnan(told["depth"][1])
    assert np.isfinite(told["depth"][[0, 2]]).all()
    expected = model.predict(
        stamps, conditions={**told, "present": [1, 0, 1]}, n_samples=50
    ).samples
    np.testing.assert_allclose(result.samples, expected, atol=1e-4)
    assert np.abs(result.samples - whole.samples).max() > 0.01
    assert result.draws(3) == pytest.approx(result.samples[3])


def test_a_band_that_is_missing_at_one_place(model: Estimator, mosaic: SimulatedMosaic) -> None:
    images = {name: hdus["SCI"].copy() for name, hdus in mosaic.images.items()}
    rows = [(round(float(y)), round(float(x))) for x, y in zip(*positions(mosaic), strict=True)]
    for name, row in (("F336W", 0), ("F336W", 1), ("F814W", 1)):
        y, x = rows[row]
        images[name].data[max(y - 40, 0) : y + 40, max(x - 40, 0) : x + 40] = np.nan
    result = predict(model, images, mosaic.truth, n_samples=5)
    assert result["flags"][0] & Flag.PARTLY_MISSING
    assert not result["flags"][0] & Flag.MISSING
    assert np.isfinite(medians(result)[0]).all()
    assert result["flags"][1] & Flag.MISSING  # one band is left
    assert result["log_age_p50"].mask[1]
    usual = Estimator.untrained(model.survey, encoder="tiny")
    assert predict(usual, images, mosaic.truth, n_samples=5)["flags"][0] & Flag.MISSING


def positions(mosaic: SimulatedMosaic) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(mosaic.truth["x"], float), np.asarray(mosaic.truth["y"], float)


def test_extinction_can_be_told(model: Estimator, mosaic: SimulatedMosaic) -> None:
    free = predict(model, mosaic.images, mosaic.truth, n_samples=5)
    told = predict(model, mosaic.images, mosaic.truth, n_samples=5, known={"a_v": (1.5, 0.1)})
    assert told.meta["told"]["a_v"] == {"value": [1.5], "error": [0.1], "from": "given"}
    assert (medians(told) != medians(free)).any()
    # A column tells every row its own, and of a masked one nothing.
    catalog = mosaic.truth.copy()
    catalog["AV"] = np.ma.array([1.5] * 3 + [0.7] * 3, mask=[0, 0, 1, 0, 0, 0])
    settings: Any = {"n_samples": 5, "keep": "draws"}
    by_row = predict(model, mosaic.images, catalog, known={"a_v": ("AV", 0.1)}, **settings)
    other = predict(model, mosaic.images, catalog, known={"a_v": (0.7, 0.1)}, **settings)
    np.testing.assert_array_equal(medians(by_row)[:2], medians(told)[:2])
    np.testing.assert_array_equal(medians(by_row)[2], medians(free)[2])
    np.testing.assert_array_equal(by_row.samples[3:], other.samples[3:])
    np.testing.assert_array_equal(by_row.draws(4), by_row.samples[4])
    assert (medians(by_row)[:3] != medians(other)[:3]).any(axis=1).all()


def test_extinction_against_the_pixels_is_flagged(
    model: Estimator, mosaic: SimulatedMosaic
) -> None:
    narrow = copy.deepcopy(model)
    draws = predict(model, mosaic.images, mosaic.truth, n_samples=50, keep="draws").samples
    place = INFERS.index("a_v")
    middle = float(np.median(draws[..., place]))
    with torch.no_grad():  # the posteriors become narrow
        narrow.net.labels.std[place] *= 0.01
        narrow.net.labels.mean[place] = middle
    known = {"a_v": (np.where(np.arange(6) < 3, middle, middle + 0.5), 0.05)}
    told = predict(narrow, mosaic.images, mosaic.truth, n_samples=50, known=known)
    strange = np.asarray(told["flags"] & Flag.FEW_DRAWS) > 0
    np.testing.assert_array_equal(strange, np.arange(6) >= 3)
    certain = predict(narrow, mosaic.images, mosaic.truth, n_samples=50, known={"a_v": middle})
    assert (certain["a_v_p16"] == certain["a_v_p84"]).all()
    np.testing.assert_allclose(certain["a_v_p50"], middle, atol=1e-4)
    assert not (certain["flags"] & Flag.FEW_DRAWS).any()
    assert np.isnan(certain.log_prob(0, [8.0, 3.0, -0.5, middle]))  # it has no density


def test_density_given_what_is_known(model: Estimator, mosaic: SimulatedMosaic) -> None:
    free = predict(model, mosaic.images, mosaic.truth, n_samples=5)
    told = predict(
        model, mosaic.images, mosaic.truth, n_samples=4000, known={"a_v": (1.0, 0.2)}, keep="draws"
    )
    assert told.samples is not None
    points = told.samples[0, :50]
    gain = told.log_prob(0, points) - free.log_prob(0, points)
    expected = -0.5 * ((points[:, INFERS.index("a_v")] - 1.0) / 0.2) ** 2
    np.testing.assert_allclose(gain - gain[0], expected - expected[0], atol=1e-3)


def test_what_is_refused(model: Estimator, mosaic: SimulatedMosaic) -> None:
    catalog: Table = mosaic.truth
    one = {"F475W": mosaic.images["F475W"]}
    with pytest.raises(InputError, match="F475W alone: one color at least"):
        predict(model, one, catalog)
    with pytest.raises(InputError, match="is not told 'log_distance'") as raised:
        predict(model, mosaic.images, catalog, known={"log_distance": 6.0})
    assert raised.value.allowed == (*CONDITIONS[1:], *INFERS)
    assert raised.value.remedy.endswith("log_rh and a_v, those it infers with an error")
    with pytest.raises(InputError, match="unknown column of the catalog 'AVV'"):
        predict(model, mosaic.images, catalog, known={"a_v": "AVV"})
    with pytest.raises(InputError, match="error of a_v = -1"):
        predict(model, mosaic.images, catalog, known={"a_v": (0.2, -1)})
    with pytest.raises(InputError, match="is not told 'a_v_error'"):
        predict(model, mosaic.images, catalog, known={"a_v_error": 0.1})
    for depth in ("log_age", [28.0, 28.0], [28.0, np.nan, 28.0]):  # of rows, or of other bands
        with pytest.raises(InputError, match="known depth"):
            predict(model, mosaic.images, catalog, known={"depth": depth})


def test_errors_of_rows(model: Estimator, mosaic: SimulatedMosaic) -> None:
    """Values and errors may be columns, or arrays; a row without an error is told nothing."""
    catalog: Table = mosaic.truth.copy()
    n = len(catalog)
    catalog["AV"], catalog["AV_ERR"] = np.linspace(0.1, 0.9, n), np.linspace(0.01, 0.2, n)
    catalog["AV_ERR"][1] = np.nan
    told = predict(model, mosaic.images, catalog, n_samples=5, known={"a_v": ("AV", "AV_ERR")})
    expected = np.array(catalog["AV"]), np.array(catalog["AV_ERR"])
    expected[0][1] = np.nan
    np.testing.assert_array_equal(told.sampling.known["a_v"], expected)
    same = predict(model, mosaic.images, catalog, n_samples=5, known={"a_v": expected})
    np.testing.assert_array_equal(same.sampling.known["a_v"], expected)
    by_band = predict(model, mosaic.images, catalog, n_samples=5, known={"depth": [30.2, 31, 31.5]})
    np.testing.assert_array_equal(by_band.told.values["depth"], [30.2, 31, 31.5])


@pytest.fixture(scope="module")
def far(survey: Survey) -> Estimator:
    """Trained, as it were, at 685 to 900 kpc behind up to 0.3 mag."""
    galaxy = {"foreground_a_v": (0.0, 0.3), "distance_pc": (685e3, 900e3)}
    varied = survey.with_values(galaxy=galaxy, clusters={"a_v": (0.0, 2.0)})
    infers = ("log_age", "log_mass", "log_rh", "a_v")
    told = ["foreground_a_v", "log_distance", "psf_fwhm_px", "depth"]
    return Estimator.untrained(varied, encoder="tiny", infers=infers, conditions=told, seed=3)


def test_what_is_not_told_is_assumed(far: Estimator, mosaic: SimulatedMosaic) -> None:
    with pytest.warns(PraesepeWarning) as warned:
        result = predict(far, mosaic.images, mosaic.truth, n_samples=5)
    said = [str(warning.message) for warning in warned]
    assert said[0].startswith("the extinction in the Milky Way is taken as 0; tell it: known=")
    assert "taken as 785.2 kpc, the middle" in said[1]
    assert "685 to 900 kpc" in said[1]
    assert len(said) == 2
    told = result.meta["told"]
    assert told["foreground_a_v"] == {"value": [0.0], "from": "assumed"}
    assert told["log_distance"] == {"value": [5.895], "from": "assumed"}
    assert not (result["flags"] & Flag.OUT_OF_DOMAIN).any()
    ratio = result["rh_pc_p50"] / result["rh_arcsec_p50"]
    np.testing.assert_allclose(ratio, 785.17e3 / 206265, rtol=1e-3)


def test_the_distance_is_told_by_its_number(far: Estimator, mosaic: SimulatedMosaic) -> None:
    settings: Any = {"n_samples": 5}
    known: Any = {"foreground_a_v": 0.1}
    catalog = mosaic.truth.copy()
    catalog["D"] = [700e3] * 3 + [850e3] * 3
    by_row = predict(far, mosaic.images, catalog, known={**known, "distance_pc": "D"}, **settings)
    near, off = (
        predict(far, mosaic.images, catalog, known={**known, **one}, **settings)
        for one in ({"distance_pc": 700e3}, {"log_distance": float(np.log10(850e3))})
    )
    assert near.meta["told"]["log_distance"] == {"value": [5.8451], "from": "given"}
    for name in ("log_mass_p50", "rh_pc_p50"):
        assert by_row[name].tolist() == [*near[name][:3], *off[name][3:]]
        assert (near[name] != off[name]).any()  # some agree to the last decimal
    catalog["D"] = np.ma.array(catalog["D"], mask=[0, 1, 0, 0, 0, 0])
    with pytest.warns(PraesepeWarning, match=r"785.2 kpc.* of 1 rows; tell it"):
        part = predict(far, mosaic.images, catalog, known={**known, "distance_pc": "D"}, **settings)
    assert part.meta["told"]["log_distance"]["from"] == "given, else assumed"


def test_what_lies_outside_the_training(far: Estimator, mosaic: SimulatedMosaic) -> None:
    """What is inferred is refused; a condition flags the rows, told or measured."""
    images, catalog = mosaic.images, mosaic.truth.copy()
    known: Any = {"foreground_a_v": 0.1, "distance_pc": 8e5}
    for wrong in ({"a_v": 2.5}, {"a_v": (2.5, 0.1)}):
        with pytest.raises(InputError, match=r"known a_v = 2.5 is outside the range .*\(0 to 2\)"):
            predict(far, images, catalog, known=known | wrong)
    for wrong, said in (
        ({"distance_pc": 0.0}, "lowest distance_pc = 0"),
        ({"log_distance": 5.9}, "distance_pc and log_distance say the same"),
        ({"distance_pc": (8e5, 1e4)}, "is not told 'distance_pc' with an error"),
    ):
        with pytest.raises(InputError, match=said):
            predict(far, images, catalog, known=known | wrong)
    catalog["A"] = [0.1, 0.45, 0.1, 0.1, 0.1, 0.1]
    with pytest.warns(PraesepeWarning, match=r"foreground_a_v = .* of 1 rows is outside"):
        flagged = predict(far, images, catalog, known=known | {"foreground_a_v": "A"}, n_samples=5)
    assert (flagged["flags"] & Flag.OUT_OF_DOMAIN > 0).tolist() == [False, True] + [False] * 4
    with pytest.warns(PraesepeWarning, match="log_distance = .*given.* flagged OUT_OF_DOMAIN"):
        flagged = predict(far, images, catalog, known=known | {"distance_pc": 4e6}, n_samples=5)
    assert (flagged["flags"] & Flag.OUT_OF_DOMAIN > 0).all()
    deep = {name: hdus["SCI"].copy() for name, hdus in images.items()}
    deep["F475W"].data = gaussian_filter(deep["F475W"].data, 1.6)
    with pytest.warns(PraesepeWarning) as warned:
        blurred = predict(far, deep, catalog, known=known, n_samples=5)
    assert any("psf_fwhm_px = " in str(w.message) and "measured" in str(w.message) for w in warned)
    assert (blurred["flags"] & Flag.OUT_OF_DOMAIN > 0).all()
