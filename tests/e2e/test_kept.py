"""What scripts outside this repository use, and what therefore stays as it is.

One mosaic and one measurement are shared by all tests.
"""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

import praesepe

BANDS = ("F336W", "F475W", "F814W")
N = 12
TOML = Path(praesepe.__file__).with_name("data") / "surveys" / "phat.toml"


def command(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line as a script does."""
    return subprocess.run(
        [sys.executable, "-m", "praesepe", *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artificial mosaic, made with the options that scripts use, and a catalogue of it."""
    path = tmp_path_factory.mktemp("kept")
    options = ("--n", N, "--size", 384, "--seed", 5, "--out", "base")
    done = command("mosaic", "phat", *options, cwd=path)
    assert done.returncode == 0, done.stderr
    Table.read(path / "base" / "truth.ecsv")["id", "ra", "dec"].write(path / "cat.csv")
    return path


@pytest.fixture(scope="module")
def images(folder: Path) -> dict[str, Path]:
    return {band: folder / "base" / f"phat_{band.lower()}.fits" for band in BANDS}


@pytest.fixture(scope="module")
def measured(folder: Path, images: dict[str, Path]) -> Table:
    """The table that `praesepe predict` writes, with every option that scripts use."""
    truth = Table.read(folder / "base" / "truth.ecsv")
    pixels = Table([truth["id"], truth["x"], truth["y"]], names=("id", "xpos", "ypos"))
    pixels.write(folder / "pix.csv")
    given = [word for band, path in images.items() for word in ("--image", f"{band}={path}")]
    done = command(
        "predict", "phat", *given, "--catalog", "pix.csv", "--out", "a.ecsv", "--x", "xpos",
        "--y", "ypos", "--origin", 0, "--regions", "a.reg", "--unit", "F475W=electron/s",
        "--zero-point", "F475W=26.06", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"{N} of {N} clusters measured" in done.stdout
    return Table.read(folder / "a.ecsv")


def test_the_mosaic_and_its_truth(folder: Path, images: dict[str, Path]) -> None:
    truth = Table.read(folder / "base" / "truth.ecsv")
    assert {"id", "ra", "dec", "x", "y", "log_age", "log_mass", "log_rh"} <= set(truth.colnames)
    assert len(truth) == N
    for path in images.values():
        with fits.open(path) as hdus:
            header = hdus["SCI"].header
            assert {"PHOTFLAM", "PHOTPLAM", "BUNIT", "CRVAL1"} <= set(header)
            assert hdus[0].header["EXPTIME"] > 0
            x, y = WCS(header).world_to_pixel_values(truth["ra"], truth["dec"])
        np.testing.assert_allclose(x, truth["x"], atol=1e-2)  # counted from 0
        np.testing.assert_allclose(y, truth["y"], atol=1e-2)


def test_columns_of_the_catalogue(measured: Table, folder: Path) -> None:
    names = ("log_age", "log_mass", "log_present_mass", "rh_arcsec", "rh_pc")
    columns = [f"{name}_p{p}" for name in names for p in (16, 50, 84)]
    assert {"id", "x", "y", *columns, "flags", "missing_fraction"} <= set(measured.colnames)
    truth = Table.read(folder / "base" / "truth.ecsv")
    np.testing.assert_allclose(measured["x"], truth["x"] + 1, atol=1e-2)  # FITS counts from 1
    regions = (folder / "a.reg").read_text().splitlines()
    found = [re.match(r"\w+\(([-\d.]+),([-\d.]+)", line) for line in regions[2:]]
    assert len(found) == N
    assert all(found)


def test_the_python_call(folder: Path, images: dict[str, Path], measured: Table) -> None:
    told = []
    result = praesepe.predict(
        "phat",
        images,
        folder / "cat.csv",
        out=folder / "b.ecsv",
        progress=lambda done, total: told.append((done, total)),
    )
    assert told[0] == (0, N)
    assert told[-1] == (N, N)
    assert (np.asarray(result["flags"]) & 1 == 0).all()
    table = Table.read(folder / "b.ecsv")
    for name in ("log_age_p50", "log_mass_p50", "rh_arcsec_p50"):
        np.testing.assert_allclose(table[name], measured[name], atol=2e-2)  # the catalogue's digits
        np.testing.assert_allclose(result[name], table[name], atol=1e-3)
    names = list(inspect.signature(praesepe.predict).parameters)
    assert names[:3] == ["model", "images", "catalog"]
    assert {"out", "progress"} <= set(names)


def test_flags() -> None:
    assert {flag.name: int(flag) for flag in praesepe.Flag} == {
        "OFF_IMAGE": 1,
        "MISSING": 2,
        "PARTLY_MISSING": 4,
        "BAD_COORDINATE": 8,
        "EDGE": 16,
        "AT_PRIOR_EDGE": 32,
        "OUT_OF_DOMAIN": 64,
        "SATURATED": 128,
        "FEW_DRAWS": 256,
        "SECOND_MODE": 512,
        "ODD_PHOTOMETRY": 1024,
        "ODD_SHAPE": 2048,
        "ODD_REGISTRATION": 4096,
        "ODD_NOISE": 8192,
    }


def test_functions_that_scripts_import() -> None:
    from praesepe.images.units import hst_zero_point
    from praesepe.stars import load_passband

    assert hst_zero_point(1e-19, 5000.0) == pytest.approx(26.597, abs=1e-3)
    curve = load_passband("acs_wfc_f814w")
    assert len(curve.wavelength_angstrom) == len(curve.throughput)
    assert 7500 < curve.pivot_angstrom < 8500
    with pytest.raises(praesepe.errors.InputError):
        load_passband("f999w")


def test_stamps_in_memory() -> None:
    rng = np.random.default_rng(0)
    stamps = rng.normal(0.01, 0.003, (2, 3, 64, 64)).astype("f4")
    posterior = praesepe.Estimator.load("phat").predict(stamps)
    samples = np.asarray(posterior.samples)
    assert samples.shape[0] == 2
    assert samples.shape[2] == 3
    assert np.isfinite(samples).all()


def edited(folder: Path, name: str, *changes: Any) -> Path:
    """The survey file with lines replaced, as scripts do it."""
    text = TOML.read_text().replace('name = "phat"', f'name = "{name}"', 1)
    for pattern, new in changes:
        text, n = re.subn(pattern, new, text, flags=re.S)
        assert n, pattern
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


def test_the_survey_file_is_edited_by_its_lines(tmp_path: Path) -> None:
    assert re.findall(r'^name = "(F\d+W)"', TOML.read_text(), flags=re.M) == list(BANDS)
    curve = np.column_stack([np.linspace(7000, 9000, 50), np.hanning(50)])
    np.savetxt(tmp_path / "curve.txt", curve)
    path = edited(
        tmp_path,
        "other",
        (r'name = "F814W"', 'name = "F815W"'),
        (r'filter = "acs_wfc_f814w"', 'filter = "curve.txt"'),
    )
    done = command("survey", "show", path.name, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'name = "F815W"' in done.stdout


@pytest.mark.filterwarnings("ignore:.*Hubble.s")  # the star is a Gaussian
def test_a_survey_with_a_psf_file_simulates_given_clusters(tmp_path: Path) -> None:
    y, x = np.mgrid[:161, :161]
    star = np.exp(-((x - 80.0) ** 2 + (y - 80.0) ** 2) / 32)
    header = fits.Header([("PIXSCALE", 0.0125)])
    fits.PrimaryHDU((star / star.sum()).astype("f4"), header).writeto(tmp_path / "psf.fits")
    path = edited(
        tmp_path,
        "off",
        (r'(name = "F814W".*?)psf = \{.*?\}', r'\1psf = { file = "psf.fits" }'),
        (r"(registration_px|cent(?:re|er)_shift_px) = [\d.]+", r"\1 = 0.0"),
    )
    simulator = praesepe.Simulator(str(path), seed=1, n_fields=0)
    given = {"log_age": 9.5, "log_mass": 4.5, "log_rh": -0.6}
    images = np.asarray(simulator.observe(given, n=6).images)
    assert images.shape == (6, 3, 64, 64)
    assert (
        images[:, :, 28:37, 28:37].sum(axis=(2, 3)) > images[:, :, :9, :9].sum(axis=(2, 3))
    ).all()


def test_metrics_of_phat(tmp_path: Path) -> None:
    metrics = praesepe.evaluate("phat", n=8, seed=77, n_samples=20, out=tmp_path / "evaluation")
    assert {"all", "seed_range", "m_gt_1000"} <= set(metrics)
    assert metrics["all"]["n"] == 8
    assert (tmp_path / "evaluation" / "metrics.json").is_file()
