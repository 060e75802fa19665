"""Roman's ASDF files: the right values at the right place, or a refusal in plain words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import ICRS
from astropy.modeling import models

from praesepe.errors import InputError
from praesepe.images.reading.source import open_image

asdf = pytest.importorskip("asdf")
pytest.importorskip("gwcs")
SCALE, AT = 0.05 / 3600, (120.0, 85.0)


def gwcs_of_a_mosaic() -> Any:
    from gwcs import WCS, coordinate_frames

    to_sky = (
        models.Shift(-AT[0]) & models.Shift(-AT[1])
        | models.Scale(-SCALE) & models.Scale(SCALE)
        | models.Pix2Sky_TAN()
        | models.RotateNative2Celestial(11.0, 41.5, 180.0)
    )
    detector = coordinate_frames.Frame2D(name="detector", unit=(u.pix, u.pix))
    sky = coordinate_frames.CelestialFrame(reference_frame=ICRS(), name="world")
    return WCS([(detector, to_sky), (sky, None)])


def write(path: Path, planes: dict[str, Any] | None = None, **changes: Any) -> Path:
    y, x = np.mgrid[:200, :220].astype(np.float32)
    meta = {
        "telescope": "ROMAN",
        "instrument": {"name": "WFI", "optical_element": "F158"},
        "coadd_info": {"exposure_time": 642.0},
        "photometry": {"pixel_area": 5.876e-14, "conversion_megajanskys": 0.4},
        "wcs": gwcs_of_a_mosaic(),
    }
    weight = np.ones((200, 220), np.float32)
    weight[:5] = 0
    roman = {"data": 1 + x + y / 1000, "weight": weight, "meta": meta | changes, **(planes or {})}
    asdf.AsdfFile({"roman": roman}).write_to(path)
    return path


def test_a_mosaic(tmp_path: Path) -> None:
    source = open_image(write(tmp_path / "a.asdf"), "F158")
    pixels = np.asarray(source.pixels)
    assert pixels.shape == (200, 220)
    assert pixels[100, 150] == pytest.approx(151.1)
    assert np.isnan(pixels[:5]).all()
    assert np.isfinite(pixels[5:]).all()
    (header,) = source.headers
    assert [header[k] for k in ("BUNIT", "FILTER", "INSTRUME")] == ["MJy/sr", "F158", "WFI"]
    assert header["EXPTIME"] == 642.0
    sky = gwcs_of_a_mosaic()(3.0, 190.0)
    np.testing.assert_allclose(source.wcs.all_world2pix([sky], 0), [[3.0, 190.0]], atol=0.01)


@pytest.mark.parametrize(
    ("name", "good", "bad"), [("weight", 1, np.nan), ("weight", 1, -1), ("context", 2, 0)]
)
def test_what_was_not_observed(tmp_path: Path, name: str, good: float, bad: float) -> None:
    plane = np.full((200, 220), good, np.float32)
    plane[:, :7] = bad
    if name == "context":
        plane = np.stack([np.zeros_like(plane), plane]).astype("u4")
    pixels = np.asarray(open_image(write(tmp_path / "a.asdf", {name: plane}), "F158").pixels)
    assert np.isnan(pixels[:, :7]).all()
    assert np.isfinite(pixels[5:, 7:]).all()


def test_saturated_pixels(tmp_path: Path) -> None:
    quality = np.zeros((200, 220), "u4")
    quality[50, 60], quality[70, 80] = 2, 1
    pixels = open_image(write(tmp_path / "a.asdf", {"dq": quality}), "F158").pixels
    assert np.argwhere(pixels.marked_saturated(0, 0, 200, 220)).tolist() == [[50, 60]]
    assert np.isnan(pixels[70:71, 80:81]).all()
    assert np.isfinite(pixels[50:51, 60:61]).all()


def test_an_asdf_file_has_no_extensions(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="extension 'SCI', but an ASDF file has none"):
        open_image(write(tmp_path / "a.asdf"), "F158", "SCI")


def test_what_is_no_image_of_romans(tmp_path: Path) -> None:
    path = tmp_path / "x.asdf"
    path.write_bytes(b"#ASDF 1.0.0\n#ASDF_STANDARD 1.5.0\n%YAML 1.1\n---\nroman: {}\n...\n")
    with pytest.raises(InputError, match=r"an ASDF file without .*roman\.data"):
        open_image(path, "F158")
    whole = write(tmp_path / "a.asdf").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="ASDF"):
        open_image(path, "F158")
