"""Cosmic rays, bad pixels, saturation, flat field, correlated noise, real backgrounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from praesepe.sky.instrument.artefacts import add_cosmic_rays, fill_bad_pixels
from praesepe.sky.instrument.detector import Detector
from praesepe.survey import load_survey

KERNEL = ((0.1, 0.3, 0.0), (0.4, 1.0, 0.3), (0.1, 0.4, 0.2))
"""No two directions alike."""


def survey_with(*, artefacts=None, **settings):
    """phat under a fixed sky that is subtracted, with other settings of all bands."""
    survey = load_survey("phat-nodust")
    settings = {"sky_e_s": (0.05, 0.05), "sky_left": (0.0, 0.0), **settings}
    bands = tuple(band.model_copy(update=settings) for band in survey.bands)
    return survey.with_values(observation={"bands": bands, "detector": artefacts or {}})


def uniform(light, n=40, size=64):
    return torch.full((n, 3, size, size), light)


def expected_variance(survey, light):
    """Variance of a pixel of each band, (e-/s)²."""
    return np.array(
        [
            (light + band.sky_e_s[0] + band.dark_e_s) / band.exposure_s
            + band.n_exposures * band.read_noise_e**2 / band.exposure_s**2
            for band in survey.bands
        ]
    )


def autocorrelation(images, reach):
    """Mean products of pixels at lags 0 to ±reach over the variance, (band, lag y, lag x)."""
    images = images.double().numpy()
    images = images - images.mean(axis=(0, 2, 3), keepdims=True)
    size = images.shape[-1]
    inner = images[..., reach : size - reach, reach : size - reach]
    lags = range(-reach, reach + 1)
    products = [
        [
            (inner * images[..., reach + y : size - reach + y, reach + x : size - reach + x]).mean(
                axis=(0, 2, 3)
            )
            for x in lags
        ]
        for y in lags
    ]
    products = np.moveaxis(np.array(products), -1, 0)
    return products / products[:, reach : reach + 1, reach : reach + 1]


# ---- noise correlated by drizzling


@pytest.mark.parametrize("read_noise", [4.0, 0.5])
def test_noise_is_correlated_as_the_kernel_with_itself(generator, read_noise):
    survey = survey_with(noise_kernel=KERNEL, read_noise_e=read_noise)
    exposed = Detector(survey).expose(uniform(0.1, n=60), generator=generator)
    kernel = np.array(KERNEL)
    expected = ndimage.correlate(np.pad(kernel, 2), kernel, mode="constant")[1:-1, 1:-1]
    expected /= expected[2, 2]
    measured = autocorrelation(exposed, 2)
    error = 4 / np.sqrt(60 * 60 * 60 / np.square(expected).sum())
    for band in range(3):
        np.testing.assert_allclose(measured[band], expected, atol=error)
    mirrored = expected[:, ::-1]
    assert np.abs(measured[0] - mirrored).max() > 5 * error
    variance = exposed.double().var(dim=(0, 2, 3)).numpy()
    np.testing.assert_allclose(variance, expected_variance(survey, 0.1), rtol=0.03)
    without = autocorrelation(Detector(survey_with()).expose(uniform(0.1), generator=generator), 2)
    assert np.abs(without - expected).max() > 5 * error


def test_the_kernel_is_what_becomes_of_one_pixels_noise(generator):
    """A single bright pixel's noise reaches its neighbours as the kernel says, not mirrored."""
    survey = survey_with(noise_kernel=KERNEL, read_noise_e=0.0, sky_e_s=(0.0, 0.0), dark_e_s=0.0)
    images = torch.zeros((3000, 3, 7, 7))
    images[..., 3, 3] = 10.0
    noise = Detector(survey).expose(images, generator=generator) - images
    spread = noise[:, 0].double().std(dim=0).numpy()
    kernel = np.zeros((7, 7))
    kernel[2:5, 2:5] = np.array(KERNEL) / np.sqrt(np.square(KERNEL).sum())
    np.testing.assert_allclose(spread, kernel * (10 / 1350) ** 0.5, atol=0.003)


def test_the_light_of_stars_is_not_smoothed_and_edges_are_as_noisy(generator):
    survey = survey_with(noise_kernel=KERNEL)
    images = uniform(0.0, n=400, size=16)
    images[..., 8, 8] = 50.0
    exposed = Detector(survey).expose(images, generator=generator).double()
    mean = exposed.mean(dim=0)
    assert mean[:, 8, 8].tolist() == pytest.approx([50.0] * 3, rel=1e-3)
    assert mean[:, 8, 9].abs().max() < 0.05
    edge = exposed[:, :, :3, :].var(dim=(0, 2, 3)).numpy()
    np.testing.assert_allclose(edge, expected_variance(survey, 0.0), rtol=0.08)


def test_a_kernel_of_one_band_leaves_the_others(generator):
    survey = survey_with()
    bands = (survey.bands[0].model_copy(update={"noise_kernel": KERNEL}), *survey.bands[1:])
    survey = survey.with_values(observation={"bands": bands})
    exposed = Detector(survey).expose(uniform(0.1), generator=generator)
    beside = autocorrelation(exposed, 1)[:, 1, 2]
    assert beside[0] > 0.3
    assert np.abs(beside[1:]).max() < 0.02


# ---- saturation, flat field


def test_saturation_clips_what_one_exposure_cannot_hold(generator):
    survey = survey_with(saturation_e=20_000.0)
    images = uniform(0.1, n=2)
    images[..., 5, 5] = 1e4
    images[..., 9, 9] = 1.0
    exposed = Detector(survey).expose(images, generator=generator)
    free = Detector(survey_with()).expose(images, generator=torch.Generator().manual_seed(20190103))
    for band, settings in enumerate(survey.bands):
        full = 20_000 * settings.n_exposures / settings.exposure_s
        ceiling = full - settings.sky_e_s[0] - settings.dark_e_s
        assert exposed[:, band, 5, 5].tolist() == pytest.approx([ceiling] * 2, rel=1e-5)
        assert exposed[:, band].max() <= ceiling * 1.00001
    assert (free[..., 5, 5] > 9000).all()
    untouched = images < 1e3
    assert torch.equal(exposed[untouched], free[untouched])


def test_flat_field_error_multiplies_the_light_of_sky_and_stars(generator):
    survey = survey_with(artefacts={"flat_field": 0.05})
    for light in (1.0, 10.0):
        exposed = Detector(survey).expose(uniform(light), generator=generator).double()
        measured = exposed.var(dim=(0, 2, 3)).numpy()
        photon = expected_variance(survey, light)
        expected = photon + (0.05 * (light + 0.05)) ** 2
        np.testing.assert_allclose(measured, expected, rtol=0.02)
        assert (measured > 1.3 * photon).all()  # it would not do to leave it out
        assert exposed.mean(dim=(0, 2, 3)).tolist() == pytest.approx([light] * 3, rel=1e-3)


# ---- cosmic rays


def streaks(image):
    """Brightness and size of every connected group of lit pixels."""
    labels, n = ndimage.label(image > 0, structure=np.ones((3, 3)))
    index = np.arange(1, n + 1)
    return ndimage.sum(image, labels, index), ndimage.sum(image > 0, labels, index)


def test_cosmic_rays_have_their_rate_and_brightness(generator):
    images = torch.zeros((1, 2, 3000, 3000))
    exposure = torch.tensor([100.0, 1000.0])[:, None, None]
    add_cosmic_rays(images, 1.5, (50.0, 5000.0), exposure, generator=generator)
    for band, seconds in enumerate((100, 1000)):
        light, pixels = streaks(images[0, band].double().numpy())
        expected = 1.5 * 3000**2 / 1e4
        assert len(light) == pytest.approx(expected, abs=4 * expected**0.5 + 0.02 * expected)
        electrons = light * seconds
        inside = electrons < 4999  # some overlap
        log_uniform = stats.loguniform(50, 5000)
        assert stats.kstest(electrons[inside], log_uniform.cdf).pvalue > 1e-3
        assert stats.kstest(1.3 * electrons[inside], log_uniform.cdf).pvalue < 1e-3
        lengths = np.bincount(pixels.astype(int), minlength=5)[1:5] / len(light)
        np.testing.assert_allclose(lengths, 0.25, atol=0.06)


def test_cosmic_rays_of_a_survey_add_to_its_images(generator):
    artefacts = {"cosmic_rays": 20.0, "cosmic_ray_e": (2000.0, 2000.0)}
    clean = Detector(survey_with()).expose(
        uniform(0.1), generator=torch.Generator().manual_seed(20190103)
    )
    hit = Detector(survey_with(artefacts=artefacts)).expose(uniform(0.1), generator=generator)
    added = (hit - clean).double()
    for band, settings in enumerate(load_survey("phat-nodust").bands):
        electrons = float(added[:, band].sum()) * settings.exposure_s
        n = 20 * 40 * 64**2 / 1e4
        assert electrons / 2000 == pytest.approx(n, abs=4.5 * n**0.5 + 0.04 * n)
    assert (added.abs() > 1e-6).double().mean() < 0.01


def test_streaks_end_at_the_edge(generator):
    images = torch.zeros((50, 1, 4, 4))
    add_cosmic_rays(images, 5000.0, (10.0, 10.0), torch.ones(1, 1, 1), generator=generator)
    total = float(images.sum())
    assert 0.4 * 4000 < total < 0.9 * 4000  # 400 remnants of 10 electrons, some of them cut off
    assert (images > 0).double().mean() > 0.5


# ---- bad pixels


def test_bad_pixels_hold_the_median_of_the_good_ones(generator):
    images = torch.randn((20, 3, 31, 32), generator=generator)
    images += torch.arange(60.0).view(20, 3, 1, 1)
    filled = images.clone()
    fill_bad_pixels(filled, 0.05, generator=generator)
    bad = filled != images
    n = bad.numel()
    assert float(bad.double().mean()) == pytest.approx(0.05, abs=4 * (0.05 / n) ** 0.5)
    for stamp in range(20):
        for band in range(3):
            image, holes = images[stamp, band].numpy(), bad[stamp, band].numpy()
            assert holes.any()
            values = filled[stamp, band].numpy()[holes]
            good = np.sort(image[~holes])
            np.testing.assert_array_equal(values, good[(len(good) - 1) // 2])
            assert values[0] == pytest.approx(np.median(good), abs=0.02)


def test_bad_pixels_of_a_survey(generator):
    survey = survey_with(artefacts={"bad_pixels": 0.1})
    exposed = Detector(survey).expose(uniform(0.1, n=20), generator=generator)
    for image in exposed.flatten(0, 1).numpy():
        _, counts = np.unique(image, return_counts=True)
        assert counts.max() / image.size == pytest.approx(0.1, abs=0.03)


# ---- on real backgrounds


def background(generator, n=40):
    return 0.5 + 0.02 * torch.randn((n, 3, 64, 64), generator=generator)


@pytest.mark.parametrize("light", [0.0, 1e-4, 2e-3, 0.05, 3.0])
def test_on_a_background_only_the_light_brings_noise(generator, light):
    """Neither sky nor read noise a second time, whatever the survey says about them."""
    real = background(generator)
    detector = Detector(
        survey_with(artefacts={"flat_field": 0.1, "cosmic_rays": 50, "bad_pixels": 0.1})
    )
    added = detector.expose(uniform(light), generator=generator, background=real) - real
    added = added.double()
    for band, settings in enumerate(detector_bands()):
        n = added[:, band].numel()
        variance = light / settings.exposure_s
        mean_error = 4.5 * (variance / n) ** 0.5 + 1e-6
        assert float(added[:, band].mean()) == pytest.approx(light, abs=mean_error)
        relative = 4.5 * ((2 + 1 / max(light * settings.exposure_s, 1e-9)) / n) ** 0.5
        assert float(added[:, band].var()) == pytest.approx(variance, rel=relative, abs=1e-12)


def detector_bands():
    return load_survey("phat-nodust").bands


def test_a_second_sky_would_be_noticed(generator):
    real = background(generator)
    detector = Detector(survey_with())
    once = detector.expose(uniform(0.05), generator=generator, background=real) - real
    twice = detector.expose(uniform(0.05), generator=generator)
    assert (twice.var(dim=(0, 2, 3)) > 1.5 * once.var(dim=(0, 2, 3))).all()


def test_noise_on_a_background_is_correlated_too(generator):
    real = background(generator)
    detector = Detector(survey_with(noise_kernel=KERNEL, saturation_e=1e5))
    added = detector.expose(uniform(3.0), generator=generator, background=real) - real
    assert (autocorrelation(added, 1)[:, 1, 2] > 0.3).all()
    variance = added.double().var(dim=(0, 2, 3)).numpy()
    expected = [3.0 / band.exposure_s for band in detector_bands()]
    np.testing.assert_allclose(variance, expected, rtol=0.03)


def test_saturation_on_a_background(generator):
    real = background(generator, n=2)
    detector = Detector(survey_with(saturation_e=20_000.0))
    images = uniform(0.0, n=2)
    images[..., 5, 5] = 1e4
    exposed = detector.expose(images, generator=generator, background=real)
    full = [20_000 * band.n_exposures / band.exposure_s for band in detector_bands()]
    assert exposed[0, :, 5, 5].tolist() == pytest.approx(full, rel=1e-5)


# ---- reproducibility


def test_everything_together_is_reproducible_and_leaves_its_input():
    survey = survey_with(
        artefacts={"flat_field": 0.01, "cosmic_rays": 5.0, "bad_pixels": 0.01},
        noise_kernel=KERNEL,
        saturation_e=50_000.0,
        read_noise_e=1.0,
    )
    images = uniform(0.2, n=30)
    detector = Detector(survey)

    def exposed(seed, **options):
        return detector.expose(images, generator=torch.Generator().manual_seed(seed), **options)

    assert torch.equal(exposed(1), exposed(1))
    assert not torch.equal(exposed(1), exposed(2))
    assert torch.equal(exposed(1, background=images), exposed(1, background=images))
    assert torch.isfinite(exposed(1)).all()
    assert torch.equal(images, uniform(0.2, n=30))
