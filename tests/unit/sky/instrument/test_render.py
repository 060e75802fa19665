"""The renderer: linearity, stamps and bands apart, margins, encircled energy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from praesepe.sky.instrument import render
from praesepe.sky.instrument.psf import band_psf
from praesepe.sky.instrument.psf_shapes import encircled_energy
from praesepe.sky.instrument.render import Renderer, bspline
from praesepe.survey import load_survey

SIZE, PAD = 64, 8


@pytest.fixture(scope="module")
def survey():
    return load_survey("phat-nodust")


@pytest.fixture(scope="module")
def renderer(survey):
    return Renderer(survey, size=SIZE, pad=PAD)


def draw(renderer, stars, n=1, **nuisances):
    """Stars as (image_index, x, y, flux in each band)."""
    grids = renderer.empty(n)
    image_index = torch.tensor([int(star[0]) for star in stars])
    position = torch.tensor([[star[1] for star in stars], [star[2] for star in stars]])
    flux = torch.tensor([star[3:] for star in stars]).T
    renderer.scatter(grids, image_index, position, flux)
    return renderer.convolve(grids, **nuisances)


ONE = (0, 32.3, 30.9, 1.0, 1.0, 1.0)


def close(image, other, tolerance=1e-5):
    """Equal to `tolerance` of the peak."""
    return bool((image - other).abs().max() <= tolerance * other.abs().max())


def test_images_are_as_large_as_asked(survey, renderer):
    assert draw(renderer, [ONE], n=2).shape == (2, 3, SIZE, SIZE)
    assert renderer.grid == 2 * (SIZE + 2 * PAD)
    assert renderer.size == survey.stamp_size


@pytest.mark.parametrize("blur_px", [-0.3, 0.0, 0.6])
def test_widths_are_those_of_the_stars(renderer, blur_px):
    """Of the profile along x, sampled at eighths of a pixel."""
    eighths = torch.arange(8) / 8
    stars = [(i, 32.0 + float(dx), 31.0, 1.0, 1.0, 1.0) for i, dx in enumerate(eighths)]
    blur = torch.full((8, 3), blur_px)
    images = draw(renderer, stars, n=8, blur_px=blur)
    told = renderer.widths(8, blur_px=blur)
    assert torch.equal(told[0], told[-1])
    for band in range(3):
        x = (torch.arange(SIZE) - 32.0 - eighths[:, None]).flatten()
        order = x.argsort()
        profile = images[:, band, 31].flatten()[order].numpy()
        x = x[order].numpy()
        half = profile.max() / 2
        right = np.interp(-half, -profile[x >= 0], x[x >= 0])
        left = np.interp(half, profile[x <= 0], x[x <= 0])
        assert float(told[0, band]) == pytest.approx(right - left, rel=0.06)
    assert not torch.allclose(told, renderer.widths(8), rtol=0.03) or blur_px == 0


def test_light_adds_up(renderer):
    a, b = (0, 30.2, 33.4, 1.0, 2.0, 3.0), (0, 35.7, 28.1, 0.5, 0.2, 7.0)
    assert close(draw(renderer, [a, b]), draw(renderer, [a]) + draw(renderer, [b]))


def test_flux_of_each_band_is_its_own(renderer):
    image = draw(renderer, [(0, 32.3, 30.9, 2.0, 0.0, 5.0)])[0]
    one = draw(renderer, [ONE])[0]
    assert close(image[0], 2 * one[0])
    assert float(image[1].abs().max()) == 0.0
    assert close(image[2], 5 * one[2])


def test_stars_go_to_the_stamp_that_owns_them(renderer):
    image = draw(renderer, [(2, *ONE[1:])], n=3)
    assert float(image[:2].abs().max()) == 0.0
    assert close(image[2], draw(renderer, [ONE])[0])


def test_whole_pixel_moves_move_the_image(renderer):
    moved = draw(renderer, [(0, 35.3, 28.9, 1.0, 1.0, 1.0)])[0]
    rolled = draw(renderer, [ONE])[0].roll((-2, 3), dims=(-2, -1))
    assert close(moved[:, 8:-8, 8:-8], rolled[:, 8:-8, 8:-8])


def test_x_is_the_column_and_y_the_row(renderer):
    image = draw(renderer, [(0, 40.0, 20.0, 1.0, 1.0, 1.0)])[0, 0]
    assert divmod(int(image.argmax()), SIZE) == (20, 40)


def test_the_peak_is_the_fraction_in_the_central_pixel(renderer):
    image = draw(renderer, [(0, 32.0, 32.0, 1.0, 1.0, 1.0)])[0]
    assert image[:, 32, 32].tolist() == pytest.approx(renderer.peak.tolist(), rel=5e-3)


def test_light_adds_up_to_the_encircled_energy(survey, renderer):
    """Not to one: some of it falls outside every aperture."""
    image = draw(renderer, [(0, 32.0, 32.0, 1.0, 1.0, 1.0)])[0].double().numpy()
    radii = [0.5, 1.0, 1.5]
    for i, band in enumerate(survey.bands):
        fine = band_psf(band, grid_scale_arcsec=0.0125, half_size_px=140, pixel_scale_arcsec=0.05)
        expected = encircled_energy(fine, 0.0125, radii)
        stamp = image[i, 1:, 1:]  # the star on the middle of 63 pixels
        assert encircled_energy(stamp, 0.05, radii) == pytest.approx(expected, abs=2e-3)
        assert 0.9 < image[i].sum() < 0.998


def test_gain(renderer):
    stars = [ONE, (1, *ONE[1:])]
    gain = torch.tensor([[1.0, 2.0, 3.0], [0.5, 0.1, 4.0]])
    image = draw(renderer, stars, n=2, gain=gain)
    assert close(image, gain[..., None, None] * draw(renderer, stars, n=2))


def test_nuisances_are_independent_between_stamps_and_bands(renderer, generator):
    stars = [(k, 32.3, 30.9, 1.0, 2.0, 0.5) for k in range(3)]
    gain = 1 + 0.1 * torch.randn(3, 3, generator=generator)
    blur = 0.8 * torch.rand(3, 3, generator=generator)
    shift = 0.3 * torch.randn(3, 3, 2, generator=generator)
    together = draw(renderer, stars, n=3, gain=gain, blur_px=blur, shift_px=shift)
    for k in range(3):
        for band in range(3):
            same = {
                "gain": gain[k, band].expand(1, 3),
                "blur_px": blur[k, band].expand(1, 3),
                "shift_px": shift[k, band].expand(1, 3, 2),
            }
            alone = draw(renderer, [(0, *stars[k][1:])], **same)[0, band]
            assert close(together[k, band], alone)


def test_a_shift_is_the_same_as_a_star_elsewhere(renderer):
    shift = torch.tensor([0.37, -0.81]).expand(1, 3, 2)
    shifted = draw(renderer, [ONE], shift_px=shift)
    elsewhere = draw(renderer, [(0, 32.67, 30.09, 1.0, 1.0, 1.0)])
    assert close(shifted, elsewhere, 5e-3)
    assert not close(draw(renderer, [ONE]), elsewhere, 5e-3)


def test_a_blur_widens_a_star_and_keeps_its_light(renderer):
    """In a box of 25 px, from which wings are lost; exactly in test_renderer_galsim.py."""

    def width(image):
        middle = image[0, 2, 20:45, 20:45].double()
        index = torch.arange(25.0, dtype=torch.float64)
        across = middle.sum(0) / middle.sum()
        return float((across * index**2).sum() - (across * index).sum() ** 2)

    stars = [(0, 32.0, 32.0, 1.0, 1.0, 1.0)]
    sharp = draw(renderer, stars)
    blurred = draw(renderer, stars, blur_px=torch.full((1, 3), 0.8))
    assert width(blurred) - width(sharp) == pytest.approx(0.64, rel=0.1)
    assert blurred.sum().item() == pytest.approx(sharp.sum().item(), rel=1e-4)


@pytest.mark.parametrize("x", [-PAD - 1.0, SIZE + PAD + 0.0, -1e9, float("inf"), float("nan")])
def test_stars_outside_the_margin_are_left_out(renderer, x):
    stars = [ONE, (0, x, 30.0, 1e3, 1e3, 1e3), (0, 30.0, x, 1e3, 1e3, 1e3)]
    assert torch.equal(draw(renderer, stars), draw(renderer, [ONE]))


def test_stars_inside_the_margin_shine_into_the_stamp(renderer):
    image = draw(renderer, [(0, -3.0, 32.0, 1.0, 1.0, 1.0)])[0, 1]
    assert float(image[32, 0]) > 10 * float(image[32, 20]) > 0


def test_the_size_of_chunks_changes_nothing(renderer, generator, monkeypatch):
    position = 80 * torch.rand((2, 500), generator=generator) - 8
    flux = torch.rand((3, 500), generator=generator)
    image_index = torch.randint(0, 4, (500,), generator=generator)

    def grids():
        grid = renderer.empty(4)
        renderer.scatter(grid, image_index, position, flux)
        return grid

    whole = grids()
    monkeypatch.setitem(render.STARS_PER_CHUNK, "cpu", 7)
    assert close(grids(), whole, 1e-6)


def test_no_stars(renderer):
    none = torch.zeros(0, dtype=torch.int64)
    grids = renderer.empty(1)
    renderer.scatter(grids, none, torch.zeros(2, 0), torch.zeros(3, 0))
    assert float(renderer.convolve(grids).abs().max()) == 0.0


def test_spline_weights_keep_light_and_centre():
    fraction = torch.rand((2, 100), dtype=torch.float64)
    weights = bspline(fraction)  # (2, 4, star)
    points = torch.arange(-1, 3, dtype=torch.float64)[None, :, None]
    assert (weights > 0).all()
    np.testing.assert_allclose(weights.sum(1), 1)
    np.testing.assert_allclose((weights * points).sum(1), fraction)
    spread = (weights * (points - fraction[:, None]) ** 2).sum(1)
    np.testing.assert_allclose(spread, 1 / 3)


def test_a_blur_below_zero_sharpens_as_much_as_one_above_broadens(renderer):
    stars = [(0, 32.0, 32.0, 1.0, 1.0, 1.0)]
    nominal, sharper, broader = (
        draw(renderer, stars, blur_px=torch.full((1, 3), blur)) for blur in (0.0, -0.3, 0.3)
    )
    change = (sharper - nominal)[..., 31:34, 31:34].sum((-1, -2))
    assert (change > 0.005).all()
    opposite = (nominal - broader)[..., 31:34, 31:34].sum((-1, -2))
    torch.testing.assert_close(change, opposite, rtol=0.15, atol=0)
    torch.testing.assert_close(sharper.sum((-1, -2)), nominal.sum((-1, -2)), rtol=1e-3, atol=0)
    lowest = draw(renderer, stars, blur_px=torch.full((1, 3), -0.6))
    assert lowest.min() > -1e-3 * lowest.max()
