"""Tables survive writing and reading, and a failure leaves nothing behind."""

from __future__ import annotations

import contextlib
import csv
import os
import resource
import signal
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.time import Time, TimeDelta

from praesepe.errors import InputError, PraesepeError, PraesepeWarning
from praesepe.files import check_output
from praesepe.images import write_regions, write_table
from praesepe.images.catalog.tables import check_fit, read_table

FORMATS = [".ecsv", ".fits", ".vot", ".xml", ".parquet", ".csv"]


@pytest.fixture
def table() -> Table:
    values = MaskedColumn([8.5, np.nan, 7.25], unit="dex(yr)", description="age", mask=[0, 1, 0])
    return Table(
        {
            "name": ["A 1", "Ünïcode", "c"],
            "ra": [10.5, 10.6, np.nan],
            "dec": [41.0, 41.25, 41.5],
            "log_age_p50": values,
            "rh_arcsec_p50": Column([0.25, np.nan, 0.5], unit="arcsec"),
            "flags": np.array([0, 2, 8], np.int32),
            "big": np.array([2**53 + 1, 1, 2]),
        },
        meta={"model": "phat", "model_version": "1.0", "n_samples": 500, "notes": ["a", "b"]},
    )


def read(path: Path) -> Table:
    if path.suffix == ".fits":
        return Table.read(path)
    return Table.read(path, **({"format": "votable"} if path.suffix in (".vot", ".xml") else {}))


@pytest.mark.parametrize("suffix", FORMATS)
def test_round_trip(tmp_path: Path, table: Table, suffix: str) -> None:
    if suffix == ".fits":
        table["name"][1] = "Unicode"  # FITS holds ASCII only
    path = write_table(table, tmp_path / f"out{suffix}")
    found = read(path)
    assert found.colnames == table.colnames
    assert list(found["name"]) == list(table["name"])
    assert found["big"][0] == 2**53 + 1
    np.testing.assert_array_equal(found["flags"], table["flags"])
    ages = np.ma.filled(np.ma.asarray(found["log_age_p50"], float), np.nan)
    np.testing.assert_array_equal(ages, [8.5, np.nan, 7.25])
    if suffix != ".csv":
        assert str(found["rh_arcsec_p50"].unit) == "arcsec"
        in_words = suffix in (".fits", ".vot", ".xml")
        age = found["log_age_p50"]
        assert age.description == ("age [dex(yr)]" if in_words else "age")
        assert str(age.unit) == ("None" if in_words else "dex(yr)")
    if suffix in (".ecsv", ".fits", ".parquet"):
        meta = {key.lower(): value for key, value in found.meta.items()}
        assert meta["model_version"] == "1.0"
        assert meta["n_samples"] == 500
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".fits", ".vot", ".ecsv", ".parquet"])
def test_units_and_the_model_come_back(tmp_path: Path, table: Table, suffix: str) -> None:
    """The unit by our own reader; name and version of the model by astropy's."""
    table.remove_column("name")  # not ASCII
    table.meta["model"] = "phat"
    path = write_table(table, tmp_path / f"out{suffix}")
    again, _ = read_table(path)
    assert str(again["log_age_p50"].unit) == "dex(yr)"
    assert again["log_age_p50"].description == "age"
    assert again["rh_arcsec_p50"].unit == "arcsec"
    said = " ".join(f"{key.lower()} {value}" for key, value in read(path).meta.items())
    assert "model phat" in said
    assert "model_version 1.0" in said


def test_an_extension_that_is_not_there(tmp_path: Path, table: Table) -> None:
    """astropy takes the first table with a warning."""
    table.remove_column("name")  # not ASCII
    path = write_table(table, tmp_path / "out.fits")
    assert len(read_table(f"{path}[1]")[0]) == len(table)
    for extension in ("9", "NOPE"):
        with pytest.raises(InputError, match=f"no extension '{extension}'"):
            read_table(f"{path}[{extension}]")


def test_odd_keys_of_metadata_are_written_without_a_word(tmp_path: Path) -> None:
    table = Table({"a": [1]}, meta={"origin of the table": "x"})
    path = write_table(table, tmp_path / "a.vot")  # "W03: Implicitly generating an ID" before
    assert "origin of the table" in path.read_text()


def test_votable_keeps_metadata(tmp_path: Path, table: Table) -> None:
    path = write_table(table, tmp_path / "out.vot")
    assert "age [dex(yr)]" in path.read_text()
    assert '<INFO ID="model_version" name="model_version" value="1.0"/>' in path.read_text()


def test_the_table_is_not_changed(tmp_path: Path, table: Table) -> None:
    before = table.copy()
    table["name"][1] = "b"
    for suffix in FORMATS:
        write_table(table, tmp_path / f"out{suffix}")
    assert table.meta == before.meta
    assert table.colnames == before.colnames
    assert str(table["log_age_p50"].unit) == "dex(yr)"
    assert table["log_age_p50"].description == "age"


def test_quantities_and_lists_fit_into_fits(tmp_path: Path, table: Table) -> None:
    """astropy would write dex(yr) with a warning, and refuse a list in the header."""
    table["log_age_p50"] = Column(table["log_age_p50"].filled(8), unit="dex(yr)", description="age")
    table.remove_column("name")  # not ASCII
    path = write_table(QTable(table), tmp_path / "out.fits")
    found = read(path)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.warns(PraesepeWarning, match="out.fits: its size is no multiple of 2880 bytes"):
        read_table(path)
    assert found["log_age_p50"].unit is None
    assert found["log_age_p50"].description == "age [dex(yr)]"
    assert found["rh_arcsec_p50"].unit == "arcsec"
    assert found.meta["NOTES"] == '["a", "b"]'


@pytest.mark.filterwarnings("ignore:column 'sky' of sky positions is written as")
@pytest.mark.parametrize("suffix", FORMATS)
def test_sky_coordinates(tmp_path: Path, table: Table, suffix: str) -> None:
    """A column of SkyCoord takes two columns of a file; descriptions stay with their own."""
    table.remove_columns(["ra", "dec", "name"])
    table.add_column(SkyCoord([1.0, 2, 3], [4, 5, 6], unit="deg"), name="sky", index=0)
    found = read(write_table(table, tmp_path / f"out{suffix}"))
    if suffix in (".vot", ".xml"):
        np.testing.assert_allclose(found["sky.dec"], [4, 5, 6])
    elif suffix != ".csv":
        np.testing.assert_allclose(found["sky"].dec.deg, [4, 5, 6])
    if suffix == ".fits":
        with fits.open(tmp_path / "out.fits") as hdus:
            columns, header = hdus[1].columns.names, hdus[1].header
        assert columns[:3] == ["sky.ra", "sky.dec", "log_age_p50"]
        assert header["TCOMM3"] == "age [dex(yr)]"


def test_existing_file(tmp_path: Path, table: Table) -> None:
    path = tmp_path / "out.ecsv"
    path.write_text("precious")
    with pytest.raises(InputError, match=r"exists; .* overwrite it"):
        write_table(table, path)
    assert path.read_text() == "precious"
    write_table(table, path, overwrite=True)
    assert len(read(path)) == 3


def test_places_that_cannot_be_written(tmp_path: Path, table: Table) -> None:
    with pytest.raises(InputError, match=r"'.txt' is not one of .ecsv"):
        write_table(table, tmp_path / "out.txt")
    with pytest.raises(InputError, match=r"folder of output .* does not exist"):
        check_output(tmp_path / "none" / "out.ecsv")
    with pytest.raises(InputError, match="is a folder"):
        check_output(tmp_path)
    with pytest.raises(InputError, match=r"'.png' is not one of .reg"):
        check_output(tmp_path / "a.png", (".reg",))
    assert check_output(str(tmp_path / "out.ecsv")) == tmp_path / "out.ecsv"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="no permission"):
        check_output(tmp_path / "out.ecsv")


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("existed", [False, True])
def test_full_disk(
    tmp_path: Path, suffix: str, existed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on the size of files stands for a full disk."""
    rng = np.random.default_rng(1)
    table = Table({"ra": rng.uniform(size=20_000), "dec": rng.uniform(size=20_000)})
    path = tmp_path / f"out{suffix}"
    if existed:
        path.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(PraesepeError, match=r"could not write .* nothing was left behind"):
            write_table(table, path, overwrite=existed)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert [p.name for p in tmp_path.iterdir()] == ([path.name] if existed else [])
    if existed:
        assert path.read_text() == "old"


def test_interrupted_write(tmp_path: Path, table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_table(table, tmp_path / "out.ecsv")
    assert list(tmp_path.iterdir()) == []


def test_names_alike_but_for_case_in_fits(tmp_path: Path, table: Table) -> None:
    table["name"][1] = "b"
    table.add_column(np.arange(3), name="FLAGS", index=0)
    with pytest.warns(PraesepeWarning, match="column 'FLAGS' is written as 'FLAGS_in'"):
        path = write_table(table, tmp_path / "out.fits")
    found = read(path)
    assert found.colnames[0] == "FLAGS_in"
    assert found["flags"].tolist() == [0, 2, 8]
    write_table(table, tmp_path / "out.ecsv")  # where case matters, both stay
    assert "FLAGS" in read(tmp_path / "out.ecsv").colnames


def test_csv_cannot_hold_arrays(tmp_path: Path, table: Table) -> None:
    table["vector"] = np.ones((3, 2))
    with pytest.raises(InputError, match="columns vector hold arrays"):
        write_table(table, tmp_path / "out.csv")
    write_table(table, tmp_path / "out.ecsv")


@pytest.mark.parametrize("escape", [False, True])
def test_formulas_are_escaped_where_that_is_asked_for(tmp_path: Path, escape: bool) -> None:
    texts = ["=1+1", "@SUM(A1)", "+41a", "-2+3", "-2", "+1.5e3", "a=1", "#1", ""]
    table = Table({"=name": texts, "dec": [-41.5] * len(texts)})
    write_table(table, tmp_path / "a.csv", escape_formulas=escape)
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert {row[1] for row in rows[1:]} == {"-41.5"}
    mark = "'" if escape else ""
    assert [row[0] for row in rows] == [mark + text for text in ["=name", *texts[:4]]] + texts[4:]
    if escape:
        with pytest.raises(InputError, match=r"in CSV, not in .ecsv; leave that out"):
            write_table(table, tmp_path / "a.ecsv", escape_formulas=True)


def test_column_that_fits_cannot_hold(tmp_path: Path, table: Table) -> None:
    with pytest.raises(InputError, match=r"FITS holds ASCII only, not column 'name'.* write .ecsv"):
        write_table(table, tmp_path / "out.fits")  # a name that is not ASCII
    many = Table({f"c{i}": [1] for i in range(1000)})
    with pytest.raises(InputError, match=r"no place for 1000 columns; leave"):
        write_table(many, tmp_path / "out.fits")
    assert list(tmp_path.iterdir()) == []


def test_regions_are_read_by_the_regions_package(tmp_path: Path, table: Table) -> None:
    regions = pytest.importorskip("regions")
    path = write_regions(table, tmp_path / "out.reg", table["rh_arcsec_p50"])
    found = regions.Regions.read(path, format="ds9")
    assert len(found) == 2  # the third row has no position
    assert found[0].center.ra.deg == pytest.approx(10.5)
    assert found[0].radius.to_value("arcsec") == pytest.approx(0.25)
    assert found[0].meta["text"] == "A 1"
    assert type(found[1]).__name__ == "PointSkyRegion"  # no radius
    with pytest.raises(InputError, match="exists"):
        write_regions(table, path, 1.0)


def test_regions_in_pixels(tmp_path: Path) -> None:
    table, pixel = Table({"mag": [18.0, 19.0]}), ([11.0, 12.0], [21.0, 22.0])
    text = write_regions(table, tmp_path / "out.reg", 0.5, pixel=pixel).read_text()
    assert 'image\ncircle(11.00000000,21.00000000,0.5000") # text={1}' in text
    with pytest.raises(InputError, match="no positions"):
        write_regions(Table({"a": [1]}), tmp_path / "none.reg", 1.0)


def test_a_name_cannot_add_lines_to_a_region_file(tmp_path: Path) -> None:
    table = Table({"id": ["a}\nbox(1,1,9,9)"], "ra": [11.0], "dec": [21.0]})
    text = write_regions(table, tmp_path / "one.reg", 0.5).read_text()
    assert text.splitlines()[2:] == [
        'circle(11.00000000,21.00000000,0.5000") # text={a) box(1,1,9,9)}'
    ]


@pytest.mark.parametrize("suffix", [".fits", ".vot"])
def test_rates_keep_their_units(tmp_path: Path, suffix: str) -> None:
    """Units that FITS and VOTable do not know; others in a description stay there."""
    units = {"a": "electron / s", "b": "DN / s", "c": "dex(yr)", "d": None}
    table = Table({name: Column([1.0], unit=unit) for name, unit in units.items()})
    table["d"].description = "position [pix]"
    back, _ = read_table(write_table(table, tmp_path / f"t{suffix}"))
    assert {name: back[name].unit and str(back[name].unit) for name in units} == units


@pytest.mark.parametrize("suffix", [".fits", ".vot"])
def test_times_become_text(tmp_path: Path, suffix: str) -> None:
    table = Table({"when": Time(["2020-01-02T03:04:05.123456789"], scale="utc")})
    with pytest.warns(PraesepeWarning, match=r"times \(utc\) is written as text"):
        write_table(table, tmp_path / f"t{suffix}")
    assert read(tmp_path / f"t{suffix}")["when"][0] == "2020-01-02T03:04:05.123456789"


@pytest.mark.parametrize("suffix", [".csv", ".ecsv", ".vot", ".fits"])
def test_lost_blanks_are_told(tmp_path: Path, suffix: str) -> None:
    with pytest.warns(PraesepeWarning, match="'t' loses blanks"):
        write_table(Table({"t": ["a ", "b"]}), tmp_path / f"t{suffix}")
    table = Table({"t": [" a", "b"]})  # which FITS keeps
    with pytest.warns(PraesepeWarning) if suffix != ".fits" else contextlib.nullcontext():
        write_table(table, tmp_path / f"t{suffix}", overwrite=True)


@pytest.mark.parametrize("suffix", [".fits", ".vot", ".ecsv", ".parquet"])
def test_masked_texts_come_back_masked(tmp_path: Path, suffix: str) -> None:
    table = Table({"t": MaskedColumn(["a"] * 99 + ["b"], mask=[0] * 99 + [1])})
    check_fit(table, tmp_path / f"t{suffix}")
    back, _ = read_table(write_table(table, tmp_path / f"t{suffix}"))
    assert back["t"].mask.tolist() == table["t"].mask.tolist()


@pytest.mark.parametrize("suffix", [".ecsv", ".parquet", ".fits"])
def test_times_of_parquet_are_text(tmp_path: Path, suffix: str) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    times = {"ns": pa.array([1, None], pa.timestamp("ns")), "d": pa.array([1, 2], pa.date32())}
    parquet.write_table(
        pa.table(times | {"n": pa.array([Decimal("1.10"), None])}), tmp_path / "in.parquet"
    )
    table, _ = read_table(tmp_path / "in.parquet")
    assert table["n"].filled("").tolist() == ["1.10", ""]  # a decimal, with its digits
    assert table["ns"][0] == "1970-01-01T00:00:00.000000001"
    assert table["ns"].mask.tolist() == [False, True]
    assert table["d"].tolist() == ["1970-01-02", "1970-01-03"]
    for name in ("ns", "n"):
        table[name] = table[name].filled("")
    back, _ = read_table(write_table(table, tmp_path / f"out{suffix}"))
    assert back["d"].tolist() == table["d"].tolist()


@pytest.mark.parametrize("suffix", [".csv", ".ecsv", ".fits", ".vot", ".parquet"])
def test_durations_are_seconds(tmp_path: Path, suffix: str) -> None:
    table, _ = read_table(Table({"t": np.array([1, 2, "NaT"], "m8[m]"), "n": [1, 2, 3]}))
    back, _ = read_table(write_table(table, tmp_path / f"t{suffix}"))
    assert back["t"][:2].tolist() == [60, 120]
    assert back["t"].mask.tolist() == [False, False, True]
    if suffix not in (".csv", ".parquet"):
        table = Table({"t": TimeDelta([1.0, 2.0], format="sec")})
        back, _ = read_table(write_table(table, tmp_path / f"u{suffix}"))
        np.testing.assert_allclose(back["t"].to("s").value, [1, 2])


def test_a_data_frame_is_a_table() -> None:
    pandas = pytest.importorskip("pandas")
    columns = {"ra": [11.1, 11.2], "dec": [41.5, np.nan], "n": ["00", None]}
    table, _ = read_table(pandas.DataFrame(columns, index=pandas.Index(["a", "b"], name="name")))
    assert table.colnames == ["name", "ra", "dec", "n"]
    assert table["name"].tolist() == ["a", "b"]
    assert table["n"].tolist() == ["00", None]


def test_an_array_is_a_table_where_its_columns_are_named() -> None:
    """Nothing else tells degrees from pixels."""
    given = np.array([[11.1, 41.5], [11.2, 41.6]])
    table, _ = read_table(given, columns="ra,dec")
    assert table["dec"].tolist() == [41.5, 41.6]
    with pytest.raises(InputError, match="array of 2 columns, of which 0 are named"):
        read_table(given)


def test_votable_cannot_hold_objects(tmp_path: Path) -> None:
    table = Table({"t": np.array([None, {"a": 1}, "x"], object)})
    with pytest.raises(InputError, match="no place for the objects of column 't'"):
        write_table(table, tmp_path / "t.vot")


def test_metadata_that_fits_has_no_cards_for_come_back(tmp_path: Path) -> None:
    """They were refused by astropy when the measurement was done."""
    meta = {
        "k" * 90: "x", "a" * 75: 1, "näme": "é", "a=b": "x", "blank": "x ", "Two": 1, "TWO": 2,
        "origin of the positions": "Johnson et al. " * 9, "d": {"a": [1]},
    }  # fmt: skip
    table = Table({"a": [1]}, meta=meta)
    with pytest.warns(PraesepeWarning, match="no cards for the metadata kkk.*JSON in METADATA"):
        path = write_table(table, tmp_path / "t.fits")
    back = read_table(path)[0].meta
    easy = {"origin of the positions": meta.pop("origin of the positions"), "D": '{"a": [1]}'}
    del meta["d"]
    assert back == {**meta, **easy}


def test_keywords_of_the_form_do_not_warn(tmp_path: Path) -> None:
    table = Table({"a": [1]}, meta={"NAXIS": 2, "mine": 3})
    assert read(write_table(table, tmp_path / "t.fits")).meta == {"MINE": 3}
