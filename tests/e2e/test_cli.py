"""Every command from the shell to its files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

import praesepe
from praesepe.errors import InputError
from praesepe.inference.draws import read_samples
from praesepe.network.estimator import model_names
from praesepe.survey import Survey, load_survey

Run = Callable[..., Any]


def test_version_and_help(run_cli: Run) -> None:
    assert run_cli("--version").stdout.strip() == f"praesepe {praesepe.__version__}"
    text = run_cli("--help").stdout
    for command in ("survey", "simulate", "train", "predict", "evaluate", "demo"):
        assert command in text
        assert "--help" in run_cli(command, "--help").stdout
    for command in ("train", "mosaic"):  # what a catalog needs depends on the survey
        assert not re.search("log_age|rh_arcsec|metallicity", run_cli(command, "--help").stdout)


def test_the_entry_point_of_the_package(run_cli: Run) -> None:
    assert run_cli("survey", "list", separate=True).stdout.split().count("phat") == 1


def test_survey_show_prints_toml(run_cli: Run, tmp_path: Path) -> None:
    for options in ((), ("--all",)):
        file = tmp_path / "copy.toml"
        file.write_text(run_cli("survey", "show", "phat", *options).stdout)
        assert load_survey(file) == load_survey("phat")
    assert "jitter_arcsec" in file.read_text()  # --all fills in the defaults
    shown = run_cli("survey", "show", "phat").stdout
    assert "McConnachie" in shown  # the comments are kept
    assert "# F336W: optical model of Hubble" in shown


def test_survey_init_writes_a_survey_to_edit(run_cli: Run, tmp_path: Path) -> None:
    run_cli("survey", "init", "m33.toml", cwd=tmp_path)
    survey = load_survey(tmp_path / "m33.toml")
    assert survey.name == "m33"
    assert survey.bands == load_survey("phat").bands
    shown = run_cli("survey", "show", tmp_path / "m33.toml").stdout
    assert 'name = "m33"' in shown
    refused = run_cli("survey", "init", "m33.toml", cwd=tmp_path, check=False)
    assert refused.returncode == 2
    assert "exists" in refused.stderr
    assert "--overwrite" in refused.stderr
    run_cli("survey", "init", "m33.toml", "--like", "phat-nodust", "--overwrite", cwd=tmp_path)


OLD_TOY = """
name = "toy"
distance_pc = 785000.0
pixel_scale_arcsec = 0.1
stamp_size = 16
[prior]
log_mass = [2.0, 3.5]
rh_arcsec = [0.1, 0.4]
[field]
surface_density = [0.02, 0.1]
[[bands]]
name = "F475W"
filter = "acs_wfc_f475w"
zero_point_ab = 26.06
exposure_s = 1700.0
sky_e_s = [0.1, 0.2]
asinh_scale = 0.03
"""


def test_survey_upgrade(run_cli: Run, tmp_path: Path) -> None:
    """In its place, the old one kept; or into another file. Today's form is left alone."""
    file, other = tmp_path / "toy.toml", tmp_path / "other.toml"
    file.write_text("# mine\n" + OLD_TOY)
    refused = run_cli("survey", "show", file, check=False)
    assert refused.returncode == 2
    assert f"praesepe survey upgrade {file}" in refused.stderr.replace("\n", "")
    run_cli("survey", "upgrade", file, "--out", other)
    assert file.read_text() == "# mine\n" + OLD_TOY
    again = run_cli("survey", "upgrade", file, "--out", other, check=False)
    assert again.returncode == 2
    assert "--overwrite" in again.stderr
    told = run_cli("survey", "upgrade", file).stdout.replace("\n", " ")
    assert "without comments; they are in" in told
    assert (tmp_path / "toy.toml.old").read_text() == "# mine\n" + OLD_TOY
    assert file.read_text() == other.read_text()
    assert load_survey(file).band_names == ("F475W",)
    assert "nothing was written" in run_cli("survey", "upgrade", file).stdout
    for junk in (b"\xff\xfe", b"[["):
        file.write_bytes(junk)
        refused = run_cli("survey", "upgrade", file, check=False)
        assert refused.returncode == 2
        assert "is not valid TOML in UTF-8" in refused.stderr


@pytest.fixture(scope="module")
def mocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from praesepe.mocks.sets import simulate

    path = tmp_path_factory.mktemp("mocks") / "mocks.fits"
    simulate("phat-nodust", n=260, seed=3, out=path, command="praesepe simulate phat")
    return path


def test_simulate(run_cli: Run, mocks: Path, tmp_path: Path, phat: Survey) -> None:
    out = tmp_path / "again.fits"
    run_cli("simulate", "phat-nodust", "--n", 260, "--seed", 3, "--out", out)
    with fits.open(out) as ours, fits.open(mocks) as theirs:
        images, truth = ours["IMAGES"], Table(ours["TRUTH"].data)
        assert images.data.shape == (260, 3, 64, 64)
        assert images.data.dtype == np.dtype(">f4")
        assert images.header["BUNIT"] == "electron/s"
        assert images.header["SURVEY"] == phat.name
        assert images.header["SURVHASH"] == phat.fingerprint()
        assert images.header["SEED"] == 3
        assert [images.header[f"BAND{i}"] for i in (1, 2, 3)] == list(phat.band_names)
        assert images.header["ABZP2"] == phat.bands[1].zero_point_ab
        assert "praesepe simulate phat" in str(images.header["HISTORY"])
        np.testing.assert_array_equal(images.data, theirs["IMAGES"].data)  # the same seed
        assert len(truth) == 260
        assert {"log_age", "log_mass", "log_rh", "log_present_mass"} <= set(truth.colnames)
        ours.verify("exception")
    assert [p.name for p in tmp_path.iterdir()] == ["again.fits"]


def test_truth_is_described_in_terms_that_fits_knows(mocks: Path) -> None:
    """Warnings are errors here: units that FITS does not know would stop the reading."""
    truth = Table.read(mocks, hdu="TRUTH")
    assert str(truth["mag_F475W"].unit) == "mag"
    assert truth["field_density"].unit.is_equivalent("solMass / pc2")
    assert truth["log_age"].unit is None
    with fits.open(mocks) as file:
        header = file["TRUTH"].header
        comments = {name: header[f"TCOMM{i}"] for i, name in enumerate(truth.colnames, start=1)}
        assert file["IMAGES"].data.shape[0] == len(truth)
    assert comments["log_age"].endswith("[dex(yr)]")
    assert "first is 0" in comments["x"]
    assert all(text and text != name for name, text in comments.items())
    # one pixel of freedom around the stamp's middle, counted from 0
    assert abs(np.median(truth["x"]) - 32) < 0.2


def test_mocks_brighten_with_their_mass(mocks: Path) -> None:
    """The truth belongs to the image beside it; shuffled, the relation is gone."""
    with fits.open(mocks) as file:
        light = file["IMAGES"].data[:, 2, 22:43, 22:43].sum(axis=(1, 2))
        magnitude = file["TRUTH"].data["mag_F814W"]
    rank = np.corrcoef(np.argsort(np.argsort(light)), np.argsort(np.argsort(-magnitude)))[0, 1]
    shuffled = np.random.default_rng(0).permutation(magnitude)
    control = np.corrcoef(np.argsort(np.argsort(light)), np.argsort(np.argsort(-shuffled)))[0, 1]
    assert rank > 0.9
    assert abs(control) < 0.3


def test_simulate_refuses_to_overwrite(run_cli: Run, tmp_path: Path) -> None:
    out = tmp_path / "mocks.fits"
    out.write_text("mine")
    refused = run_cli("simulate", "phat", "--n", 1, "--out", out, check=False)
    assert refused.returncode == 2
    assert "exists" in refused.stderr
    run_cli("simulate", "phat", "--n", 1, "--out", out, "--overwrite", "--no-nuisances")
    with fits.open(out) as file:
        assert file["IMAGES"].data.shape == (1, 3, 64, 64)
        assert not file["IMAGES"].header["NUISANCE"]


def test_predict(run_cli: Run, model: Path, field: Any, tmp_path: Path) -> None:
    out, regions, draws = (tmp_path / name for name in ("m.ecsv", "m.reg", "m.parquet"))
    finished = run_cli(
        "predict", model, *field.arguments, "--out", out, "--regions", regions,
        "--samples", draws, "--n-samples", 50, "--seed", 4,
    )  # fmt: skip
    assert "12 of 12 clusters measured" in finished.stdout
    table = Table.read(out)
    assert list(table["name"]) == [f"c{i}" for i in range(12)]
    assert table.meta["model"] == "phat-nodust"
    assert table.meta["command"].startswith("praesepe predict")
    assert str(field.catalog) in table.meta["command"]
    for name in ("log_age", "log_mass", "log_present_mass", "rh_arcsec", "rh_pc"):
        low, middle, high = (table[f"{name}_p{p}"] for p in (16, 50, 84))
        assert (low <= middle).all()
        assert (middle <= high).all()
    samples = read_samples(draws).values
    assert samples.shape == (12, 50, 3)
    np.testing.assert_allclose(np.median(samples[..., 1], axis=1), table["log_mass_p50"], atol=1e-4)
    assert regions.read_text().count("circle") == 12
    again = run_cli("predict", model, *field.arguments, "--out", out, check=False)
    assert again.returncode == 2
    assert "--overwrite" in again.stderr


def test_what_the_headers_lack_can_be_given(
    run_cli: Run, model: Path, field: Any, tmp_path: Path
) -> None:
    words = ("predict", model, *field.arguments, "--seed", 1, "--overwrite")
    out = tmp_path / "m.ecsv"
    run_cli(*words, "--out", out)
    before = Table.read(out)

    def forget(hdus: fits.HDUList) -> None:
        for key in ("BUNIT", "PHOTFLAM", "PHOTPLAM"):
            hdus["SCI"].header.remove(key)

    field.change("F475W", forget)
    refused = run_cli(*words, "--out", out, check=False).stderr
    assert "BUNIT" in refused
    assert "(--unit BAND=UNIT)" in refused
    given = ("--unit", "F475W=electron/s", "--zero-point", "F475W=26.06")
    run_cli(*words, *given, "--out", out)
    np.testing.assert_allclose(Table.read(out)["log_age_p50"], before["log_age_p50"], atol=1e-3)
    # negative control: another zero point gives another measurement
    run_cli(*words, *given[:-1], "F475W=24.06", "--out", out)
    assert np.abs(Table.read(out)["log_age_p50"] - before["log_age_p50"]).max() > 1e-3


def test_images_without_a_wcs(run_cli: Run, model: Path, field: Any, tmp_path: Path) -> None:
    for path in field.images.values():
        with fits.open(path) as hdus:
            data, header = hdus["SCI"].data.copy(), hdus["SCI"].header
        plain = fits.ImageHDU(data, name="SCI")
        plain.header.update({key: header[key] for key in ("BUNIT", "PHOTFLAM", "PHOTPLAM")})
        fits.HDUList([fits.PrimaryHDU(), plain]).writeto(path, overwrite=True)
    Table({"px": [90.0], "py": [91.0]}).write(field.catalog, format="ascii.csv", overwrite=True)
    words = ("predict", model, *field.arguments, "--out", tmp_path / "m.ecsv")
    words = (*words, "--x", "px", "--y", "py", "--origin", 0)
    assert "WCS" in run_cli(*words, check=False).stderr
    assert "1 of 1 clusters measured by model phat" in run_cli(*words, "--no-wcs").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--unit", "F475W"), "write BAND=…, e.g. --unit F475W=electron"),
        (("--zero-point", "F475W=bright"), "the zero point given, bright, is not a magnitude"),
        (("--zero-point", "F475W=nan"), "the zero point given, nan, is not a magnitude"),
        (("--zero-point", "F555W=25"), "unknown band 'F555W'"),
        (("--unit", "F475W=Jy", "--unit", "F475W=Jy"), "given twice"),
    ],
)
def test_values_by_band(
    run_cli: Run, model: Path, field: Any, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    out = tmp_path / "m.ecsv"
    refused = run_cli("predict", model, *field.arguments, *words, "--out", out, check=False)
    assert refused.returncode == 2
    assert said in refused.stderr


def test_rate(capsys: pytest.CaptureFixture[str]) -> None:
    """Only where there are enough clusters to tell."""
    from praesepe.cli.screen import say_measured

    for n in (999, 1000):
        table = Table({"flags": np.zeros(n, dtype=int)}, meta={"model": "a", "model_version": "1"})
        say_measured(table, setup=1.0, seconds=2.0)
    few, many = capsys.readouterr().out.splitlines()
    assert few == "999 of 999 clusters measured by model a 1. Set-up took 1.0 s."
    assert many.startswith("1000 of 1000 clusters measured by model a 1 in 2.0 s (500 per second).")


def test_the_python_call_gives_the_same_table(
    run_cli: Run, model: Path, field: Any, tmp_path: Path
) -> None:
    run_cli("predict", model, *field.arguments, "--out", tmp_path / "a.ecsv", "--seed", 2)
    read = Table.read(tmp_path / "a.ecsv")
    ours = praesepe.predict(model, field.images, field.catalog, seed=2)
    assert ours.colnames == read.colnames
    for name in ours.colnames[1:]:
        np.testing.assert_allclose(ours[name], read[name])


def test_pixel_positions(run_cli: Run, model: Path, field: Any, tmp_path: Path) -> None:
    Table({"px": [90.0, 100.0], "py": [91.0, 101.0]}).write(
        field.catalog, format="ascii.csv", overwrite=True
    )
    words = ("predict", model, *field.arguments, "--out", tmp_path / "a.ecsv")
    no_origin = run_cli(*words, "--x", "px", "--y", "py", check=False)
    assert no_origin.returncode == 2
    assert "origin" in no_origin.stderr
    run_cli(*words, "--x", "px", "--y", "py", "--origin", 1)
    table = Table.read(tmp_path / "a.ecsv")
    np.testing.assert_allclose(table["x"], table["px"])


def test_length_of_the_training(run_cli: Run, tmp_path: Path) -> None:
    for length in ((), ("--steps", 5, "--minutes", 1)):
        refused = run_cli("train", "phat", "--out", tmp_path / "m", *length, check=False)
        assert refused.returncode == 2
        assert "either minutes or steps" in refused.stderr
    refused = run_cli("train", "phat", "--out", tmp_path / "m", "--minutes", 0, check=False)
    assert refused.returncode == 2
    assert "not more than 0" in refused.stderr


def test_no_such_device(run_cli: Run, tmp_path: Path) -> None:
    words = ("simulate", "phat", "--out", tmp_path / "m.fits", "--device")
    refused = run_cli(*words, "gpu", check=False)
    assert refused.returncode == 2
    assert "cuda" in refused.stderr


@pytest.mark.skipif("phat" not in model_names(), reason="no trained model in the package")
def test_demo(run_cli: Run, tmp_path: Path) -> None:
    finished = run_cli("demo", "--out", tmp_path / "demo")
    assert "60 of 60 clusters" in finished.stdout
    assert "praesepe predict phat --image F336W=" in finished.stdout
    table = Table.read(tmp_path / "demo" / "clusters.ecsv")
    assert len(table) == 60
    assert (tmp_path / "demo" / "demo.png").read_bytes()[:4] == b"\x89PNG"


def test_demo_with_any_model(model: Path, tmp_path: Path) -> None:
    from praesepe.report.demo import run_demo

    folder = tmp_path / "demo"
    done = run_demo(folder, model=model, n_clusters=20)
    assert len(done.measured) == 20
    recovery = done.evaluation.recovery
    assert recovery.truth.shape == (20, 3)
    assert done.evaluation["all"]["log_age"]["mad_sigma"] > 0
    np.testing.assert_allclose(
        recovery.percentiles[1, :, 0], done.measured["log_age_p50"], atol=1e-4
    )
    assert sorted(p.name for p in done.images.values()) == [
        *(f"phat-nodust_{band}.fits" for band in ("f336w", "f475w", "f814w")),
    ]  # fmt: skip
    with fits.open(done.images["F475W"]) as hdus:
        header = hdus["SCI"].header
        assert header["BUNIT"] == "ELECTRONS/S"
        assert hdus[0].header["DETECTOR"] == "WFC"
        zero_point = (
            -2.5 * np.log10(header["PHOTFLAM"]) - 21.10 - 5 * np.log10(header["PHOTPLAM"]) + 18.692
        )
        assert zero_point == pytest.approx(26.06, abs=1e-6)
    truth, catalog = Table.read(done.truth_table), Table.read(done.catalog)
    assert list(truth["id"]) == list(catalog["id"])
    assert str(truth["log_age"].unit) == "dex(yr)"
    np.testing.assert_allclose(truth["log_mass"], recovery.truth[:, 1])
    assert (truth["log_present_mass"] < truth["log_mass"] + 1e-6).all()
    # none of the files is replaced unless that is wanted
    made = sorted(folder.iterdir())
    assert len(made) == 8
    for path in made:
        alone = tmp_path / path.name.replace(".", "-")
        alone.mkdir()
        (alone / path.name).write_text("mine")
        with pytest.raises(InputError, match="overwrite=True"):
            run_demo(alone, model=model, n_clusters=20)
        assert (alone / path.name).read_text() == "mine"
    run_demo(folder, model=model, n_clusters=20, overwrite=True)
    assert sorted(folder.iterdir()) == made


def test_a_warning_is_said_once(run_cli: Run, tmp_path: Path) -> None:
    """The PSF file of all bands is read several times."""
    y, x = np.mgrid[-20:21, -20:21]
    fits.writeto(tmp_path / "psf.fits", 3 * np.exp(-(y**2 + x**2) / 8))
    told = run_cli("survey", "show", "phat-nodust", "--all").stdout
    head = "[observation.bands.psf]"
    text = told.replace(head, f"{head}\nfile = 'psf.fits'\nfile_scale_arcsec = 0.02")
    (tmp_path / "mine.toml").write_text(text)
    shown = run_cli("survey", "show", "mine.toml", cwd=tmp_path)
    assert shown.stderr.count("the values add up to 75.4, not to 1") == 1
