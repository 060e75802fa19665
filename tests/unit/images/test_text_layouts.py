"""Tables as services and programs print them: the right positions, or a refusal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from praesepe.errors import InputError, PraesepeWarning
from praesepe.images.catalog.catalogs import Catalog
from praesepe.images.catalog.tables import read_table

SIMBAD = """C.D.S.  -  SIMBAD4 rel 1.8  -  2024.01.05CET12:00:00

coord 10.68 41.26 (ICRS, J2000, 2000.0), radius: 2 arcmin
---------------------------------------------------------

Number of objects : 2

# |dist(asec)|  identifier  |typ|      coord1 (ICRS,J2000/2000)      |coord3 (FK4,B1950/1950)|Mag V
--|----------|--------------|---|------------------------------------|-----------------------|-----
1 |      0.00|M  31         |AGN|00 42 44.330 +41 16 07.50           |00 40 00.1 +40 59 43   | 3.4
2 |     30.10|NAME "B" 124  |Gl*|00 42 41.8 -00 16 11                |00 40 07.1 -00 32 37   |    ~
================================================================================
"""
VIZIER = """#
#   VizieR Astronomical Server vizier.cds.unistra.fr
#Coosys\tB1950:\teq_FK4 B1950
#Coosys\tJ2000:\teq_FK5 J2000

#RESOURCE=yCat_18020127
#Table\tJ_ApJ_802_127_table2:
#Column\tAPID\t(I5)\tAP catalog identifier (3-4159)\t[ucd=meta.id;meta.main]
RAJ2000\tDEJ2000\tAPID\tNote
"h:m:s"\t"d:m:s"\t \t
-----------\t-----------\t-----\t----
00 42 44.33\t+41 16 07.5\t    3\t
00 42 41.80\t-00 16 11.0\t   13\tx

"""
REFERENCES = (
    "#Table\tJ_refs:\nRef\tBibCode\n \t \n---\t-------------------\n  1\t2015ApJ\n\n#END#\n"
)
COLUMNS = """
Byte-by-byte Description of file: table2.dat
--------------------------------------------------------------------------------
   Bytes Format Units  Label  Explanations
--------------------------------------------------------------------------------
   1-  3 I3     ---    ID     Identifier
   5-  6 I2     h      RAh    Hour of Right Ascension (J2000)
   8-  9 I2     min    RAm    Minute of Right Ascension (J2000)
  11- 15 F5.2   s      RAs    Second of Right Ascension (J2000)
      17 A1     ---    DE-    Sign of the Declination (J2000)
  18- 19 I2     deg    DEd    Degree of Declination (J2000)
  21- 22 I2     arcmin DEm    Arcminute of Declination (J2000)
  24- 27 F4.1   arcsec DEs    Arcsecond of Declination (J2000)
  29- 33 F5.2   mag    Vmag   ? magnitude
--------------------------------------------------------------------------------
"""
BYTES = "  1 00 42 44.33 +41 16 07.5 20.51\n  2 00 42 41.80 -00 16 11.0      \n"
IPAC = """\\fixlen = T
|  id|        ra|       dec|  name |
| int|    double|    double|  char |
|    |       deg|       deg|       |
|null|      null|      null|  null |
    1  10.684708   41.26875    M 31
    2  10.674167  -0.269722    null
"""
FRAMED = """+----+-----------+-----------+
| id | ra        | dec       |
+----+-----------+-----------+
| 1  | 10.684708 | 41.26875  |
| 2  | 10.674167 | -0.269722 |
+----+-----------+-----------+
"""
WIDTHS = """#Table J_ApJ_802_127_table2
APID  RAJ2000     DEJ2000
      "h:m:s"     "d:m:s"
----- ----------- -----------
    3 00 42 44.33 +41 16 07.5
   13 00 42 41.80 -00 16 11.0
"""
TEXTS = {
    "simbad.txt": SIMBAD,
    "vizier.tsv": VIZIER,
    "semicolons.txt": VIZIER.replace("\t", ";"),
    "widths.txt": WIDTHS,
    "mrt.txt": "Title: A\nAuthors: B\nTable: C\n" + "=" * 80 + COLUMNS + BYTES,
    "long.mrt": "Title: A\nAuthors: " + "B., " * 2000 + "\n" + "=" * 80 + COLUMNS + BYTES,
    "ipac.txt": IPAC,
    "framed.txt": FRAMED,
    "framed.dat": "".join(line for line in FRAMED.splitlines(True) if line[0] == "|"),
    "starlink.tab": "Clusters\n\nid\tra\tdec\n--\t--\t---\n1\t10.684708\t41.26875\n"
    "2\t10.674167\t-0.269722\n[EOD]\n",
    "six.txt": "# id ra dec\n1 00 42 44.33 +41 16 07.5\n2 00 42 41.80 -00 16 11\n",
    "six_more.dat": "id ra dec mag\n1 0 42 44.33 +41 16 7.5 20.1\n2 0 42 41.8 -0 16 11 21\n",
    "packed.csv": "id,RA,DEC\n1,004244.33,+411607.5\n2,004241.80,-001611.0\n",
    "rst.txt": "==== ========= ========\n id   ra        dec\n==== ========= ========\n"
    " 1   10.684708  41.26875\n 2   10.674167 -0.269722\n==== ========= ========\n",
    "pair.csv": "id,coordinates\n1,00:42:44.33 +41:16:07.5\n2,00:42:41.80 -00:16:11\n",
    "pair_degrees.csv": 'id;radec\n1;"10.684708, 41.26875"\n2;"10.674167, -0.269722"\n',
    "names.csv": "id,RA(J2000),Dec(J2000)\n1,10.684708,41.26875\n2,10.674167,-0.269722\n",
    "dots.csv": "id,R.A. [hh:mm:ss],Decl. [dd:mm:ss]\n1,00:42:44.33,41:16:07.5\n"
    "2,00:42:41.8,-00:16:11\n",
}


@pytest.mark.parametrize("name", TEXTS)
def test_positions(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(TEXTS[name])
    found = Catalog.read(path)
    expected = [[10.6847083, 10.6741667], [41.26875, -0.2697222]]
    np.testing.assert_allclose(found.sky, expected, rtol=0, atol=2e-6)
    assert len(found) == 2


@pytest.mark.parametrize("columns", ["id,ra,dec", "id,ra,dec,mag"])
def test_six_numbers_are_two_angles(tmp_path: Path, columns: str) -> None:
    """Silent before: right ascension 0 and declination 42 degrees."""
    path = tmp_path / "a.txt"
    path.write_text("1 00 42 44.33 +41 16 07.5 20\n2 00 42 41.80 -00 16 11 21\n")
    found = Catalog.read(path, columns=columns)
    np.testing.assert_allclose(found.sky, [[10.68471, 10.67417], [41.26875, -0.26972]], atol=1e-5)


def test_a_file_that_a_readme_describes(tmp_path: Path) -> None:
    (tmp_path / "ReadMe").write_text("J/A+A/1/1  A catalogue\n" + COLUMNS)
    for name in ("table2.dat", "other.dat"):
        (tmp_path / name).write_text(BYTES)
    found = Catalog.read(tmp_path / "table2.dat")
    np.testing.assert_allclose(found.sky, [[10.68471, 10.67417], [41.26875, -0.26972]], atol=1e-5)
    assert found.table["Vmag"].tolist() == [20.51, None]
    with pytest.raises(InputError, match="no header"):
        Catalog.read(tmp_path / "other.dat")


def test_several_tables_of_vizier(tmp_path: Path) -> None:
    """The rows of the second one were rows without a position."""
    path = tmp_path / "a.tsv"
    path.write_text(VIZIER + REFERENCES)
    with pytest.warns(PraesepeWarning, match=r"4 columns in line 9 and 2 columns in line 16\)"):
        assert len(Catalog.read(path)) == 2
    path.write_text(VIZIER + VIZIER)
    with pytest.raises(InputError, match="holds 2 tables, 2 of them with positions"):
        Catalog.read(path)


def test_numbers_that_are_no_degrees(tmp_path: Path) -> None:
    """Without zeros in front a CSV file and FITS have numbers; degrees stay degrees."""
    path = tmp_path / "a.csv"
    path.write_text("id,RA,DEC\n1,104244.3,411607.5\n2,4244.3,-411607.5\n")
    with pytest.warns(PraesepeWarning, match="RA = 104244.3 and DEC = 411607.5 are read as hours"):
        found = Catalog.read(path)
    np.testing.assert_allclose(found.sky, [[160.68458, 10.68458], [41.26875, -41.26875]], atol=1e-5)
    path.write_text("id,ra,dec\n1,104297.3,411607.5\n2,10.5,41\n")  # no seconds are 97
    with pytest.warns(PraesepeWarning, match="1 row has impossible coordinates"):
        np.testing.assert_array_equal(Catalog.read(path).sky, [[np.nan, 10.5], [np.nan, 41]])


@pytest.mark.parametrize(
    ("names", "values", "said"),
    [
        ("RA(B1950);Dec(B1950)", "10.5;41.25", "system b1950"),
        ("coord3 (FK4,B1950/1950)", "00 40 00.1 +40 59 43", "system fk4"),
        ("coord4 (Gal,J2000/2000)", "121.17 -21.57", "system gal"),
        ("RA [hh:mm:ss];Dec", "10.5;41.25", r"holds numbers, such as \[10.5\]"),
        ("pos;id", "10.5 41.25;1", "has no position columns"),  # may be pixels
        ("ra;dec", "10_5.2;41.25", r"ra = '10_5.2' is neither degrees"),  # 105.2 in Python
    ],
)
def test_other_systems_are_refused(tmp_path: Path, names: str, values: str, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"no;{names}\n1;{values}\n2;{values}\n")
    with pytest.raises(InputError, match=said):
        Catalog.read(path)


def test_the_columns_of_simbad(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(SIMBAD)
    table, _ = read_table(path)
    assert list(table["identifier"]) == ["M  31", 'NAME "B" 124']
    assert table.colnames[1:3] == ["dist(asec)", "identifier"]


@pytest.mark.parametrize(
    ("comment", "names", "said"),
    [
        ("positions are B1950.0", "ra,dec", "system b1950"),
        ("galactic coordinates", "ra,dec", "system galactic"),
        ("from FK4 positions", "RAJ2000,DEJ2000", ""),
        ("corrected for galactic extinction", "ra,dec", ""),
        ("clusters of 1950 and galactic ones", "ra,dec", ""),
    ],
)
def test_systems_in_words(tmp_path: Path, comment: str, names: str, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"# {comment}\n{names}\n10.5,41.25\n10.6,41.5\n")
    if said:
        with pytest.raises(InputError, match=said):
            Catalog.read(path)
    else:
        np.testing.assert_array_equal(Catalog.read(path).sky, [[10.5, 10.6], [41.25, 41.5]])


@pytest.mark.parametrize(
    ("ra", "dec", "off"),
    [
        ("{:.4f}", "{:.4f}", "0.18"),  # degrees
        ("{:.5f}", "{:.5f}", ""),
        ("00:42:{:04.1f}", "+41:16:{:04.1f}", "0.56"),  # 0.1 s
        ("00:42:{:05.2f}", "+41:16:{:04.1f}", ""),
        ("00:42:{:06.3f}", "+41:16:{:02.0f}", "0.5"),
    ],
)
def test_positions_of_few_digits(tmp_path: Path, ra: str, dec: str, off: str) -> None:
    rng = np.random.default_rng(1)
    rows = [(ra.format(10 + x), dec.format(40 + y)) for x, y in rng.uniform(0, 9, (5, 2))]
    path = tmp_path / "a.csv"
    path.write_text("ra,dec\n" + "".join(f"{x},{y}\n" for x, y in rows))
    if off:
        with pytest.warns(PraesepeWarning, match=rf"rounded, so that they may be {off} arcsec off"):
            Catalog.read(path)
    else:
        Catalog.read(path)


VOTABLE = """<?xml version="1.0"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">
<INFO name="QUERY_STATUS" value="{}">no such column</INFO><TABLE>
<FIELD name="ra" datatype="double" unit="deg"/><FIELD name="dec" datatype="double" unit="deg"/>
<DATA><TABLEDATA><TR><TD>10.5</TD><TD>41.25</TD></TR></TABLEDATA></DATA></TABLE>{}
</RESOURCE></VOTABLE>"""


@pytest.mark.parametrize(
    "text",
    [
        VOTABLE.format("OK", '<INFO name="QUERY_STATUS" value="OVERFLOW"/>'),
        "# truncated result (maximum number of rows: 50)\nra,dec\n10.5,41.25\n",
    ],
)
def test_an_answer_that_was_cut_off(tmp_path: Path, text: str) -> None:
    path = tmp_path / ("a.vot" if "VOTABLE" in text else "a.csv")
    path.write_text(text)
    with pytest.warns(PraesepeWarning, match="cut its answer off; rows are missing"):
        assert len(Catalog.read(path)) == 1
    if path.suffix == ".vot":
        path.write_text(VOTABLE.format("ERROR", ""))
        with pytest.raises(InputError, match="is a service's error: no such column"):
            Catalog.read(path)


def test_the_equinox_of_the_primary_header(tmp_path: Path) -> None:
    primary = fits.PrimaryHDU()
    primary.header["EQUINOX"] = 1950.0
    table = fits.BinTableHDU(Table({"ra": [10.5], "dec": [41.25]}))
    fits.HDUList([primary, table]).writeto(tmp_path / "a.fits")
    with pytest.raises(InputError, match=r"system equinox 1950\.0"):
        Catalog.read(tmp_path / "a.fits")
