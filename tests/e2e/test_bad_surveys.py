"""Surveys that cannot be simulated, as `praesepe simulate` meets them: one clean message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from praesepe.survey import load_survey

INDEX = np.arange(41) - 20
STAR = np.exp(-0.125 * (INDEX[:, None] ** 2 + INDEX[None, :] ** 2))
STAR /= STAR.sum()


@pytest.fixture
def simulate(run_cli: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Run ``praesepe simulate`` for the phat survey in one band, with other lines in its file."""

    def run(before: str = "", after: str = "") -> Any:
        phat = load_survey("phat-nodust")
        text = phat.with_values(
            name="small", observation={"bands": phat.bands[1:2]}, network={"stamp_size": 32}
        ).to_toml()
        assert before in text
        (tmp_path / "small.toml").write_text(text.replace(before, after, 1), encoding="utf-8")
        words = ("simulate", "small.toml", "--n", 1, "--out", "a.fits")
        return run_cli(*words, cwd=tmp_path, check=False, env={"PRAESEPE_DATA": str(tmp_path)})

    return run


def message(finished: Any) -> str:
    assert finished.returncode == 2, finished.output
    assert "Traceback" not in finished.output
    assert finished.stderr.count("Error:") == 1, finished.stderr
    return " ".join(finished.stderr.split())


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('filter = "acs_wfc_f475w"', 'filter = "acs_wfc_f457w"', "Did you mean 'acs_wfc_f475w'"),
        ('isochrones = "sse"', 'isochrones = "ssse"', "unknown stellar model 'ssse'"),
        ("log_mass = [2.0, 4.5]", "log_mass = [4.5, 2.0]", "must not exceed the second"),
        ("log_age = [6.6, 10.1]", "log_age = [5.0, 10.1]", "embedded isochrones cover 6.6 to 10.1"),
    ],
)
def test_surveys(simulate: Any, before: str, after: str, said: str) -> None:
    assert said in message(simulate(before, after))


def psf(folder: Path, image: np.ndarray, **header: Any) -> tuple[str, str]:
    """Write a PSF file, and the lines of the survey that name it."""
    hdu = fits.PrimaryHDU(image.astype(np.float32))
    hdu.header.update(header)
    hdu.writeto(folder / "psf.fits")
    return "[observation.bands.psf]", '[observation.bands.psf]\nfile = "psf.fits"'


BROKEN = np.where((INDEX[:, None] == 0) & (INDEX[None, :] == 1), np.nan, STAR)


@pytest.mark.parametrize(
    ("image", "header", "said"),
    [
        (STAR, {}, "does not say its sampling"),
        (
            STAR,
            {"PIXSCALE": 0.5},
            "sampled every 0.5 arcsec (its header), the mosaic's pixel is 0.",
        ),
        (STAR, {"PIXSCALE": 5.0}, "sampled every 5 arcsec"),
        (BROKEN, {"PIXSCALE": 0.025}, "has NaN or fill values"),
        (np.roll(STAR, 8, 1), {"PIXSCALE": 0.025}, "the star must stand on element"),
        (0 * STAR, {"PIXSCALE": 0.025}, "holds no light"),
    ],
)
def test_psf_files(
    simulate: Any, tmp_path: Path, image: np.ndarray, header: Any, said: str
) -> None:
    assert said in message(simulate(*psf(tmp_path, image, **header)))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (7 * STAR, "the values add up to 7, not to 1"),
        (np.where(INDEX[:, None] < -17, np.nan, STAR), "123 of 1681 values (7.3%) are NaN"),
        (STAR[:-1, :-1], ""),
    ],
)
def test_psf_files_that_can_be_used(
    simulate: Any, tmp_path: Path, image: np.ndarray, said: str
) -> None:
    finished = simulate(*psf(tmp_path, image, PIXSCALE=0.025))
    assert finished.returncode == 0, finished.output
    told = " ".join(finished.stderr.split())
    assert said in told
    assert told.count("add up to") + told.count("are NaN") == bool(said)
    assert np.isfinite(fits.getdata(tmp_path / "a.fits", "IMAGES")).all()
