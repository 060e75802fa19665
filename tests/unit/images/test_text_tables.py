"""Text catalogues as people have them: read right, or refused with a reason; text comes back."""

from __future__ import annotations

import gc
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.votable import from_table
from astropy.table import MaskedColumn, Table

from praesepe.errors import InputError, PraesepeWarning
from praesepe.images import write_table
from praesepe.images.catalog import text_columns, width
from praesepe.images.catalog.catalogs import Catalog
from praesepe.images.catalog.region_files import write_regions
from praesepe.images.catalog.tables import check_fit, read_table

Write = Callable[..., Path]
RA, DEC = [10.5, 10.625, 10.75], [41.25, 41.0, -0.5]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return to


def savetxt(**options: str) -> str:
    buffer = io.StringIO()
    np.savetxt(buffer, np.c_[[1, 2, 3], RA, DEC], fmt="%g", **options)
    return buffer.getvalue()


def test_single_quotation_marks_around_blanks(write: Write) -> None:
    """As STILTS writes them; an apostrophe within a value is none."""
    rows = (
        "1 10.5 41.25 'AP 1' \n2 10.625 41.0 'O\\'Neil \"x\"'\n3 10.75 -0.5 it's\n4 11.0 1.0 ''\n"
    )
    table = Catalog.read(write("stilts.txt", "# id ra dec name\n" + rows)).table
    assert table["name"].tolist() == ["AP 1", 'O\'Neil "x"', "it's", ""]


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_damaged_fits_table_is_closed(write: Write) -> None:
    buffer = io.BytesIO()
    Table({"ra": RA, "dec": DEC}).write(buffer, format="fits")
    number = b"NAXIS   =\xdf\xab\xbc\xf8x!\x0b7\x17&<\xd8\xe18\x15\xf4\xb1\xdb  0"
    content = buffer.getvalue().replace(b"NAXIS   =                    0", number.ljust(30), 1)
    with pytest.raises(InputError, match=r"a\.fits cannot be read as FITS"):
        read_table(write("a.fits", content))
    gc.collect()


HEADER = "# Region file format: DS9 version 4.1\n"


def test_regions_are_a_catalog(write: Write) -> None:
    text = (
        HEADER
        + """fk5
circle(00:42:00,+41:15:00,2") # text={AP 1}
point(10.625,41) # point=x
galactic
ellipse(120.3,-21.2,2",3",0)
"""
    )
    catalog = Catalog.read(write("a.reg", text))
    assert catalog.table["id"].tolist() == ["AP 1", "2", "3"]
    assert catalog.sky is not None
    np.testing.assert_allclose(catalog.sky[0][:2], [10.5, 10.625], atol=1e-4)
    np.testing.assert_allclose(catalog.sky[1], [41.25, 41.0, 41.6046446], atol=1e-4)
    path = write("b.reg", "\ufeff" + HEADER + "image\ncircle(11,21,5)\n")
    for origin in (1, None):
        assert Catalog.read(path, origin=origin).pixel == ([10.0], [20.0])
    with pytest.raises(InputError, match=r"origin = 0.*DS9 counts pixels from 1"):
        Catalog.read(path, origin=0)


@pytest.mark.parametrize(
    "shapes",
    ["image;polygon(1,2,3,4,5,1)", "fk5;circle(1,2,3)\nimage;circle(1,2,3)", "fk5;-circle(1,2,3)",
     "fk5;heart(1,2,3)", "x", "fk5;circle(1,2", "physical;circle(1,2,3)"],
)  # fmt: skip
def test_regions_that_are_no_catalog(write: Write, shapes: str) -> None:
    with pytest.raises(InputError, match=r"a\.reg") as error:
        Catalog.read(write("a.reg", HEADER + shapes + "\n"), origin=1)
    assert "regions package" not in str(error.value)


def test_shapes_that_are_no_clusters_are_left_out(write: Write) -> None:
    circles = "circle(10.5,41.25,2)\n-circle(10.6,41.3,2)\ncircle(10.7,41.3,2) # text={B}\n"
    others = "polygon(1,2,3,4,5,1)\npolygon(1,2,3,4,6,1)\npanda(1,2,0,360,1,1,2,1)\n"
    with pytest.warns(PraesepeWarning, match="2 are read; .*excluded circle; 2 × a polygon"):
        catalog = Catalog.read(write("a.reg", f"{HEADER}icrs\n{circles}{others}"))
    assert catalog.sky is not None
    np.testing.assert_allclose(catalog.sky, [[10.5, 10.7], [41.25, 41.3]])
    assert catalog.table["id"].tolist() == ["1", "B"]


DAOPHOT = """#K IRAF       = NOAO/IRAFV2.10EXPORT    version    %-23s
#N ID    XCENTER   YCENTER   MAG         MERR          MSKY           NITER    \\
#U ##    pixels    pixels    magnitudes  magnitudes    counts         ##       \\
#F %-9d  %-10.3f   %-10.3f   %-12.3f     %-14.3f       %-15.7g        %-6d
#N         SHARPNESS   CHI         PIER  PERROR                                \\
#U         ##          ##          ##    perrors                               \\
#F         %-23.3f     %-12.3f     %-6d  %-13s
#
14       138.538   256.405   15.461      0.003         34.85955       4        \\
            -0.032      0.802       0     No_error
18       18.114    280.170   22.329      0.206         30.12784       4        \\
            -2.544      1.104       0     No_error
"""
STETSON = """ NL    NX    NY  LOWBAD HIGHBAD  THRESH     AP1  PH/ADU  RNOISE    FRAD
  1  2048  2048   -50.0 30000.0   12.00    3.00    2.00    4.00    5.00

    14  138.538  256.405   15.461    0.003   34.86    4.     0.802   -0.032
    18   18.114  280.170   22.329    0.206   30.13    4.     1.104   -2.544
"""
R = '"x" "y" "name"\n"1" 138.538 256.405 "a b"\n"2" 18.114 280.17 "c"\n'


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        *((name, DAOPHOT, None) for name in ("a.mag", "a.als.1", "a.coo", "phot.txt")),
        ("a.als", STETSON, "id,x,y,mag"),
        ("r.txt", R, None),
    ],
)
def test_pixels_of_other_programs(
    write: Write, tmp_path: Path, name: str, text: str, columns: str | None
) -> None:
    catalog = Catalog.read(write(name, text), origin=1, columns=columns)
    np.testing.assert_allclose(catalog.pixel, [[137.538, 17.114], [255.405, 279.17]])
    for suffix in (".ecsv", ".fits", ".csv"):
        write_table(catalog.table, tmp_path / f"out{suffix}")


def test_regions_of_casa(write: Write) -> None:
    text = "#CRTFv0 CASA\ncircle [[10.68deg, 41.27deg], 1.0arcsec], coord=ICRS\n"
    assert Catalog.read(write("a.crtf", text)).sky == (10.68, 41.27)
    pixels = write("b.crtf", "#CRTFv0\ncircle [[10.5pix, 20pix], 5pix]\n")
    for origin in (None, 0):
        assert Catalog.read(pixels, origin=origin).pixel == (10.5, 20)
    with pytest.raises(InputError, match="CASA counts pixels from 0"):
        Catalog.read(pixels, origin=1)


def test_a_votable_called_text(write: Write, tmp_path: Path) -> None:
    Table({"ra": [10.5], "dec": [41.25]}).write(tmp_path / "a.vot", format="votable")
    path = write("a.txt", (tmp_path / "a.vot").read_bytes())
    assert Catalog.read(path).sky == (10.5, 41.25)


def test_columns_in_memory_that_are_no_table() -> None:
    with pytest.raises(InputError, match="catalog of type dict is no table"):
        Catalog.read({"ra": [1.0, 2.0], "dec": [1.0]})
    with pytest.warns(PraesepeWarning, match="none of its 2 rows has a position"):
        Catalog.read({"ra": [np.nan, 2.0], "dec": [1.0, np.nan]})


@pytest.mark.parametrize("kind", [dict, Table.as_array, lambda table: fits.BinTableHDU(table).data])
def test_columns_in_memory(kind: Any) -> None:
    sky = Catalog.read(kind(Table({"ra": [10.5, 10.6], "dec": [41.25, -41.0]}))).sky
    assert sky is not None
    np.testing.assert_array_equal(sky, [[10.5, 10.6], [41.25, -41.0]])


@pytest.mark.parametrize(
    "datatype", ["3", "\n# - ra\n# - dec", "\n# - {name: ra}\n# - {name: dec}"]
)
def test_a_damaged_ecsv_is_told_in_plain_words(write: Write, datatype: str) -> None:
    text = f"# %ECSV 1.0\n# ---\n# datatype: {datatype}\nra dec\n1 2\n"
    with pytest.raises(InputError, match=r"a\.ecsv cannot be read as ECSV: its content makes no"):
        Catalog.read(write("a.ecsv", text))


ROWS = "1,10.5,41.25\n2,10.625,41.0\n3,10.75,-0.5\n"
SEMICOLONS = "id;ra;dec\n" + ROWS.replace(",", ";")
VIZIER = (
    "#RESOURCE=yCat\n#Name: J/A\n\nid\tRAJ2000\tDEJ2000\n \tdeg\tdeg\n---\t---\t---\n"
    + ROWS.replace(",", "\t")
)
SEXTRACTOR = "#   1 NUMBER   Running number\n#   2 ALPHA_J2000  RA [deg]\n#   3 DELTA_J2000  Dec\n"
LEGUS = "         1    10.50000    41.25000\n         2    10.62500    41.00000\n"
LEGUS += "         3    10.75000    -0.50000\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("comma.csv", "id,ra,dec\n" + ROWS),
        ("semicolon.csv", SEMICOLONS),
        ("decimal.csv", SEMICOLONS.replace(".", ",")),
        ("decimal_blanks.txt", ("id ra dec\n" + ROWS.replace(",", " ")).replace(".", ",")),
        ("tab.csv", ("id,ra,dec\n" + ROWS).replace(",", "\t")),
        ("tab.tsv", ("id,ra,dec\n" + ROWS).replace(",", "\t")),
        ("bars.txt", ("id,ra,dec\n" + ROWS).replace(",", " | ")),
        ("blanks.dat", "# made by hand\nid   ra  dec\n" + ROWS.replace(",", "   ")),
        ("savetxt.csv", savetxt(delimiter=",", header="id,ra,dec")),
        ("savetxt.txt", savetxt(header="id ra dec")),
        ("mixed.txt", savetxt(header="id,ra,dec")),
        ("units.txt", "#id ra dec\n# - deg deg\n" + ROWS.replace(",", " ")),
        ("world.txt", "id X_WORLD Y_WORLD\n" + ROWS.replace(",", " ")),
        ("two_comments.txt", savetxt(header="from 2 images, of 2020\nid ra dec")),
        ("sextractor.cat", SEXTRACTOR + ROWS.replace(",", " ")),
        ("vizier.tsv", VIZIER),
        ("excel.csv", "id,ra,dec,note\n" + ROWS),  # no commas for empty cells
        ("end.csv", "id;ra;dec;\n" + ROWS.replace(",", ";").replace("\n", ";\n")),
        ("dos.csv", ("id,ra,dec\n" + ROWS).replace("\n", "\r\n")),
        ("mac.csv", ("id,ra,dec\n" + ROWS).replace("\n", "\r")),
        ("utf16.csv", ("id,ra,dec\n" + ROWS).encode("utf-16")),
        ("ecsv.txt", "# %ECSV 1.0\n# ---\n# delimiter: ','\n# datatype:\n# - {name: id, datatype: "
         "int64}\n# - {name: ra, datatype: float64}\n# - {name: dec, datatype: float64}\n"
         "id,ra,dec\n" + ROWS),
    ],
)  # fmt: skip
def test_positions(write: Write, name: str, content: str | bytes) -> None:
    found = Catalog.read(write(name, content))
    assert found.sky is not None
    np.testing.assert_array_equal(found.sky, [RA, DEC])
    assert found.table[found.id_column or "NUMBER"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("names", ["id,ra,dec", ["id", "ra", "dec"]])
def test_a_table_without_a_header(write: Write, names: str | list[str]) -> None:
    path = write("legus.tab", LEGUS)
    with pytest.raises(InputError, match=r"no header: its first row is 1, 10.50000, 41.25000"):
        Catalog.read(path)
    found = Catalog.read(path, columns=names)
    np.testing.assert_array_equal(found.sky, [RA, DEC])
    assert read_table(path, columns="id,ra")[0].colnames == ["id", "ra", "col3"]
    for wrong, message in (("a,b,c,d", "3 columns, but 4"), ("a,a,b", "two columns called a")):
        with pytest.raises(InputError, match=message):
            Catalog.read(path, columns=wrong)
    with pytest.raises(InputError, match="names its columns itself"):
        Catalog.read(write("named.csv", "id,ra,dec\n" + ROWS), columns=names)
    with pytest.raises(InputError, match="names its columns itself"):
        Catalog.read(Table({"ra": RA, "dec": DEC}), columns=names)


def test_columns_come_back_as_they_were(write: Write, tmp_path: Path) -> None:
    """Ids that look like numbers, long integers, fixed digits, empty cells, logicals, accents."""
    text = (
        "id,name,tile,obj,mag,err,flux,note,good,few\n"
        '00001,1E0,1.10,9223372036854775807,22.10,+0.10,1.500e+07,"a, b",True,1\n'
        "00002,2E1,1.1,2,22.15,-0.20,0.000e+00,null,False,\n"
        '00003,nan,12.10,3,9.00,+0.00,1.000e-03,"#é ""q""",True,3\n'
    )
    table, _ = read_table(write("a.csv", text))
    assert list(table["id"]) == ["00001", "00002", "00003"]
    assert list(table["name"]) == ["1E0", "2E1", "nan"]
    assert list(table["tile"]) == ["1.10", "1.1", "12.10"]
    assert table["obj"][0] == 2**63 - 1
    assert table["mag"].dtype == table["err"].dtype == table["flux"].dtype == float
    assert table["good"].dtype == bool
    assert table["few"].tolist() == [1, None, 3]
    assert list(table["note"]) == ["a, b", "null", '#é "q"']
    assert write_table(table, tmp_path / "b.csv").read_text() == text


@pytest.mark.parametrize(
    "ids", [["18446744073709551616", "1"], ["1e5", "2"], ["-0", "1"], ["07", "8"]]
)
def test_numbers_that_would_not_come_back_stay_text(write: Write, ids: list[str]) -> None:
    table, _ = read_table(write("a.csv", "key,ra\n" + "".join(f"{one},10.5\n" for one in ids)))
    assert list(table["key"]) == ids


def test_a_name_that_begins_with_a_number_sign(write: Write, tmp_path: Path) -> None:
    """Unquoted it is a comment, and that is said; what is written can be read again."""
    lines = "id,ra,dec\n#1,10.5,41\n# a word\n2,10.6,41\n#3,10.7,41\n"
    with pytest.warns(
        PraesepeWarning, match=r"begin with # and count as comments \(2, first line 2\)"
    ):
        assert len(read_table(write("a.csv", lines))[0]) == 1
    table, _ = read_table(write("b.csv", lines.replace("#1", '"#1"').replace("#3", '"#3"')))
    assert list(table["id"]) == ["#1", "2", "#3"]
    assert table.meta["comments"] == ["a word"]
    again, _ = read_table(write_table(table, tmp_path / "c.csv"))
    assert list(again["id"]) == ["#1", "2", "#3"]


def test_old_text_is_read_with_a_word(write: Write) -> None:
    with pytest.warns(PraesepeWarning, match="Windows-1252"):
        table, _ = read_table(write("a.csv", "id,ra\né,10.5\n".encode("cp1252")))
    assert table["id"][0] == "é"
    path = write_table(
        Table({"id": ["abc", "x"], "ra": [1.0, 2.0]}), write("b", "").parent / "b.fits"
    )
    path.write_bytes(path.read_bytes().replace(b"abc", "éàç".encode("cp1252")))
    with pytest.warns(PraesepeWarning, match="column 'id' is not in UTF-8"):
        assert list(read_table(path)[0]["id"]) == ["éàç", "x"]


def test_texts_that_may_be_missing(tmp_path: Path) -> None:
    """Parquet, as pandas writes it: nulls among texts become masked, not the word None."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"id": ["a", None, "null"], "ra": RA, "dec": DEC, "n": [1, None, 3]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    table, _ = read_table(tmp_path / "a.parquet")
    assert table["id"].tolist() == ["a", None, "null"]
    again, _ = read_table(write_table(table, tmp_path / "b.ecsv"))
    assert again["id"].tolist() == ["a", None, "null"]
    np.testing.assert_array_equal(np.ma.filled(again["n"].astype(float), np.nan), [1, np.nan, 3])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("ra\n1\n", "one column only"),
        ("id ra dec\n1 10 41\n2  41\n", r"line 3: 2 values where the table has 3 columns \(sep"),
        ("id,ra,dec\n1,10,41,5\n2,1,2\n", "line 2: 4 values where the table has 3 columns"),
        ('id,ra,dec\n1,10,41\n"2,10,41\n', "quotation mark is not closed"),
        ("ra,ra,dec\n1,2,3\n", "two columns called ra"),
        # all positions were missing, without a word
        ("id\tra\tdec\n1 10.5 41.2\n2 10.6 41.2\n", r"line 2: 1 values .* 3 columns .*tabs"),
        ("id, ra, dec\n1  10.5  41.2\n", r"line 2: 1 values .*commas"),
        ("; ra dec\n10.5 41.2\n", "line 2: 1 values"),
        ("<!DOCTYPE html>\n<p>ra,dec</p>\n", "is a web page"),
        (b"ra,dec\n1\x00,2\n", "not a text file"),
        (b"\x1f\x8b\x08\x00broken", "damaged or cut off"),
        ("id;ra;dec\n1;10,6845;41,25\n2;10.6;41.2\n", "ra = '10,6845' is neither degrees"),
        # 41.2 may have been 41.27: a row that neither has all values nor ends
        ("id,ra,dec,name\n1,10,41,a\n2,10,41.2", "line 3, is cut off: .* has 3 values of 4"),
    ],
)
def test_what_cannot_be_read_is_refused(write: Write, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Catalog.read(write("a.csv", content))


def test_more_columns_than_any_catalog_has(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted before values are read, which takes minutes; a list in a cell is one."""
    monkeypatch.setattr(width, "MOST_COLUMNS", 30)
    names = ["id", "ra", "dec", *(f"c{i}" for i in range(40))]
    values = ["10"] * 43
    wide = Table([[10]] * 43, names=names)
    for suffix in ("fits", "ecsv", "vot", "parquet"):
        write_table(wide, path := write("a.txt", "").with_name(f"a.{suffix}"))
        with pytest.raises(InputError, match=rf"a.{suffix} has 43 columns, more than the 30 that"):
            Catalog.read(path)
    for separator in ",;\t| ":
        path = write("a.csv", f"{separator.join(names)}\n{separator.join(values)}\n")
        with pytest.raises(InputError, match=r"43 columns, .* keep those of positions and ids"):
            Catalog.read(path)
    listed = f'id,ra,dec,pz\n1,10,41,"{", ".join(values)}"\n'
    assert len(Catalog.read(write("a.csv", listed)).table.columns) == 4


def test_plain_rows_are_split_some_columns_at_a_time(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many these are, the values are right."""
    values = np.arange(600 * 40).reshape(600, 40)
    header = ",".join(["id", "ra", "dec", *(f"c{i}" for i in range(40))])
    rows = [f"{row},10.5012345,41.2512345," + ",".join(map(str, values[row])) for row in range(600)]
    path = write("a.csv", "\n".join([header, *rows]) + "\n")
    for held in (1, 2000, 10**6):
        monkeypatch.setattr(text_columns, "HELD", held)
        table = Catalog.read(path).table
        found = np.array([table[f"c{i}"] for i in range(40)]).T
        assert np.array_equal(found, values)


@pytest.mark.parametrize("name", ["acs-wfc3_ngc628-c", "wfc3_ngc1566"])
def test_the_tables_of_legus(shared_data: Path, name: str, tmp_path: Path) -> None:
    path = next((shared_data / "catalogs" / "legus").glob(f"*{name}*.tab"))
    with pytest.warns(
        PraesepeWarning, match="taken for id, x, y, ra, dec, as in the tables of LEG"
    ):
        guessed = Catalog.read(path)
    found = Catalog.read(path, columns="id,x,y,ra,dec")
    np.testing.assert_array_equal(found.sky, guessed.sky)
    raw = np.loadtxt(path)
    np.testing.assert_array_equal(found.sky, raw[:, 3:5].T)
    assert found.table["id"].dtype == np.int64
    assert [found.table[c].dtype.kind for c in found.table.colnames[1:32]] == ["f"] * 31
    first = path.read_text().split("\n", 1)[0].split()
    row = write_table(found.table, tmp_path / "out.csv").read_text().split("\n")[1]
    assert row.split(",") == first


def test_other_tables_without_a_header_are_not_taken_for_those_of_legus(
    write: Write, rng: np.random.Generator
) -> None:
    n = np.arange(20)
    columns = [n, rng.uniform(0, 9, 20), rng.uniform(0, 9, 20), 10 + n / 1e4, 41 + n % 7 / 1e4]
    buffer = io.StringIO()
    np.savetxt(buffer, np.transpose(columns))
    with pytest.raises(InputError, match="has no header"):
        Catalog.read(write("a.tab", buffer.getvalue()))


# Positions by UCD


def votable(path: Path, ucds: dict[str, str], **columns: object) -> Path:
    document = from_table(Table(columns))
    for field in document.get_first_table().fields:
        field.ucd = ucds.get(field.name)
    document.to_xml(str(path))
    return path


@pytest.mark.parametrize("ucd", ["pos.eq.{};meta.main", "POS_EQ_{}_MAIN", "pos.eq.{}"])
@pytest.mark.parametrize("suffix", [".vot", ".fits", ".ecsv", ".parquet"])
@pytest.mark.filterwarnings("ignore::astropy.io.votable.exceptions.W06")
def test_positions_by_ucd(tmp_path: Path, ucd: str, suffix: str) -> None:
    """Also once the table was written in another format; an error's column is no position."""
    ucds = {"a": ucd.format("ra"), "b": ucd.format("dec"), "e": "stat.error;pos.eq.ra"}
    if ucd[0] == "P":
        ucds = {name: value.upper() for name, value in ucds.items() if name != "e"}
    path = votable(tmp_path / "a.vot", ucds, a=RA, b=DEC, e=[0.1] * 3)
    if suffix != ".vot":
        path = write_table(read_table(path)[0], tmp_path / f"b{suffix}")
    np.testing.assert_array_equal(Catalog.read(path).sky, [RA, DEC])


def test_the_main_position_wins_over_a_name(tmp_path: Path) -> None:
    ucds = {"a": "pos.eq.ra;meta.main", "b": "pos.eq.dec;meta.main", "ra": "pos.eq.ra"}
    path = votable(tmp_path / "a.vot", ucds, ra=DEC, dec=RA, a=RA, b=DEC)
    np.testing.assert_array_equal(Catalog.read(path).sky, [RA, DEC])


def test_positions_of_1950_are_refused(tmp_path: Path) -> None:
    path = votable(tmp_path / "a.vot", {}, ra=RA, dec=DEC)
    text = path.read_text().replace(
        "<TABLE", '<COOSYS ID="J" system="eq_FK4" equinox="B1950"/><TABLE', 1
    )
    path.write_text(text.replace('name="ra"', 'name="ra" ref="J"'))
    with pytest.raises(InputError, match="system fk4; convert them to ICRS"):
        Catalog.read(path)


@pytest.mark.parametrize("names", [("clusters", "stars"), ("log", "clusters")])
def test_several_tables(tmp_path: Path, names: tuple[str, str]) -> None:
    """In FITS and VOTable alike: they are named, and one can be chosen; the only one with
    positions is taken, and that is said.
    """
    from astropy.io import fits
    from astropy.io.votable.tree import Resource, TableElement, VOTableFile

    one, other = Table({"ra": RA, "dec": DEC}), Table({"k": [1]})
    tables = {"clusters": one, "stars": one, "log": other}
    tables = {name: tables[name] for name in names}
    document = VOTableFile()
    for name, table in tables.items():
        resource = Resource()
        document.resources.append(resource)
        element = TableElement.from_table(document, table)
        element.name = name
        resource.tables.append(element)
    document.to_xml(str(tmp_path / "a.vot"))
    hdus = [fits.BinTableHDU(table, name=name) for name, table in tables.items()]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "a.fits")
    for path in (tmp_path / "a.vot", tmp_path / "a.fits"):
        said = rf"tables: 1 \((?i:{names[0]}), \d columns\) and 2 \("
        if "stars" in names:
            with pytest.raises(InputError, match=said):
                Catalog.read(path)
        else:
            with pytest.warns(PraesepeWarning, match=said + ".* is read, the only one with pos"):
                np.testing.assert_array_equal(Catalog.read(path).sky, [RA, DEC])
        for extension in ("clusters", str(names.index("clusters") + 1)):
            np.testing.assert_array_equal(Catalog.read(f"{path}[{extension}]").sky, [RA, DEC])
        with pytest.raises(InputError, match="no extension '7'"):
            Catalog.read(f"{path}[7]")


# What formats hold


COLUMNS = {
    "long": MaskedColumn([1, 999999, 2**62 + 1], mask=[1, 0, 0]),
    "short": MaskedColumn(np.array([1, 16959, -32768], "i2"), mask=[1, 0, 0]),
    "tiny": np.array([-1, 0, 127], "i1"),
    "half": np.array([0.5, 1, 2], "f2"),
    "objects": np.array([1, None, 3], object),
    "words": np.array(["a", None, "null"], object),
    "u2": np.array([1, 2, 65535], "u2"),
    "byte": MaskedColumn(np.array([1, 63, 255], "u1"), mask=[1, 0, 0]),
    "unsigned": MaskedColumn(np.array([0, 1, 2**63 - 1], "u8"), mask=[1, 0, 0]),
    "logical": np.array([True, False, True]),
    "perhaps": MaskedColumn([True, False, True], mask=[1, 0, 0]),
    "nobody": MaskedColumn([1, 2, 3], mask=[0, 0, 0]),
    "none": MaskedColumn([1, 2, 3], mask=[1, 1, 1]),
    "name": np.array(["00001", "2E1", "null"]),
}


@pytest.mark.parametrize("suffix", [".ecsv", ".fits", ".vot", ".csv", ".parquet"])
@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.filterwarnings("ignore:masked texts")
def test_values_and_masks_survive(tmp_path: Path, suffix: str, name: str) -> None:
    """The fill value of a masked column may be a value of it; FITS knows no masked logical."""
    column = COLUMNS[name]
    table, _ = read_table(Table({"id": [1, 2, 3], name: column}))
    again, _ = read_table(write_table(table, tmp_path / f"a{suffix}"))
    if name == "none" and suffix == ".csv":  # no number tells that it was one
        assert list(again[name]) == ["", "", ""]
    else:
        found = np.ma.asarray(again[name]).tolist()
        if name == "words":
            found = [one or None for one in found]  # no text and none are the same in most formats
        assert found == np.ma.asarray(column).tolist()
        kind = column.dtype.kind
        assert again[name].dtype.kind in {"u": "iu", "O": "iU"}.get(kind, kind)
    assert again.colnames == ["id", name]


@pytest.mark.parametrize("suffix", [".ecsv", ".fits", ".vot", ".parquet"])
@pytest.mark.parametrize("unit", ["10 nJy", "mag(AB)", "erg / (s cm2)", "kpc"])
def test_units_survive(tmp_path: Path, suffix: str, unit: str) -> None:
    table = Table({"f": [1.5, 2]})
    table["f"].unit = unit
    again, _ = read_table(write_table(table, tmp_path / f"a{suffix}"))
    assert again["f"].unit == table["f"].unit
    assert again["f"].tolist() == [1.5, 2]


@pytest.mark.filterwarnings("error::UserWarning")
def test_what_a_format_cannot_hold_is_written_in_another_way_with_a_word(tmp_path: Path) -> None:
    table = Table({"id": np.array([1, 2**63 + 5], "u8")})
    with pytest.warns(PraesepeWarning, match="VOTable has no integers beyond 2.63: column 'id'"):
        path = write_table(table, tmp_path / "a.vot")
    assert list(read_table(path)[0]["id"]) == ["1", "9223372036854775813"]
    table = Table({"ra": [1.0]}, meta={"command": "--image /home/jérôme/a.fits", "comments": ["°"]})
    table["ra"].info.description = "ascension droite (°)"
    with pytest.warns(PraesepeWarning, match="not the description of column 'ra'"):
        path = write_table(table, tmp_path / "a.fits")
    assert read_table(path)[0]["ra"].info.description == r"ascension droite (\xb0)"
    assert read_table(path)[0].meta["COMMAND"] == r"--image /home/j\xe9r\xf4me/a.fits"


def test_what_does_not_fit_is_known_beforehand(tmp_path: Path) -> None:
    ragged = np.empty(60, object)
    ragged[:] = [np.arange(i % 4 + 1.0) for i in range(60)]
    names = np.array(["a"] * 59 + ["Ć"])
    for column, suffix in ((ragged, ".csv"), (names, ".fits"), (np.zeros((60, 2)), ".csv")):
        with pytest.raises(InputError, match=r"write \.ecsv"):
            check_fit(Table({"a": column}), tmp_path / f"a{suffix}")
    with pytest.warns(PraesepeWarning, match="not the names of the columns é: escaped there"):
        check_fit(Table({"é": [1]}), tmp_path / "a.fits")
    with pytest.raises(InputError, match="has 70 characters"):
        check_fit(Table({"n" * 70: [1]}), tmp_path / "a.fits")
    with pytest.raises(
        InputError, match=r"column 'c' \(complex128\) has no place in .parquet files"
    ):
        check_fit(Table({"a": [1], "c": [1j]}), tmp_path / "a.parquet")
    for suffix in (".ecsv", ".vot", ".parquet"):
        check_fit(Table({"a": names}), tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        " id |  ra   |  dec\n----+-------+-------\n  1 | 10.5  | 41.25\n(1 row)\n",
        "sep=;\nid;ra;dec\n1;10.5;41.25\n",
        "Clusters of M 31, of 2020\n\nid,ra,dec\n1,10.5,41.25\n",
        "id,ra,dec\n,deg,deg\n1,10.5,41.25\n",
        "id,ra,dec\n-,deg,deg\n1,10.5,41.25\n",
    ],
)
def test_lines_that_are_no_rows(write: Write, text: str) -> None:
    table, _ = read_table(write("a.csv", text))
    assert [*map(tuple, table)] == [(1, 10.5, 41.25)]
    assert table.colnames == ["id", "ra", "dec"]


def test_vectors_of_sextractor(write: Write) -> None:
    text = (
        "# 1 MAG_APER Magnitudes\n# 3 ALPHA_J2000 RA\n# 4 DELTA_J2000 Dec\n20.5 21.5 10.5 41.25\n"
    )
    table, _ = read_table(write("a.cat", text))
    assert table.colnames == ["MAG_APER", "MAG_APER_1", "ALPHA_J2000", "DELTA_J2000"]


def test_ldac(tmp_path: Path) -> None:
    """FITS by its content, and the table of objects."""
    objects = fits.BinTableHDU(Table({"ra": RA, "dec": DEC}), name="LDAC_OBJECTS")
    head = fits.BinTableHDU(Table({"card": ["x"]}), name="LDAC_IMHEAD")
    fits.HDUList([fits.PrimaryHDU(), head, objects]).writeto(tmp_path / "a.cat")
    assert read_table(tmp_path / "a.cat")[0]["ra"].tolist() == RA


def test_ipac(tmp_path: Path) -> None:
    Table({"ra": RA, "dec": DEC}).write(tmp_path / "a.tbl", format="ascii.ipac")
    assert read_table(tmp_path / "a.tbl")[0]["ra"].tolist() == RA


def test_a_row_is_no_title(write: Write) -> None:
    with pytest.raises(InputError):
        read_table(write("a.csv", "7,10.5,41.25\nid,ra,dec\n1,10.5,41.25\n"))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_many_rows_are_read_as_few_are(
    write: Write, rng: np.random.Generator, separator: str
) -> None:
    """Plain rows are split all at once; a comment at the end has each split by itself."""
    rows = [
        [f"{i:05d}", f"{x:.7f}", f"{y:+.8e}", f" n {i} ", i % 7 * "3", "nan" if i % 9 else "-1.5"]
        for i, (x, y) in enumerate(rng.uniform(1, 80, (900, 2)))
    ]
    text = "\n".join(separator.join(row) for row in [["id", "ra", "dec", "name", "n", "v"], *rows])
    plain = Catalog.read(write("plain.csv", text)).table
    commented = Catalog.read(write("commented.csv", text + "\n# end\n")).table
    assert len(plain) == 900
    for name in commented.colnames:
        assert plain[name].dtype == commented[name].dtype
        assert plain[name].format == commented[name].format
        assert str(plain[name].tolist()) == str(commented[name].tolist())
    for damaged in (f"{text}{separator}x", text.replace("n 700", '"n 700')):
        with pytest.raises(InputError, match=r"line 901|quotation mark"):
            Catalog.read(write("damaged.csv", damaged))


def test_names_add_no_lines_to_a_region_file(tmp_path: Path) -> None:
    evil = "a\ncircle(1,2,3)\r\u2028}"
    table = Table({"id": [evil], "ra": [1.0], "dec": [2.0]})
    path = write_regions(table, tmp_path / "a.reg", 1.0, pixel=([3.0], [4.0]), pixels_of=evil)
    first, *lines = path.read_text(encoding="utf-8").splitlines()
    assert first.endswith("pixels of a circle(1,2,3) )")
    assert lines == ["image", 'circle(3.00000000,4.00000000,1.0000") # text={a circle(1,2,3) )}']
