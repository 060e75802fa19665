"""The noise of drizzled mosaics against a drizzle that lays every drop on the grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from praesepe.errors import InputError
from praesepe.sky.instrument.detector import Detector
from praesepe.sky.instrument.noise import drizzle_correlation
from praesepe.survey import load_survey

NATIVE = 0.128  # arcsec, WFC3/IR
EXPOSURES = 4
READ_NOISE = 12.0  # e-, per native pixel and exposure
SKY = 0.8  # e-/s per native pixel
EXPOSURE_S = 1700.0
SIZE = 64
LAGS = [(0, 1), (0, 2), (0, 3), (0, 4), (1, 1), (2, 1), (2, 2)]

# Pixel of the mosaic, arcsec, and pixfrac: PHAT; the grid of UVIS mosaics; smaller drops.
GRIDS = [(0.05, 1.0), (0.04, 1.0), (0.06, 0.8)]


def overlaps(pixel, drop, shift):
    """Shared length of each pixel of the mosaic with each drop along one axis, (SIZE, native)."""
    centers = (np.arange(SIZE * pixel // NATIVE + 4) - 1 + shift) * NATIVE
    edges = np.arange(SIZE) * pixel
    low = np.maximum(edges[:, None], centers - drop / 2)
    high = np.minimum(edges[:, None] + pixel, centers + drop / 2)
    return np.clip(high - low, 0, None)


def drizzled(pixel, pixfrac, n, rng):
    """Empty mosaics of dithered exposures, e-/s per pixel of the mosaic, (n, SIZE, SIZE)."""
    mosaics = []
    for _ in range(n):
        light = weight = 0.0
        for _ in range(EXPOSURES):
            y, x = (overlaps(pixel, pixfrac * NATIVE, shift) for shift in rng.random(2))
            one_s = EXPOSURE_S / EXPOSURES
            electrons = rng.poisson(SKY * one_s, (y.shape[1], x.shape[1]))
            electrons = electrons + READ_NOISE * rng.standard_normal(electrons.shape)
            light = light + y @ (electrons / one_s - SKY) @ x.T
            weight = weight + np.outer(y.sum(axis=1), x.sum(axis=1))
        mosaics.append(light / weight * (pixel / NATIVE) ** 2)
    return np.array(mosaics)


def survey_of(pixel, pixfrac, noise_kernel="drizzle"):
    """phat's first band as WFC3/IR, on a mosaic of the given pixel."""
    survey = load_survey("phat-nodust")
    area = (pixel / NATIVE) ** 2
    band = survey.bands[0].model_copy(
        update={
            "exposure_s": EXPOSURE_S,
            "n_exposures": EXPOSURES,
            "read_noise_e": READ_NOISE * area**0.5,
            "dark_e_s": 0.0,
            "sky_e_s": (SKY * area, SKY * area),
            "sky_left": (0.0, 0.0),
            "noise_kernel": noise_kernel,
            "psf": survey.bands[0].psf.model_copy(
                update={"native_pixel_arcsec": NATIVE, "pixfrac": pixfrac}
            ),
        }
    )
    observation = {"bands": (band, *survey.bands[1:]), "pixel_scale_arcsec": pixel}
    return survey.with_values(observation=observation)


def simulated(pixel, pixfrac, n, generator, **settings):
    detector = Detector(survey_of(pixel, pixfrac, **settings))
    empty = torch.zeros((n, 3, SIZE, SIZE))
    return detector.expose(empty, generator=generator)[:, 0].double().numpy(), detector


def statistics(stamps):
    """Autocorrelation at LAGS, noise of a pixel, and of squares of 16 pixels over 16, in e-/s."""
    inner = stamps[:, :-4, :-4]
    shifted = [stamps[:, y : SIZE - 4 + y, x : SIZE - 4 + x] for y, x in LAGS]
    correlation = np.array([(inner * there).mean() for there in shifted]) / (inner**2).mean()
    squares = stamps.reshape(len(stamps), 4, 16, 4, 16).sum(axis=(2, 4)) / 16
    return correlation, stamps.std(), squares.std()


@pytest.mark.parametrize(("pixel", "pixfrac"), GRIDS)
def test_an_empty_stamp_is_as_noisy_as_a_drizzled_one(pixel, pixfrac, rng, generator):
    """Autocorrelation at 1 to 4 pixels, noise of a pixel, noise of large squares."""
    true, true_pixel, true_square = statistics(drizzled(pixel, pixfrac, 400, rng))
    stamps, detector = simulated(pixel, pixfrac, 400, generator)
    ours, our_pixel, our_square = statistics(stamps)
    np.testing.assert_allclose(ours, true, atol=0.02)
    assert our_pixel == pytest.approx(true_pixel, rel=0.03)
    assert our_square == pytest.approx(true_square, rel=0.04)
    assert float(detector.noise[0]) == pytest.approx(our_pixel, rel=0.01)
    lags = np.abs(np.array(LAGS))
    line = drizzle_correlation(pixfrac * NATIVE / pixel, torch.arange(5.0, dtype=torch.float64))
    line = (line / line[0]).numpy()
    np.testing.assert_allclose(ours, line[lags[:, 0]] * line[lags[:, 1]], atol=0.012)

    white, white_pixel, white_square = statistics(
        simulated(pixel, pixfrac, 100, generator, noise_kernel=None)[0]
    )
    assert np.abs(white - true).max() > 0.5  # uncorrelated noise would be noticed,
    assert white_pixel > 2 * true_pixel  # and its noise in a pixel,
    assert white_square == pytest.approx(true_square, rel=0.25)  # though that of areas is right


def test_drops_of_no_size_are_refused():
    survey = load_survey("phat-nodust")
    band = survey.bands[0].model_dump()
    band |= {"noise_kernel": "drizzle", "psf": {**band["psf"], "pixfrac": 0.0}}
    with pytest.raises(InputError, match="pixfrac = 0"):
        survey.with_values(observation={"bands": (band, *survey.bands[1:])})
