"""The detector: mean and variance of what it adds, sky subtraction, seeds."""

from __future__ import annotations

import pytest
import torch

from praesepe.sky.instrument.detector import Detector
from praesepe.survey import load_survey


@pytest.fixture(scope="module")
def phat():
    return load_survey("phat-nodust")


def with_bands(survey, **settings):
    bands = tuple(band.model_copy(update=settings) for band in survey.bands)
    return survey.with_values(observation={"bands": bands})


def fixed_sky(survey, sky, left=0.0, **settings):
    return with_bands(survey, sky_e_s=(sky, sky), sky_left=(left, left), **settings)


def expose(survey, light, generator, n=60, size=64):
    detector = Detector(survey)
    images = torch.full((n, len(survey.bands), size, size), light)
    return detector.expose(images, generator=generator).double()


@pytest.mark.parametrize("light", [0.0, 0.02, 3.0])
def test_mean_and_variance_of_a_pixel(phat, generator, light):
    """Poisson noise of light, sky and dark current, and one read noise per exposure."""
    survey = fixed_sky(phat, 0.05)
    exposed = expose(survey, light, generator)
    n = exposed[:, 0].numel()
    for band, settings in enumerate(survey.bands):
        electrons = (light + 0.05 + settings.dark_e_s) * settings.exposure_s
        variance = electrons + settings.n_exposures * settings.read_noise_e**2
        expected = variance / settings.exposure_s**2
        pixels = exposed[:, band]
        assert float(pixels.mean()) == pytest.approx(light, abs=4 * (expected / n) ** 0.5)
        # The relative error of a sample variance is sqrt(2 / n), larger for few electrons.
        assert float(pixels.var()) == pytest.approx(expected, rel=4 * (2.5 / n) ** 0.5)


@pytest.mark.parametrize("missing", ["read_noise_e", "dark_e_s", "n_exposures"])
def test_the_variance_test_would_notice_what_is_missing(phat, generator, missing):
    survey = fixed_sky(phat, 0.05)
    value = {"read_noise_e": 0.0, "dark_e_s": 0.0, "n_exposures": 1}[missing]
    lacking = with_bands(survey, **{missing: value})
    variance = expose(survey, 0.0, generator).var(dim=(0, 2, 3))
    less = expose(lacking, 0.0, generator).var(dim=(0, 2, 3))
    n = 60 * 64 * 64
    assert (less < variance * (1 - 5 * (2.5 / n) ** 0.5)).all()


@pytest.mark.parametrize("left", [-0.1, 0.0, 1.0])
def test_the_fraction_of_the_sky_that_is_left(phat, generator, left):
    exposed = expose(fixed_sky(phat, 0.1, left), 0.0, generator)
    error = 4 * exposed.std() / exposed[:, 0].numel() ** 0.5
    assert exposed.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0.1 * left] * 3, abs=float(error))


def test_every_stamp_and_band_has_a_sky_of_its_own(phat, generator):
    survey = with_bands(phat, sky_left=(1.0, 1.0))
    sky = expose(survey, 0.0, generator, n=400, size=16).mean(dim=(2, 3))
    for band, settings in enumerate(survey.bands):
        low, high = settings.sky_e_s
        noise = (high + settings.dark_e_s) ** 0.5 / settings.exposure_s**0.5 / 16
        assert float(sky[:, band].mean()) == pytest.approx((low + high) / 2, rel=0.1)
        assert float(sky[:, band].min()) > low - 6 * noise
        assert float(sky[:, band].max()) < high + 6 * noise
        assert float(sky[:, band].std()) > 0.2 * (high - low)
    correlation = torch.corrcoef(sky.T)
    assert (correlation - torch.eye(3)).abs().max() < 0.2


def test_noise_of_an_empty_pixel(phat, generator):
    detector = Detector(phat)
    faintest = with_bands(phat, sky_left=(0.0, 0.0))
    bands = tuple(
        band.model_copy(update={"sky_e_s": (band.sky_e_s[0],) * 2}) for band in faintest.bands
    )
    exposed = expose(faintest.with_values(observation={"bands": bands}), 0.0, generator)
    measured = exposed.std(dim=(0, 2, 3))
    assert detector.noise.tolist() == pytest.approx(measured.tolist(), rel=0.01)


def test_the_depth_of_a_stamp_is_its_noise(phat, generator):
    """For the sky and the exposure of every stamp; the survey's own noise is not (control)."""
    detector = Detector(with_bands(phat, sky_e_s=(0.01, 0.5), sky_left=(0.0, 0.0)))
    exposure_s = torch.tensor([400.0, 1500.0, 6000.0]).repeat(4, 1)
    sky = detector.draw_sky(4, generator=generator)
    empty = torch.zeros((4, 3, 128, 128))
    exposed = detector.expose(empty, generator=generator, exposure_s=exposure_s, sky=sky)
    measured = exposed.double().std(dim=(2, 3))
    ratio = measured / detector.noise_in(exposure_s, sky.level)
    assert (ratio - 1).abs().max() < 0.03
    assert (measured / detector.noise - 1).abs().max() > 0.3
    again = detector.exposure_for(detector.noise_in(exposure_s, sky.level), sky.level)
    torch.testing.assert_close(again, exposure_s, rtol=1e-4, atol=0)


def test_negative_light_is_no_error(phat, generator):
    """The rings of a PSF may dip below zero by rounding."""
    exposed = expose(phat, -1.0, generator, n=1, size=16)
    assert torch.isfinite(exposed).all()


def test_seeds(phat):
    def images(seed):
        return expose(phat, 0.1, torch.Generator().manual_seed(seed), n=2, size=16)

    assert torch.equal(images(1), images(1))
    assert not torch.equal(images(1), images(2))
