"""Windows, scaled integers, temporary files."""

from __future__ import annotations

import io
import tempfile

import numpy as np
import pytest

from praesepe.errors import PraesepeError
from praesepe.images.reading.pixels import Pixels, scratch_image


def test_windows_agree_with_slices(rng: np.random.Generator) -> None:
    image = rng.normal(size=(40, 50)).astype(">f4")
    pixels = Pixels(image, image.shape)
    assert np.array_equal(pixels[3:9, 10:30], image[3:9, 10:30])
    assert np.array_equal(np.asarray(pixels), image)
    assert pixels[3:9, 10:30].dtype == np.float32


@pytest.mark.parametrize("corner", [(-3, -4), (35, 45), (-3, 45), (36, -8), (10, 47)])
def test_beyond_the_edge_is_nan(corner: tuple[int, int]) -> None:
    image = np.arange(2000.0).reshape(40, 50)
    padded = np.pad(image, 20, constant_values=np.nan)
    window = Pixels(image, image.shape).read(*corner, 8, 9)
    y, x = corner[0] + 20, corner[1] + 20
    np.testing.assert_array_equal(window, padded[y : y + 8, x : x + 9])


@pytest.mark.parametrize("corner", [(-30, 0), (0, 80), (60, 60), (-9, -9)])
def test_far_off_is_all_nan(corner: tuple[int, int]) -> None:
    assert np.isnan(Pixels(np.ones((40, 50)), (40, 50)).read(*corner, 8, 9)).all()


def test_scaled_integers_and_blank() -> None:
    raw = np.array([[-32768, -32767], [5, -1]], ">i2")
    pixels = Pixels(raw, raw.shape, scale=0.5, zero=100.0, blank=-1)
    expected = [[100 - 16384, 0.5 * -32767 + 100], [102.5, np.nan]]
    np.testing.assert_allclose(pixels[0:2, 0:2], expected)


def test_offset_presents_another_grid() -> None:
    image = np.arange(12.0).reshape(3, 4)
    shifted = Pixels(image, (2, 2), offset=(1, 2))
    assert np.array_equal(np.asarray(shifted), image[1:3, 2:4])


def test_mask_becomes_nan() -> None:
    mask = np.array([[True, False], [False, False]])
    window = Pixels(np.ones((2, 2)), (2, 2), mask=mask)[0:2, 0:2]
    assert np.array_equal(np.isnan(window), mask)


def test_scratch_image_leaves_no_file(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    image = scratch_image((4, 3), iter([np.ones((2, 3), "f4"), np.full((2, 3), 2, "f4")]))
    assert np.asarray(image).tolist() == [[1] * 3, [1] * 3, [2] * 3, [2] * 3]
    assert list(tmp_path.iterdir()) == []


def test_full_disk_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, _data: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(PraesepeError, match="No space left on device; set TMPDIR"):
        scratch_image((2, 3), iter([np.ones((2, 3), "f4")]))
