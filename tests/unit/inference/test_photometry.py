"""Light in circles on stamps."""

from __future__ import annotations

import numpy as np
import pytest

from praesepe.errors import InputError
from praesepe.inference import photometry
from praesepe.sky.instrument.psf import optical_psf
from praesepe.sky.instrument.psf_shapes import encircled_energy
from praesepe.survey import PSF


@pytest.mark.parametrize("radius", [0.3, 1.0, 4.2, 9.9])
@pytest.mark.parametrize(("x", "y"), [(12.0, 12.0), (11.37, 12.81)])
def test_light_of_a_flat_image_is_the_area(x: float, y: float, radius: float) -> None:
    flux = photometry.aperture_flux(np.ones((1, 1, 24, 25)), x=x, y=y, radius_px=radius)
    assert flux[0, 0] == pytest.approx(np.pi * radius**2, rel=1e-12)


def test_pixels_count_by_their_overlap() -> None:
    """Against brute force: 200 × 200 points in every pixel."""
    image = np.random.default_rng(1).normal(size=(1, 1, 9, 9))
    fine = (np.arange(9 * 200) + 0.5) / 200 - 0.5
    inside = np.hypot(fine[None, :] - 3.8, fine[:, None] - 4.3) < 2.6
    counted = inside.reshape(9, 200, 9, 200).mean(axis=(1, 3))
    flux = photometry.aperture_flux(image, x=3.8, y=4.3, radius_px=2.6)
    assert flux[0, 0] == pytest.approx((image[0, 0] * counted).sum(), abs=3e-3)


def test_agrees_with_encircled_energy() -> None:
    psf = optical_psf(PSF(), np.array([5000.0]), 0.05, 40)
    radii = np.array([2.0, 5.5, 20.0])
    expected = encircled_energy(psf, 0.05, 0.05 * radii)
    images = np.broadcast_to(psf, (3, 1, 81, 81))
    measured = photometry.aperture_flux(images, x=40, y=40, radius_px=radii)
    assert measured[:, 0] == pytest.approx(expected, rel=1e-12)


def test_ring_removes_a_flat_sky_and_nothing_else() -> None:
    source = np.zeros((2, 3, 41, 41))
    source[:, :, 20, 20] = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    sky = np.array([0.5, -0.1, 7.0])[:, None, None]
    where = {"x": [20.0, 20.4], "y": 20.0, "radius_px": [4.0, 5.0]}
    flux = photometry.aperture_flux(source + sky, **where, sky_px=([6.0, 7.0], 15.0))
    assert flux == pytest.approx(source.sum((2, 3)), abs=1e-9)
    without = photometry.aperture_flux(source + sky, **where)
    assert np.abs(without - source.sum((2, 3))).min() > 1  # the ring did it


@pytest.mark.parametrize(
    ("radius", "ring"), [(11.0, None), (0.0, None), (3.0, (6.0, 5.0)), (3.0, (4.0, 12.0))]
)
def test_impossible_circles(radius: float, ring: tuple[float, float] | None) -> None:
    with pytest.raises(InputError, match="stamp 0"):
        photometry.aperture_flux(np.ones((1, 1, 21, 21)), x=10, y=10, radius_px=radius, sky_px=ring)


def test_images_need_four_axes() -> None:
    with pytest.raises(InputError, match="must be \\(n, band, y, x\\)"):
        photometry.aperture_flux(np.ones((21, 21)), x=10, y=10, radius_px=3)
