"""The renderer against GalSim drawing the same stars, band by band."""

from __future__ import annotations

import galsim
import numpy as np
import pytest
import torch

from praesepe.sky.instrument.psf import band_psf
from praesepe.sky.instrument.render import Renderer
from praesepe.survey import load_survey

FLUX, CENTROID_PX, PIXEL = 1e-3, 0.01, 5e-3
"""What must agree: light (relative), centroid, each pixel (fraction of the peak)."""

SIZE = 64
FINER = 4
BANDS = ("F336W", "F475W", "F814W")


@pytest.fixture(scope="module")
def survey():
    return load_survey("phat-nodust")


@pytest.fixture(scope="module")
def renderer(survey):
    """A renderer whose margin is so wide that no light comes back from the other side."""
    return Renderer(survey, size=SIZE, pad=SIZE // 2)


@pytest.fixture(scope="module")
def star(survey, renderer):
    """GalSim's image of one star in each band: the same PSF, sampled twice as finely."""
    scale = survey.pixel_scale_arcsec
    half = FINER * ((renderer.grid // 2 - 1) // 2)
    images = [
        band_psf(
            band,
            grid_scale_arcsec=scale / FINER,
            half_size_px=half,
            pixel_scale_arcsec=scale,
        )
        for band in survey.bands
    ]
    return [
        galsim.InterpolatedImage(
            galsim.Image(image),
            scale=scale / FINER,
            x_interpolant="lanczos15",
            normalization="flux",
        )
        for image in images
    ]


def galsim_image(profiles, x, y, flux, scale):
    """Single stars; zero-based positions in pixels; (band, SIZE, SIZE)."""
    out = np.zeros((len(profiles), SIZE, SIZE))
    for band, profile in enumerate(profiles):
        for star_x, star_y, light in zip(x, y, flux[band], strict=True):
            image = galsim.ImageD(SIZE, SIZE, scale=scale)
            center = galsim.PositionD(float(star_x) + 1, float(star_y) + 1)
            (profile * float(light)).drawImage(image, method="no_pixel", center=center)
            out[band] += image.array
    return out


def rendered(renderer, x, y, flux, **nuisances):
    grids = renderer.empty(1)
    position = torch.as_tensor(np.stack((x, y))).float()
    image_index = torch.zeros(len(x), dtype=torch.int64)
    renderer.scatter(grids, image_index, position, torch.as_tensor(flux).float())
    return renderer.convolve(grids, **nuisances)[0].double().numpy()


def centroid(image):
    index = np.arange(image.shape[-1])
    return np.array([image.sum(0) @ index, image.sum(1) @ index]) / image.sum()


def disagreements(image, reference):
    """Flux (relative), centroid (px) and largest pixel difference (fraction of the peak)."""
    return (
        abs(image.sum() / reference.sum() - 1),
        float(np.hypot(*(centroid(image) - centroid(reference)))),
        float(np.abs(image - reference).max() / reference.max()),
    )


def agree(image, reference):
    limits = (FLUX, CENTROID_PX, PIXEL)
    return all(d <= limit for d, limit in zip(disagreements(image, reference), limits, strict=True))


def positions(rng, n):
    return rng.uniform(6, 58, n), rng.uniform(6, 58, n)


@pytest.fixture(scope="module")
def single_stars(survey, star):
    """Four stars at random sub-pixel positions, each in an image of its own."""
    rng = np.random.default_rng(7)
    x, y = positions(rng, 4)
    one = np.ones((3, 1))
    scale = survey.pixel_scale_arcsec
    return [(a, b, galsim_image(star, [a], [b], one, scale)) for a, b in zip(x, y, strict=True)]


@pytest.mark.parametrize("band", range(3), ids=BANDS)
def test_stars_at_random_subpixel_positions(renderer, single_stars, band):
    for x, y, reference in single_stars:
        image = rendered(renderer, [x], [y], np.ones((3, 1)))
        assert agree(image[band], reference[band]), disagreements(image[band], reference[band])


@pytest.mark.parametrize("band", range(3), ids=BANDS)
def test_the_comparison_rejects_stars_snapped_to_pixel_centres(renderer, single_stars, band):
    for x, y, reference in single_stars:
        snapped = rendered(renderer, [round(x)], [round(y)], np.ones((3, 1)))
        _, off_px, pixel = disagreements(snapped[band], reference[band])
        assert off_px > 5 * CENTROID_PX
        assert pixel > 5 * PIXEL


@pytest.mark.parametrize("band", range(3), ids=BANDS)
def test_stars_snapped_to_the_renderers_own_grid_would_be_rejected(renderer, single_stars, band):
    """Half-pixel grid points without the spline are too coarse as well."""
    rejected = 0
    for x, y, reference in single_stars:
        snapped = rendered(renderer, [round(2 * x) / 2], [round(2 * y) / 2], np.ones((3, 1)))
        rejected += not agree(snapped[band], reference[band])
    assert rejected == len(single_stars)


@pytest.fixture(scope="module")
def usual_renderer(survey):
    """As the simulator has it, with a margin of 8 px."""
    return Renderer(survey, size=SIZE)


@pytest.mark.parametrize("band", range(3), ids=BANDS)
def test_the_simulators_margin_changes_no_pixel_visibly(usual_renderer, single_stars, band):
    """Light that comes back from the other side of the grid stays below the tolerance."""
    for x, y, reference in single_stars:
        image = rendered(usual_renderer, [x], [y], np.ones((3, 1)))[band]
        assert disagreements(image, reference[band])[2] <= PIXEL


def test_a_cluster_of_stars_of_different_colours(survey, renderer, star):
    rng = np.random.default_rng(8)
    n = 12
    x, y = 32 + 4 * rng.standard_normal((2, n))
    flux = 10 ** rng.uniform(-1, 1, (3, n))
    reference = galsim_image(star, x, y, flux, survey.pixel_scale_arcsec)
    image = rendered(renderer, x, y, flux)
    for band in range(3):
        assert agree(image[band], reference[band]), disagreements(image[band], reference[band])


@pytest.mark.parametrize("blur", [0.2, 0.8])
def test_blur_is_a_gaussian_of_its_sigma(survey, renderer, star, blur):
    scale = survey.pixel_scale_arcsec
    kernel = galsim.Gaussian(sigma=blur * scale)
    blurred = [galsim.Convolve(profile, kernel) for profile in star]
    reference = galsim_image(blurred, [31.3], [32.8], np.ones((3, 1)), scale)
    sigma = torch.full((1, 3), blur)
    image = rendered(renderer, [31.3], [32.8], np.ones((3, 1)), blur_px=sigma)
    sharp = rendered(renderer, [31.3], [32.8], np.ones((3, 1)))
    broader = rendered(renderer, [31.3], [32.8], np.ones((3, 1)), blur_px=1.5 * sigma)
    for band in range(3):
        assert agree(image[band], reference[band]), disagreements(image[band], reference[band])
        assert not agree(sharp[band], reference[band])
        assert not agree(broader[band], reference[band])


def test_shift_moves_the_star_in_x_and_y(survey, renderer, star):
    """The shift of each band is its own, and exact to a fraction of a pixel."""
    shift = torch.tensor([[[0.37, -0.21], [-0.44, 0.13], [0.05, 0.62]]])
    image = rendered(renderer, [31.3], [32.8], np.ones((3, 1)), shift_px=shift)
    for band in range(3):
        x, y = 31.3 + float(shift[0, band, 0]), 32.8 + float(shift[0, band, 1])
        one = np.ones((1, 1))
        reference = galsim_image([star[band]], [x], [y], one, survey.pixel_scale_arcsec)[0]
        assert agree(image[band], reference), disagreements(image[band], reference)
        mirrored = galsim_image(
            [star[band]], [62.6 - x], [65.6 - y], one, survey.pixel_scale_arcsec
        )[0]
        assert not agree(image[band], mirrored)
