"""What users get wrong or archives deliver oddly: one clear message, or a correct result."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

import praesepe
from praesepe.errors import InputError
from praesepe.inference.draws import read_samples
from praesepe.mocks.mosaic_files import mosaic_wcs
from praesepe.survey import load_survey

Run = Callable[..., Any]
PARTLY_MISSING, EDGE = 4, 16


@pytest.fixture
def refused(run_cli: Run, tmp_path: Path) -> Callable[..., str]:
    """Run `predict`; it must end with one clean message, which is returned, and no output."""

    def run(model: Any, *words: Any, status: int = 2) -> str:
        out = tmp_path / "refused.ecsv"
        finished = run_cli("predict", model, *words, "--out", out, check=False)
        assert finished.returncode == status, finished.output
        assert "Traceback" not in finished.output
        assert finished.stderr.count("Error:") == 1
        assert not out.exists()
        assert not list(tmp_path.glob(".*"))
        return finished.stderr

    return run


@pytest.fixture
def measure(run_cli: Run, tmp_path: Path, model: Path) -> Callable[[Any], Table]:
    """Run `predict` on a field and return the table."""

    def run(field: Any, *words: Any) -> Table:
        out = tmp_path / "measured.ecsv"
        run_cli("predict", model, *field.arguments, *words, "--out", out, "--overwrite")
        return Table.read(out)

    return run


def assert_same(table: Table, other: Table, tolerance: float = 1e-3) -> None:
    """Medians agree."""
    for name in ("log_age_p50", "log_mass_p50", "rh_arcsec_p50"):
        np.testing.assert_allclose(table[name], other[name], atol=tolerance)


# Bands


def test_missing_band(refused: Any, model: Path, field: Any) -> None:
    del field.images["F475W"]
    message = refused(model, *field.arguments)
    assert "no image for band 'F475W'" in message


def test_image_arguments(refused: Any, model: Path, field: Any) -> None:
    catalog = ("--catalog", field.catalog)
    assert "F475W=f475w.fits" in refused(model, "--image", "f475w.fits", *catalog)
    assert "no images" in refused(model, *catalog)
    pair = f"F475W={field.images['F475W']}"
    assert "given twice" in refused(model, "--image", pair, "--image", pair, *catalog)


# Geometry


def rescale(hdus: fits.HDUList, factor: float) -> None:
    header = hdus["SCI"].header
    for key in ("CDELT1", "CDELT2", "CD1_1", "CD2_2"):
        if key in header:
            header[key] *= factor


def test_wrong_pixel_scale_is_reprojected_with_a_warning(
    run_cli: Run, model: Path, field: Any, tmp_path: Path
) -> None:
    for band in field.images:
        field.change(band, lambda hdus: rescale(hdus, 1.25))
    finished = run_cli("predict", model, *field.arguments, "--out", tmp_path / "m.ecsv")
    assert "Warning:" in finished.stderr
    assert "+25 % off the survey's 0.05" in finished.stderr
    assert "reprojected" in finished.stderr


def test_images_of_different_places(refused: Any, model: Path, field: Any) -> None:
    def move(hdus: fits.HDUList) -> None:
        hdus["SCI"].header["CRVAL2"] += 1

    field.change("F814W", move)
    assert "different parts of the sky" in refused(model, *field.arguments)


def test_catalogue_of_another_field(run_cli: Run, model: Path, field: Any, tmp_path: Path) -> None:
    table = Table.read(field.catalog)
    table["dec"] += 1.0
    table.write(field.catalog, overwrite=True)
    finished = run_cli("predict", model, *field.arguments, "--out", tmp_path / "m.ecsv")
    assert "none of its 12 positions is on the image" in finished.stderr
    assert "0 of 12 clusters measured" in finished.stdout
    assert "OFF_IMAGE: 12" in finished.stdout


# Calibration


def test_no_photflam(refused: Any, model: Path, field: Any) -> None:
    field.change("F475W", lambda hdus: hdus["SCI"].header.remove("PHOTFLAM"))
    message = refused(model, *field.arguments)
    assert "PHOTFLAM is missing" in message
    assert "F475W" in message
    assert "(--zero-point BAND=26.06)" in message


def test_electrons_are_divided_by_the_exposure(measure: Any, field: Any) -> None:
    before = measure(field)

    def integrate(hdus: fits.HDUList) -> None:
        hdus["SCI"].data *= hdus[0].header["EXPTIME"]
        hdus["SCI"].header["BUNIT"] = "ELECTRONS"

    field.change("F814W", integrate)
    assert_same(measure(field), before)


# Pixels


def test_nan_and_zero_filled_gaps(measure: Any, field: Any) -> None:
    wcs = mosaic_wcs(load_survey("phat"), 192)
    x, y = np.array([60.0, 140.0, 150.0]), np.array([60.0, 60.0, 150.0])
    ra, dec = wcs.pixel_to_world_values(x, y)
    Table({"ra": ra, "dec": dec}).write(field.catalog, format="ascii.csv", overwrite=True)
    clean = measure(field)
    assert (clean["flags"] & PARTLY_MISSING == 0).all()

    def punch(hdus: fits.HDUList) -> None:
        hdus["SCI"].data[60:75, 55:65] = np.nan
        hdus["SCI"].data[40:90, 150:165] = 0

    field.change("F475W", punch)
    gaps = measure(field)
    assert (gaps["flags"] & PARTLY_MISSING > 0).tolist() == [True, True, False]
    np.testing.assert_allclose(gaps["missing_fraction"], [150 / 4096, 750 / 4096, 0], atol=6e-5)
    assert np.isfinite(gaps["log_age_p50"]).all()
    assert gaps["log_mass_p50"][2] == pytest.approx(clean["log_mass_p50"][2], abs=1e-3)


def test_integer_data(measure: Any, field: Any) -> None:
    """Rates stored as scaled 16-bit integers, as old archives do."""
    before = measure(field)

    def to_integers(hdus: fits.HDUList) -> None:
        hdus["SCI"].scale("int16", bscale=2e-5, bzero=0.05)

    for band in field.images:
        field.change(band, to_integers)
    with fits.open(field.images["F475W"]) as hdus:
        assert hdus["SCI"].header["BITPIX"] == 16
    assert_same(measure(field), before, tolerance=5e-3)


# Catalogues


def test_missing_columns(refused: Any, model: Path, field: Any) -> None:
    field.catalog.write_text("name,ra\nc1,11.1\n")
    message = refused(model, *field.arguments)
    assert "no position columns" in message
    assert "name and ra" in message


def test_nan_coordinates(measure: Any, field: Any) -> None:
    table = Table.read(field.catalog)
    table["ra"][2] = np.nan
    table.write(field.catalog, overwrite=True)
    result = measure(field)
    assert list(result["name"]) == list(table["name"])
    assert result["flags"][2] == 8
    missing = np.ma.getmaskarray(result["log_age_p50"])
    assert np.flatnonzero(missing).tolist() == [2]


def test_sexagesimal_coordinates(measure: Any, field: Any) -> None:
    from astropy.coordinates import SkyCoord

    before = measure(field)
    table = Table.read(field.catalog)
    sky = SkyCoord(table["ra"], table["dec"], unit="deg")
    table["ra"] = sky.ra.to_string("hour", sep=":", precision=4)
    table["dec"] = sky.dec.to_string("deg", sep=":", precision=3, alwayssign=True)
    table.write(field.catalog, overwrite=True)
    assert_same(measure(field), before)


def test_cluster_on_the_edge(measure: Any, field: Any) -> None:
    wcs = mosaic_wcs(load_survey("phat"), 192)
    x, y = np.array([96.0, 20.0, 0.0, 2.0, -3.0]), np.array([96.0, 96.0, 96.0, 2.0, 96.0])
    ra, dec = wcs.pixel_to_world_values(x, y)
    Table({"ra": ra, "dec": dec}).write(field.catalog, format="ascii.csv", overwrite=True)
    result = measure(field)
    assert (result["flags"] & EDGE > 0).tolist()[:4] == [False, True, True, True]
    measured = ~np.ma.getmaskarray(result["log_age_p50"])
    # half a stamp is there at x = 0, a quarter in the corner, nothing off the image
    assert measured.tolist() == [True, True, True, False, False]
    np.testing.assert_allclose(result["missing_fraction"][:3], [0, 12 / 64, 0.5], atol=1e-5)


def test_a_hundred_thousand_rows(
    run_cli: Run, model: Path, field: Any, tmp_path: Path, rng: np.random.Generator
) -> None:
    """Most of a long catalogue lies off this small image; memory and time stay small."""
    n = 100_000
    wcs = mosaic_wcs(load_survey("phat"), 192)
    x, y = rng.uniform(-20_000, 20_000, (2, n))
    x[::100], y[::100] = rng.uniform(40, 150, (2, n // 100))
    ra, dec = wcs.pixel_to_world_values(x, y)
    table = Table({"id": np.arange(n), "ra": ra, "dec": dec})
    table.write(field.catalog, format="ascii.fast_csv", overwrite=True)
    out, draws = tmp_path / "m.parquet", tmp_path / "draws.parquet"
    run_cli(
        "predict", model, *field.arguments, "--out", out, "--samples", draws, "--n-samples", 20
    )  # fmt: skip
    result = Table.read(out)
    assert (result["id"] == np.arange(n)).all()
    measured = ~np.ma.getmaskarray(result["log_age_p50"])
    assert measured[::100].all()
    samples = read_samples(draws).values
    assert samples.shape == (n, 20, 3)
    assert (np.isfinite(samples[:, 0, 0]) == measured).all()


# Outputs


def test_output_that_exists(run_cli: Run, model: Path, field: Any, tmp_path: Path) -> None:
    out = tmp_path / "mine.ecsv"
    out.write_text("precious")
    words = ("predict", model, *field.arguments, "--out", out)
    finished = run_cli(*words, check=False)
    assert finished.returncode == 2
    assert "--overwrite" in finished.stderr
    assert out.read_text() == "precious"
    run_cli(*words, "--overwrite")
    assert len(Table.read(out)) == 12


def test_output_in_no_folder(run_cli: Run, model: Path, field: Any, tmp_path: Path) -> None:
    out = tmp_path / "none" / "m.ecsv"
    finished = run_cli("predict", model, *field.arguments, "--out", out, check=False)
    assert finished.returncode == 2
    assert "does not exist" in finished.stderr


@contextmanager
def no_file_above(n_bytes: int) -> Iterator[None]:
    """No file can grow beyond this: nor can that into which pytest itself may write outside."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "names",
    [
        {"--out": "m.ecsv"},
        {"--out": "m.fits"},
        {"--out": "m.parquet"},
        {"--out": "m.vot"},
        {"--out": "m.csv", "--samples": "draws.parquet"},
        {"--out": "m.csv", "--samples": "m.parquet"},
    ],
    ids=lambda names: "+".join(names.values()),
)
def test_full_disk(
    run_cli: Run,
    model: Path,
    field: Any,
    tmp_path: Path,
    names: dict[str, str],
) -> None:
    """One message that names the file, and nothing half-written."""
    rows = field.catalog.read_text().splitlines()
    field.catalog.write_text("\n".join(rows[:1] + 5 * rows[1:]))
    folder = tmp_path / "full"
    folder.mkdir()
    options = [word for key, name in names.items() for word in (key, folder / name)]
    with no_file_above(6000):
        finished = run_cli("predict", model, *field.arguments, *options, check=False)
    assert finished.returncode == 2, finished.output
    assert "Traceback" not in finished.output
    assert finished.stderr.count("Error: could not write") == 1
    assert list(names.values())[-1] in finished.stderr
    assert list(folder.iterdir()) == []


def test_draws_survive_a_full_disk(run_cli: Run, model: Path, field: Any, tmp_path: Path) -> None:
    """The table does not fit on the disk, but the draws, written before, do."""
    rows = field.catalog.read_text().splitlines()
    field.catalog.write_text("\n".join(rows[:1] + 20 * rows[1:]))
    folder = tmp_path / "full"
    folder.mkdir()
    out, draws = folder / "m.csv", folder / "m.parquet"
    with no_file_above(30_000):
        finished = run_cli(
            "predict", model, *field.arguments, "--out", out, "--samples", draws, "--n-samples", 2,
            check=False,
        )  # fmt: skip
    assert finished.returncode == 2, finished.output
    assert finished.stderr.count("Error: could not write") == 1
    assert f"the draws are kept in {draws}" in finished.stderr
    assert list(folder.iterdir()) == [draws]
    assert np.isfinite(read_samples(draws).values).all()


def test_full_disk_while_simulating(run_cli: Run, tmp_path: Path) -> None:
    out = tmp_path / "m.fits"
    with no_file_above(6000):
        finished = run_cli("simulate", "phat", "--n", 3, "--out", out, check=False)
    assert finished.returncode == 2, finished.output
    assert finished.stderr.count("Error: could not write") == 1
    assert list(tmp_path.iterdir()) == []


# Models


def test_unknown_model(refused: Any, field: Any) -> None:
    assert "unknown model 'phatt'" in refused("phatt", *field.arguments)


def test_a_file_that_is_no_model(refused: Any, model: Path, field: Any, tmp_path: Path) -> None:
    assert "is a file, not a Praesepe model" in refused(field.catalog, *field.arguments)
    assert "not a Praesepe model" in refused(field.folder, *field.arguments)
    damaged = tmp_path / "damaged"
    shutil.copytree(model, damaged)
    weights = damaged / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "damaged" in refused(damaged, *field.arguments)
    (damaged / "model.json").write_text("{}")
    assert "not a Praesepe model" in refused(damaged, *field.arguments)


def test_a_model_of_another_survey(refused: Any, field: Any, tmp_path: Path) -> None:
    from praesepe.network.estimator import Estimator

    phat = load_survey("phat")
    bands = (phat.bands[0], phat.bands[1].model_copy(update={"name": "F438W"}))
    other = phat.with_values(name="m83", observation={"bands": bands})
    model = Estimator.untrained(other, encoder="tiny").save(tmp_path / "m83")
    message = refused(model, *field.arguments)
    assert "'m83'" in message
    assert "no image for band 'F438W'" in message
    assert "'F475W' is not a band of it" in message


def test_a_pickle_is_never_loaded(refused: Any, model: Path, field: Any, tmp_path: Path) -> None:
    import pickle

    class Trap:
        def __reduce__(self) -> Any:
            return (Path.write_text, (tmp_path / "executed", "x"))

    trapped = tmp_path / "trapped"
    shutil.copytree(model, trapped)
    (trapped / "weights.safetensors").write_bytes(pickle.dumps(Trap()))
    refused(trapped, *field.arguments)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "verb", ["evaluate", "train", "simulate", "shards", "mosaic", "fields", "stars"]
)
def test_no_verb_replaces_its_input(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files with the names of outputs, given as inputs, before any work."""
    survey = load_survey("phat")
    monkeypatch.setenv("PRAESEPE_DATA", str(tmp_path))
    names = {
        "evaluate": "metrics.json",
        "train": "model.json",
        "simulate": "a.fits",
        "shards": "manifest.json",
        "mosaic": "truth.ecsv",
        "fields": "places.ecsv",
        "stars": "stars/mine.npz",
    }
    given = tmp_path / names[verb]
    given.parent.mkdir(exist_ok=True)
    given.write_text(survey.to_toml())
    files = dict.fromkeys(survey.band_names, given)
    calls = {
        "evaluate": lambda: praesepe.evaluate("phat", survey=given, out=tmp_path, overwrite=True),
        "train": lambda: praesepe.train(given, out=tmp_path, steps=1),
        "simulate": lambda: praesepe.simulate(given, n=1, out=given, overwrite=True),
        "shards": lambda: praesepe.simulate(given, n=1, shards=1, out=tmp_path, overwrite=True),
        "mosaic": lambda: praesepe.simulate_mosaic(survey, given, out=tmp_path, overwrite=True),
        "fields": lambda: praesepe.build_fields(survey, files, out=tmp_path, overwrite=True),
        "stars": lambda: praesepe.import_isochrones([given], name="mine", overwrite=True),
    }
    with pytest.raises(InputError, match="an input: it would be replaced"):
        calls[verb]()
    assert given.read_text() == survey.to_toml()
