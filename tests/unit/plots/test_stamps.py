"""Color pictures: hues follow the bands, what is missing is dark, and grids have their words."""

from __future__ import annotations

import numpy as np
import pytest

from praesepe.plots import (
    color_scale,
    new_figure,
    plot_scale_bar,
    plot_stamp,
    rgb,
)
from praesepe.stars.curves import load_passband
from praesepe.survey import load_survey

PHAT = load_survey("phat-nodust")
SCALE = color_scale(PHAT.bands)


@pytest.fixture
def stamps(rng: np.random.Generator) -> np.ndarray:
    noise = rng.normal(0.05, 0.01, (20, 3, 64, 64)).astype(np.float32)
    noise[:, :, 30:34, 30:34] += 0.5
    return noise


def star_color(*beyond_vega: float) -> list[int]:
    """Red, green and blue of a star whose magnitudes are those of Vega plus something per band."""
    rate = [
        10 ** (0.4 * (band.zero_point_ab + load_passband(band.filter).vega_minus_ab - 24.5 - extra))
        for band, extra in zip(PHAT.bands, beyond_vega, strict=True)
    ]
    stamp = np.zeros((3, 9, 9))
    stamp[:, 4, 4] = rate
    picture = rgb(stamp, SCALE)
    assert picture.shape == (9, 9, 3)
    assert picture.dtype == np.uint8
    return picture[4, 4].astype(int).tolist()


def test_an_a0_star_is_white_a_hot_one_blue_a_cool_one_red() -> None:
    red, green, blue = star_color(0, 0, 0)
    assert max(red, green, blue) - min(red, green, blue) <= 6
    red, _, blue = star_color(-1.5, -0.5, 0)
    assert blue > red + 30
    red, _, blue = star_color(3, 1.5, 0)
    assert red > blue + 30


def test_missing_pixels_are_dark(stamps: np.ndarray) -> None:
    stamps[0, :, :5] = np.nan
    assert rgb(stamps[0], SCALE)[:5].max() == 0
    stamps[0, 1, -3:] = np.nan  # one band is enough
    assert rgb(stamps[0], SCALE)[-3:].max() == 0
    assert rgb(np.full((3, 8, 8), np.nan), SCALE).max() == 0


def test_a_higher_stretch_is_darker(stamps: np.ndarray) -> None:
    darker = color_scale(PHAT.bands, stretch=10.0)
    assert rgb(stamps[0], darker).sum() < rgb(stamps[0], SCALE).sum()


@pytest.mark.parametrize("n_bands", [1, 2, 3])
def test_fewer_bands(stamps: np.ndarray, n_bands: int) -> None:
    picture = rgb(stamps[0, :n_bands], color_scale(PHAT.bands[:n_bands]))
    assert picture.shape == (64, 64, 3)
    if n_bands == 1:
        assert (picture[..., 0] == picture[..., 2]).all()


def test_bands_beyond_the_eye_are_shown_only_where_there_are_no_others(
    stamps: np.ndarray,
) -> None:
    six = load_survey("phat6").bands
    stamp = np.concatenate([7 * stamps[1, :1], stamps[0], 7 * stamps[2, :2]])
    picture = rgb(stamp, color_scale(six))
    assert (picture == rgb(stamp[1:4], color_scale(six[1:4]))).all()
    infrared = rgb(stamp[4:], color_scale(six[4:]))
    assert infrared.max() > 0
    assert color_scale(six[3:]).bands.all()  # one that is seen, two that are not


def test_wrong_shape(stamps: np.ndarray) -> None:
    with pytest.raises(ValueError, match="it must be"):
        rgb(stamps[0, :2], SCALE)


def test_a_stamp_with_its_words(stamps: np.ndarray) -> None:
    ax = new_figure(2, 2).subplots()
    assert plot_stamp(ax, stamps[0], SCALE, label="12 Myr") is ax
    plot_scale_bar(ax, 20, "1″", side_px=64)
    assert [text.get_text() for text in ax.texts] == ["12 Myr", "1″"]
    left, right = ax.lines[0].get_xdata()
    assert right - left == 20
