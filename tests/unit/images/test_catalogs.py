"""Catalogues in all formats and notations end at the right pixels."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.time import Time
from astropy.utils.masked import Masked
from astropy.wcs import WCS

from praesepe.errors import InputError, PraesepeWarning
from praesepe.images import Catalog
from praesepe.images.catalog import pixel_positions, sky_positions
from praesepe.images.reading.source import open_image

MakeWCS = Callable[..., WCS]
SHAPE = (200, 220)


def positions_in(
    source: Any, wcs: WCS | None, **columns: Any
) -> tuple[Table, np.ndarray, np.ndarray]:
    """The table of a catalog, and where its rows lie on an image."""
    catalog = Catalog.read(source, **columns)
    return catalog.table, *catalog.on(wcs)


@pytest.fixture
def wcs(make_wcs: MakeWCS) -> WCS:
    return make_wcs(SHAPE)


@pytest.fixture
def catalog(wcs: WCS, rng: np.random.Generator) -> Table:
    x, y = rng.uniform(5, 190, (2, 20))
    ra, dec = wcs.all_pix2world(x, y, 0)
    names = [f"c {i}" for i in range(20)]
    table = Table({"name": names, "RA": ra, "Dec": dec, "mag": x / 10, "n": np.arange(20)})
    table.meta["x"], table.meta["y"] = x.tolist(), y.tolist()
    return table


def check(table: Table, x: np.ndarray, y: np.ndarray, catalog: Table, atol: float = 1e-4) -> None:
    np.testing.assert_allclose(x, catalog.meta["x"], atol=atol)
    np.testing.assert_allclose(y, catalog.meta["y"], atol=atol)
    assert [str(name) for name in table["name"]] == list(catalog["name"])


@pytest.mark.parametrize(
    "suffix", [".csv", ".ecsv", ".fits", ".vot", ".xml", ".parquet", ".fits.gz"]
)
def test_formats(tmp_path: Path, catalog: Table, wcs: WCS, suffix: str) -> None:
    path = tmp_path / f"cat{suffix}"
    plain = catalog.copy()
    plain.meta.clear()
    form = {".vot": "votable", ".xml": "votable"}.get(suffix)
    plain.write(path, **({"format": form} if form else {}))
    table, x, y = positions_in(path, wcs)
    check(table, x, y, catalog)
    assert table.colnames == catalog.colnames
    assert np.array_equal(table["n"], np.arange(20))


def test_table_is_copied(catalog: Table, wcs: WCS) -> None:
    table, x, y = positions_in(catalog, wcs)
    check(table, x, y, catalog)
    table["mag"] = 0
    assert catalog["mag"].any()


def test_csv_from_a_spreadsheet(tmp_path: Path, catalog: Table, wcs: WCS) -> None:
    """Byte order mark, comment lines, quotes, empty cells, DOS line ends."""
    lines = ["# my clusters", "name,RA,Dec,note"]
    for row in catalog:
        lines.append(f'"{row["name"]}",{float(row["RA"])!r},{float(row["Dec"])!r},"a, b"')
    lines[-1] = "last,,,"
    path = tmp_path / "cat.csv"
    path.write_bytes(("\ufeff" + "\r\n".join(lines) + "\r\n").encode())
    table, x, y = positions_in(path, wcs)
    np.testing.assert_allclose(x[:-1], catalog.meta["x"][:-1], atol=1e-4)
    assert np.isnan([x[-1], y[-1]]).all()
    assert table.colnames == ["name", "RA", "Dec", "note"]
    assert table["note"][0] == "a, b"


@pytest.mark.parametrize(
    "names",
    [("ra", "dec"), ("RAJ2000", "DEJ2000"), ("_RAJ2000", "_DEJ2000"), ("RA_ICRS", "DE_ICRS"),
     ("ALPHA_J2000", "DELTA_J2000"), ("ra_deg", "dec_deg"), ("s_ra", "s_dec"), ("RA_1", "DEC_1"),
     ("MatchRA", "MatchDec"), ("raMean", "decMean"), ("gaia_ra", "gaia_dec"),
     ("Right Ascension", "Declination"), ("right_ascension", "declination"), ("OBJRA", "OBJDEC"),
     ("RA_TARG", "DEC_TARG"), ("target_ra", "target_dec"), ("R.A. (J2000)", "Decl. (J2000)"),
     ("_RA.icrs", "_DE.icrs"), ("RA_cen", "Dec_cen"), ("RAdeg", "DEdeg"), ("raStack", "decStack"),
     ("RA (J2000) [deg]", "Dec (J2000) [deg]")],
)  # fmt: skip
def test_usual_names(catalog: Table, wcs: WCS, names: tuple[str, str]) -> None:
    catalog.rename_columns(["RA", "Dec"], names)
    check(*positions_in(catalog, wcs), catalog)


@pytest.mark.parametrize(
    ("ra", "dec"),
    [("ra_err", "dec_err"), ("e_RAJ2000", "e_DEJ2000"), ("pmRA", "pmDE"), ("dRA", "dDec"),
     ("delta_ra", "delta_dec"), ("ra_offset", "dec_offset"), ("rad", "ded"),
     ("sigma_ra", "sigma_dec"), ("RA1950", "DEC1950"), ("ra_b1950", "dec_b1950"), ("ra1", "dec1"),
     ("ram", "DE-"), ("alpha_sky", "delta_sky"), ("raErr", "decErr"), ("cos_dec", "ra"),
     ("RA (err) [deg]", "Dec (err) [deg]")],
)  # fmt: skip
def test_names_of_other_things(ra: str, dec: str) -> None:
    assert sky_positions(Table({ra: [10.0], dec: [41.0]})) is None


@pytest.mark.parametrize(
    ("names", "used"),
    [
        ("RA_TARG DEC_TARG ra dec", "ra dec"),
        ("dec_2000 ra_2000 RA Dec_1 RA_1", "ra_2000 dec_2000"),
        ("ALPHA_J2000 DELTA_J2000 RAJ2000 DEJ2000", "RAJ2000 DEJ2000"),
        ("_RAJ2000 _DEJ2000 RAJ2000 DEJ2000", "RAJ2000 DEJ2000"),
        ("ra_deg dec_deg ra dec", "ra dec"),
        ("RAdeg e_DEdeg DEdeg ra_hours", "RAdeg DEdeg"),
        ("RA_TARG DEC_TARG RA_ICRS Dec", "RA_ICRS Dec"),
        ("ra_2 dec_2 ra dec", "ra dec"),
        (
            "ALPHAPEAK_J2000 DELTAPEAK_J2000 ALPHAWIN_J2000 DELTAWIN_J2000",
            "ALPHAWIN_J2000 DELTAWIN_J2000",
        ),
    ],
)
def test_which_pair_is_used(names: str, used: str) -> None:
    table = Table({name: [1.0 + i] for i, name in enumerate(names.split())})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PraesepeWarning)  # of the other pair
        assert sky_positions(table) == tuple(table[name][0] for name in used.split())


def test_the_other_positions_of_a_match_are_told() -> None:
    table = Table({"ra_1": [10.0], "dec_1": [41.0], "ra_2": [10.001], "dec_2": [41.0]})
    with pytest.warns(PraesepeWarning, match="ra_2 and dec_2 are up to 2.7 arcsec off .* ra_1"):
        assert sky_positions(table) == (10.0, 41.0)


@pytest.mark.parametrize("sep", [":", "hms", " ", "unicode"])
def test_sexagesimal(catalog: Table, wcs: WCS, sep: str) -> None:
    sky = SkyCoord(catalog["RA"], catalog["Dec"], unit="deg")
    ra, dec = ({"sep": sep}, {"sep": "dms" if sep == "hms" else sep})
    if sep == "unicode":
        ra = dec = {"format": "unicode"}
    catalog["RA"] = sky.ra.to_string("hourangle", precision=7, pad=True, **ra)
    catalog["Dec"] = sky.dec.to_string("deg", precision=4, pad=True, alwayssign=True, **dec)
    check(*positions_in(catalog, wcs), catalog, atol=5e-3)


def test_right_ascension_in_degrees_minutes_seconds(catalog: Table, wcs: WCS) -> None:
    sky = SkyCoord(catalog["RA"], catalog["Dec"], unit="deg")
    catalog["RA"] = sky.ra.to_string("deg", sep="dms", precision=4)
    check(*positions_in(catalog, wcs), catalog, atol=5e-3)
    catalog["RA"] = Column(sky.ra.to_string("deg", sep=":", precision=4), unit="d:m:s")
    check(*positions_in(catalog, wcs), catalog, atol=5e-3)


@pytest.mark.parametrize("unit", ["hourangle", "deg", "rad"])
def test_units_of_numbers(catalog: Table, wcs: WCS, unit: str) -> None:
    catalog["RA"] = Column((catalog["RA"] * u.deg).to(unit).value, unit=unit)
    check(*positions_in(catalog, wcs), catalog)


def test_hours_by_name(catalog: Table, wcs: WCS) -> None:
    catalog["ra_hours"] = catalog["RA"] / 15
    catalog.remove_column("RA")
    check(*positions_in(catalog, wcs), catalog)


def test_decimal_degrees_as_text(catalog: Table, wcs: WCS) -> None:
    catalog["RA"] = [f"{value:.8f}" for value in catalog["RA"]]
    check(*positions_in(catalog, wcs), catalog, atol=1e-2)


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("00:42:44.3", 10.684583), ("0h42m44.3s", 10.684583), ("00 42 44.3", 10.684583),
        ("10d41m04.5s", 10.684583), ("10.684583", 10.684583), ("1.0684583e1", 10.684583),
        ("00:42.738333", 10.684583), ("12h", 180.0), ("", np.nan), ("--", np.nan), ("nan", np.nan),
    ],
)  # fmt: skip
def test_notations_of_right_ascension(text: str, degrees: float) -> None:
    ra, _ = sky_positions(Table({"ra": [text], "dec": ["+41:16:09"]}))
    np.testing.assert_allclose(ra, [degrees], atol=2e-5)


@pytest.mark.parametrize(
    ("text", "degrees"),
    [("-00:30:00", -0.5), ("-0 30 0", -0.5), ("+41d16m09s", 41.269167), ("−41:16:09", -41.269167)],
)
def test_sign_of_declination(text: str, degrees: float) -> None:
    _, dec = sky_positions(Table({"ra": ["0:0:0"], "dec": [text]}))
    np.testing.assert_allclose(dec, [degrees], atol=1e-6)


@pytest.mark.parametrize("text", ["abc", "00:61:00", "12:00:75", "1:2:3:4"])
def test_nonsense_names_the_row(text: str) -> None:
    with pytest.raises(InputError, match="row 2: ra = "):
        sky_positions(Table({"ra": ["00:42:44.3", text], "dec": ["1", "2"]}))


def test_impossible_coordinates_are_missing(catalog: Table, wcs: WCS) -> None:
    catalog["Dec"][3] = -999.0
    with pytest.warns(PraesepeWarning, match="1 row has impossible coordinates, row 4"):
        _, x, y = positions_in(catalog, wcs)
    assert np.isnan(x[3])
    assert np.isnan(y[3])
    assert np.isfinite(np.delete(x, 3)).all()


HMS, DMS = ("00", "42", "44.25"), ("-00", "16", "12")


@pytest.mark.parametrize(
    "names",
    ["RA_h RA_m RA_s Dec_d Dec_m Dec_s", "rah ram ras decd decm decs",
     "ra_hour ra_min ra_sec dec_deg dec_min dec_sec", "RA(h) RA(m) RA(s) Dec(d) Dec(m) Dec(s)",
     "RAhr RAmin RAsec DEdeg DEmin DEsec"],
)  # fmt: skip
def test_parts_of_angles_by_other_names(tmp_path: Path, names: str) -> None:
    """Hours and degrees without their minutes before."""
    path = tmp_path / "a.csv"
    path.write_text(",".join(names.split()) + "\n" + ",".join(HMS + DMS) + "\n")
    sky = Catalog.read(path).sky
    assert sky is not None
    np.testing.assert_allclose(np.transpose(sky), [(10.684375, -0.27)])


def test_limits_are_no_minutes() -> None:
    table = Table({"ra_deg": [10], "ra_min": [30], "ra_sec": [36.0], "dec_deg": [41]})
    assert sky_positions(table) == (pytest.approx(10.51), 41)
    table = Table({"ra_deg": [10.5], "ra_min": [10.0], "ra_max": [11.0], "dec_deg": [41]})
    assert sky_positions(table) == (10.5, 41)
    table["dec_m"], table["dec_deg"] = [20.5], [41.5]
    assert sky_positions(table) == (10.5, 41.5)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"RAm": [70]}, "row 1: RAh = 0, RAm = 70, RAs = 44.25"),
        ({"RAs": [-1.0]}, "RAs = -1"),
        ({"RAh": [25]}, "row 1: RAh = 25, RAm = 42"),
        ({"DEm": [60]}, "DEd = 0, DEm = 60, DEs = 12"),
        ({"DEd": [91]}, "DE- = -, DEd = 91"),
    ],
)
def test_impossible_parts_are_missing(columns: dict, said: str) -> None:
    with pytest.warns(PraesepeWarning, match=f"impossible coordinates.*{said}"):
        sky = sky_positions(split(**columns))
    assert sky is not None
    assert np.isnan(sky).all()


def test_two_impossible_rows(catalog: Table, wcs: WCS) -> None:
    catalog["Dec"][[3, 5]] = -999.0
    with pytest.warns(PraesepeWarning, match="2 rows have impossible coordinates, first row 4"):
        positions_in(catalog, wcs)


@pytest.mark.parametrize("unit", ["deg", "rad", "hourangle", None])
def test_quantities(catalog: Table, wcs: WCS, unit: str | None) -> None:
    """Columns of a QTable, also masked ones, and x and y in pixels."""
    given = QTable(catalog)
    if unit is not None:
        given["RA"] = (catalog["RA"].data * u.deg).to(unit)
        given["Dec"] = Masked(catalog["Dec"].data, mask=np.arange(20) == 5) * u.deg
    given["age"] = np.full(20, 8.0) * u.dex(u.yr)
    table, x, y = positions_in(given, wcs)
    lost = [] if unit is None else [5]
    assert np.flatnonzero(np.isnan(x)).tolist() == lost
    np.testing.assert_allclose(np.delete(x, lost), np.delete(catalog.meta["x"], lost), atol=1e-4)
    assert str(table["age"].unit) == "dex(yr)"
    given = QTable({"x": np.array(catalog.meta["x"]) * u.pix, "y": catalog.meta["y"] * u.pix})
    _, x, y = positions_in(given, wcs, origin=0)
    np.testing.assert_allclose(y, catalog.meta["y"])


@pytest.mark.parametrize("frame", ["icrs", "galactic"])
def test_column_of_sky_coordinates(tmp_path: Path, catalog: Table, wcs: WCS, frame: str) -> None:
    sky = SkyCoord(catalog["RA"], catalog["Dec"], unit="deg").transform_to(frame)
    given = QTable({"name": catalog["name"], "sky_centroid": sky}, meta=catalog.meta)
    check(*positions_in(given, wcs), catalog)
    given.write(tmp_path / "a.ecsv")
    check(*positions_in(tmp_path / "a.ecsv", wcs), catalog)


def test_nan_and_masked(catalog: Table, wcs: WCS) -> None:
    catalog["RA"][2] = np.nan
    catalog["Dec"] = MaskedColumn(catalog["Dec"], mask=np.arange(20) == 5)
    table, x, y = positions_in(catalog, wcs)
    assert np.flatnonzero(np.isnan(x)).tolist() == [2, 5]
    assert np.flatnonzero(np.isnan(y)).tolist() == [2, 5]
    assert len(table) == 20


@pytest.mark.parametrize("origin", [0, 1])
def test_pixel_columns(catalog: Table, origin: int) -> None:
    catalog["xx"] = np.array(catalog.meta["x"]) + origin
    catalog["yy"] = np.array(catalog.meta["y"]) + origin
    check(*positions_in(catalog, None, x="xx", y="yy", origin=origin), catalog)
    catalog.remove_columns(["RA", "Dec"])
    catalog.rename_columns(["xx", "yy"], ["X_PIX", "Y_PIX"])
    check(*positions_in(catalog, None, origin=origin), catalog)


@pytest.mark.parametrize(("name", "origin"), [("xcentroid", 1), ("X_IMAGE", 0)])
def test_an_origin_that_the_writer_does_not_have(name: str, origin: int) -> None:
    table = Table({name: [5.0], name.replace("x", "y").replace("X", "Y"): [6.0]})
    with pytest.warns(PraesepeWarning, match=f"{name} is what .* counts pixels from {1 - origin}"):
        assert Catalog.read(table, origin=origin).pixel == (5 - origin, 6 - origin)
    assert Catalog.read(table, origin=1 - origin).pixel == (4 + origin, 5 + origin)


def test_pixel_columns_need_an_origin(catalog: Table, wcs: WCS) -> None:
    catalog["x"] = catalog["y"] = 5.0
    with pytest.raises(InputError, match="need an origin"):
        positions_in(catalog, wcs, x="x", y="y")
    with pytest.raises(InputError, match="origin = 2"):
        positions_in(catalog, wcs, x="x", y="y", origin=2)
    with pytest.raises(InputError, match="names of both columns, x and y"):
        positions_in(catalog, wcs, x="x", origin=1)
    with pytest.raises(InputError, match="unknown column of the catalog 'x_pos'"):
        positions_in(catalog, wcs, x="x_pos", y="y", origin=1)
    with pytest.raises(InputError, match="row 1: name = 'c 0' is not a number"):
        positions_in(catalog, wcs, x="name", y="y", origin=1)
    catalog.remove_columns(["RA", "Dec"])
    with pytest.raises(InputError, match="pixel columns x and y need an origin"):
        positions_in(catalog, wcs)


def test_the_columns_of_the_sky_can_be_named(catalog: Table, wcs: WCS, tmp_path: Path) -> None:
    """Whatever they are called, in the units of other columns, and before those of usual names."""
    catalog.rename_columns(["RA", "Dec"], ["lon_j", "lat_j"])
    with pytest.raises(InputError, match=r"no position columns.*ra='NAME', dec='NAME'"):
        positions_in(catalog, wcs)
    named = {"ra": "lon_j", "dec": "lat_j"}
    check(*positions_in(catalog, wcs, **named), catalog)
    hours = catalog.copy()
    hours["lon_j"] = Column(catalog["lon_j"] / 15, unit="hourangle")
    check(*positions_in(hours, wcs, **named), catalog)
    sky = SkyCoord(catalog["lon_j"], catalog["lat_j"], unit="deg")
    text = catalog.copy()
    text["lon_j"] = sky.ra.to_string("hourangle", sep=":", precision=7, pad=True)
    text["lat_j"] = sky.dec.to_string("deg", sep=":", precision=6, alwayssign=True)
    text["ra"], text["dec"] = 1.0, 2.0  # of something else
    text.write(tmp_path / "c.csv")
    check(*positions_in(tmp_path / "c.csv", wcs, **named), catalog)
    for wrong, said in (
        ({"ra": "lon_j"}, "names of both columns, ra and dec"),
        ({"ra": "lon", "dec": "lat_j"}, "unknown column of the catalog 'lon'.*lon_j"),
        ({**named, "x": "n", "y": "mag", "origin": 1}, "name ra and dec, or x and y"),
    ):
        with pytest.raises(InputError, match=said):
            positions_in(catalog, wcs, **wrong)
    with pytest.raises(InputError, match=r"ra and dec would be ignored: .* is read already"):
        Catalog.read(Catalog.read(catalog, **named), **named)


@pytest.mark.parametrize(
    ("shift", "origin", "said"),
    [
        ((1, 1), 1, None),
        ((0.8, 1.2), 1, None),
        ((0, 0), 1, r"x and y are -1.00 and -1.00 px .* origin: give 0, not 1"),
        ((1, 1), 0, r"x and y are \+1.00 and \+1.00 px .* origin: give 1, not 0"),
        ((0, 0), 0, None),
        ((2, 2), 1, r"\+1.00 px .* of another image\?"),
        ((13.5, 1), 1, r"x and y are \+12.50 and \+0.00 px .*Leave them out"),
    ],
)
def test_pixels_that_disagree_with_the_sky(
    catalog: Table, wcs: WCS, shift: tuple[float, float], origin: int, said: str | None
) -> None:
    """They are used, as the user says, but not without a word."""
    catalog["x"], catalog["y"] = (
        np.add(catalog.meta[k], d) for k, d in zip("xy", shift, strict=True)
    )
    catalog["RA"][3] = np.nan
    expected = np.array(catalog.meta["x"]) + shift[0] - origin
    with contextlib.ExitStack() as stack:
        if said is not None:
            stack.enter_context(pytest.warns(PraesepeWarning, match=said))
        _, x, _ = positions_in(catalog, wcs, x="x", y="y", origin=origin)
    np.testing.assert_allclose(x, expected)


def test_sky_positions_that_are_not_used_may_be_anything(catalog: Table, wcs: WCS) -> None:
    catalog["x"] = catalog["y"] = 5.0
    catalog["RA"] = ["somewhere"] * 20
    positions_in(catalog, wcs, x="x", y="y", origin=1)


def test_an_origin_that_is_not_used_is_no_secret(catalog: Table, wcs: WCS) -> None:
    with pytest.warns(PraesepeWarning, match="sky positions are used"):
        positions_in(catalog, wcs, origin=1)


def test_a_catalog_says_what_it_is(catalog: Table) -> None:
    shown = repr(Catalog.read(catalog))
    assert shown == (
        "<Catalog the catalog: 20 rows with sky positions; columns name, RA, Dec, mag and n>"
    )
    for k in range(30):
        catalog[f"c{k}"] = k
    assert repr(Catalog.read(catalog)).endswith("c1, c2 and 27 more>")


def test_sky_positions_need_a_wcs(catalog: Table) -> None:
    with pytest.raises(InputError, match="images have no WCS"):
        positions_in(catalog, None)


def test_positions_with_distortion(shared_data: Path) -> None:
    """TAN-SIP there and back: a thousandth of a pixel. Without SIP it would be tenths."""
    source = open_image(shared_data / "real/ngc1261/f336w.fits", "F336W")
    source.wcs.array_shape = source.pixels.shape
    x, y = (a.ravel().astype(float) for a in np.meshgrid([0, 400, 799], [0, 400, 799]))
    ra, dec = source.wcs.all_pix2world(x, y, 0)
    found = pixel_positions(source.wcs, ra, dec)
    np.testing.assert_allclose(found, (x, y), atol=1e-3)
    assert np.abs(source.wcs.wcs_world2pix(ra, dec, 0) - np.array([x, y])).max() > 0.3


def test_far_positions_do_not_come_back(make_wcs: MakeWCS, shared_data: Path) -> None:
    """Neither the other side of the sky nor a diverging polynomial lands on the image."""
    source = open_image(shared_data / "real/ngc1261/f336w.fits", "F336W")
    source.wcs.array_shape = source.pixels.shape
    ra0, dec0 = source.wcs.wcs.crval
    ra = np.array([ra0 + 180, ra0 + 90, ra0 + 5, ra0, np.nan])
    dec = np.array([-dec0, 0.0, dec0, dec0 + 1, 3.0])
    x, y = pixel_positions(source.wcs, ra, dec)
    on_image = (x > -0.5) & (x < 799.5) & (y > -0.5) & (y < 799.5)
    assert not on_image.any()
    assert np.isinf(x[0])  # off the image, which is no missing position
    assert np.isnan(x[4])
    assert np.isfinite(x[[2, 3]]).all()


def test_galactic_image(wcs: WCS, catalog: Table) -> None:
    galactic = WCS(naxis=2)
    galactic.wcs.ctype = ["GLON-TAN", "GLAT-TAN"]
    sky = SkyCoord(catalog["RA"], catalog["Dec"], unit="deg").galactic
    galactic.wcs.crval, galactic.wcs.crpix = [sky[0].l.deg, sky[0].b.deg], [11, 21]
    galactic.wcs.cdelt = [-0.05 / 3600, 0.05 / 3600]
    x, y = pixel_positions(galactic, np.array(catalog["RA"]), np.array(catalog["Dec"]))
    assert (x[0], y[0]) == (pytest.approx(10, abs=1e-3), pytest.approx(20, abs=1e-3))


def test_one_column_for_two_axes(catalog: Table) -> None:
    with pytest.raises(InputError, match="ra and dec are both 'RA'"):
        Catalog.read(catalog, ra="RA", dec="RA")


def test_a_misspelt_pixel_column(catalog: Table) -> None:
    catalog["x_pix"], catalog["y_pix"] = catalog["RA"], catalog["Dec"]
    with pytest.raises(InputError, match=r"'xpix'.*Did you mean 'x_pix'.*origin"):
        Catalog.read(catalog, x="xpix", y="y_pix")


def test_all_outside_warns(catalog: Table, wcs: WCS) -> None:
    in_hours = catalog.copy()
    in_hours["RA"] /= 15
    with pytest.warns(PraesepeWarning, match="read as hours, 20 of them are.*hourangle"):
        positions_in(in_hours, wcs)
    catalog["RA"] += 1.0
    with pytest.warns(PraesepeWarning, match="none of its 20 positions is on the image"):
        positions_in(catalog, wcs)


def test_a_hundred_thousand_rows(tmp_path: Path, wcs: WCS, rng: np.random.Generator) -> None:
    x, y = rng.uniform(0, 200, (2, 100_000))
    sky = SkyCoord(*wcs.all_pix2world(x, y, 0), unit="deg")
    table = Table({"id": np.arange(100_000), "ra": sky.ra.deg, "dec": sky.dec.deg})
    path = tmp_path / "big.csv"
    table.write(path)
    read, x_read, y_read = positions_in(path, wcs)
    assert len(read) == 100_000
    np.testing.assert_allclose((x_read, y_read), (x, y), atol=1e-4)
    table["ra"] = [f"{a // 15:02.0f}:{a / 15 % 1 * 60:010.7f}" for a in sky.ra.deg]
    _, x_read, _ = positions_in(table, wcs)
    np.testing.assert_allclose(x_read, x, atol=1e-2)


def test_pixel_columns_in_another_unit_are_refused() -> None:
    x = Masked(np.array([10.0, 11.0]) * u.pix, [False, True])
    read = Catalog.read(QTable({"x": x, "y": x}), x="x", y="y", origin=1).pixel
    assert read is not None
    np.testing.assert_array_equal(read, [[9, np.nan]] * 2)
    with pytest.raises(InputError, match="column x is in arcsec, not in pixels"):
        Catalog.read(QTable({"x": [1.0] * u.arcsec, "y": [1.0] * u.pix}), x="x", y="y", origin=1)


# What a table says of its positions in other ways: read right or refused


def split(**columns: Any) -> Table:
    """Columns as in tables of the CDS, of 0h 42m 44.25s, -0d 16m 12s."""
    parts = {"RAh": [0], "RAm": [42], "RAs": [44.25], "DE-": ["-"], "DEd": [0]}
    return Table(parts | {"DEm": [16], "DEs": [12.0]} | columns)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (split(), (10.684375, -0.27)),
        (split(DE=[41.25]), (10.684375, 41.25)),
        (Table({"ra": [36e3], "dec": [3600.0]}, units=["arcsec", "arcsec"]), (10, 1)),
        (Table({"ra": [600.0], "dec": [36e5]}, units=["arcmin", "mas"]), (10, 1)),
        (Table({"ra": [np.pi], "dec": [1.0]}, units=["rad", "deg"]), (180, 1)),
        (Table({"ra [h]": [2.0], "dec(deg)": [1.0]}), (30, 1)),
        (Table({"ra": [2.0], "dec": [1.0]}, units=["Hour Angle", "Angle[deg]"]), (30, 1)),
        (Table({"ra": [2.0], "dec": [1.0]}, units=["decimal hours", "degree (J2000)"]), (30, 1)),
        (Table({"coord_ra": [53.0], "coord_dec": [-27.0]}), (53, -27)),
        (Table({"PHANGS_RA": [53.0], "PHANGS_DEC": [-27.0]}), (53, -27)),
        (Table({"ALPHAWIN_J2000": [53.0], "DELTAWIN_J2000": [-27.0]}), (53, -27)),
        (Table({"ra": [53.0], "decl": [-27.0]}), (53, -27)),
        (Table({"ra": [[53.0]], "dec": [[-27.0]]}), (53, -27)),
        (Table({"ra": [53.0], "dec": [-27.0]}, meta={"EQUINOX": "J2000"}), (53, -27)),
        (Table({"ra": [-348.9], "dec": [2.0]}), (-348.9, 2)),
        (Table({"ra": [10.0], "dec": ["–0:30:00"]}), (10, -0.5)),  # an en dash
        (Table({"ra": ["1.11D+01"], "dec": ["−2.5d-1"]}), (11.1, -0.25)),  # Fortran
        (Table({"ra": [0.74], "dec": [2.0]}, units=["hrs", "deg"]), (11.1, 2)),
        (Table({"ra": [5.0], "dec": [2.0]}, meta={"EPOCH": 2016.0}), (5, 2)),  # of the motions
        (Table({"ra": ["10D30M00S"], "dec": ["2D15M"]}), (10.5, 2.25)),
        (Table({"radec": ["(10.5, -2.25)"]}), (10.5, -2.25)),
        (Table({"ra": [5.0], "dec": [2.0]}, meta={"RADESYS": "ICRS", "EQUINOX": 2016.0}), (5, 2)),
    ],
)
def test_units_and_names_of_positions(table: Table, expected: tuple[float, float]) -> None:
    sky = sky_positions(table)
    assert sky is not None
    np.testing.assert_allclose(np.transpose(sky), [expected])


@pytest.mark.parametrize(
    ("columns", "meta", "match"),
    [
        ({"ra": Column([1.0], unit="pix")}, {}, "unit of column ra is 'pix'"),
        ({"ra": Column([1.0], unit="Jy")}, {}, "unit of column ra is 'Jy'"),
        ({"RA_HMS": [150.5]}, {}, "RA_HMS holds numbers"),
        ({"RA_HMS": ["150.5"]}, {}, "neither degrees nor sexagesimal"),
        ({"ra": ["10d06m00s", "10:06:00"], "dec": [1, 2]}, {}, "degrees .* hours"),
        ({"ra": ["1h"], "dec": ["41h16m09s"]}, {}, "dec = '41h16m09s' is neither degrees"),
        ({"coord_ra": [0.9]}, {}, "radians or degrees"),
        ({"ra": np.array([1.1], np.float16)}, {}, "ra is in half precision"),
        ({"ra": [[1.0, 2.0]]}, {}, r"arrays of shape \(2,\)"),
        ({"dec": [[1.0, 2.0]], "ra": [1.0]}, {}, r"arrays of shape \(2,\)"),
        ({"ra": Time(["2020-01-01"])}, {}, "Time objects"),
        ({"ra": [1.0]}, {"EQUINOX": "B1950"}, "1950"),
        ({"ra": [1.0]}, {"EQUINOX": 1975.0}, "1975"),
        ({"ra": [1.0]}, {"EPOCH": 1950.0}, "1950"),  # an equinox, as in old FITS
        ({"ra": [1.0], "Epoch": ["B1950"]}, {}, "1950"),
        ({"ra": [1.0]}, {"REFFRAME": "FK4"}, "fk4"),
        ({"ra": [1.0]}, {"comments": ["equinox of date J2024.5"]}, "j2024.5"),
        ({"ra": [1.0]}, {"frame": "galactic"}, "galactic"),
        ({"ra": [1.0]}, {"comments": ["# equinox: B1950"]}, "1950"),
        ({"ra": [1.0], "frame": ["galactic"]}, {}, "galactic"),
        ({"ra": Column([1.0], description="Right Ascension (B1950)")}, {}, "1950"),
        ({"ra": Column([1.0], description="RA, equinox 1950.0")}, {}, "1950"),
    ],
)
def test_positions_of_other_kinds_are_refused(
    columns: dict[str, Any], meta: dict[str, Any], match: str
) -> None:
    with pytest.raises(InputError, match=match):
        sky_positions(Table({"dec": [0.1]} | columns, meta=meta))


@pytest.mark.parametrize("names", [("GLON", "GLAT"), ("l", "b"), ("RAB1950", "DEB1950")])
def test_columns_of_other_systems_that_are_named(names: tuple[str, str]) -> None:
    with pytest.raises(InputError, match=f"columns {names[0]} and .* of another system"):
        sky_positions(Table({name: [10.0] for name in names}), names)


def with_ucds(columns: dict[str, tuple[float, str]]) -> Table:
    table = Table({name: [value] for name, (value, _) in columns.items()})
    for name, (_, ucd) in columns.items():
        table[name].info.meta = {"ucd": ucd}
    return table


@pytest.mark.parametrize(
    "others",
    [
        {"ra": (0.1, "stat.error;pos.eq.ra"), "dec": (0.1, "stat.error;pos.eq.dec")},
        {"ra": (121.0, "pos.galactic.lon"), "dec": (-21.0, "POS_GAL_LAT")},
        {"ra": (0.1, "pos.eq.pmra"), "dec": (0.1, "pos.pm;pos.eq.dec")},
    ],
)
def test_a_column_whose_ucd_says_otherwise_is_no_position(others: dict) -> None:
    right = {"a": (11.1, "pos.eq.ra"), "d": (41.5, "pos.eq.dec;pos.frame=icrs")}
    sky = sky_positions(with_ucds(others | right))
    assert sky is not None
    np.testing.assert_allclose(np.transpose(sky), [(11.1, 41.5)])
    with pytest.raises(InputError, match="ra is no sky position: its UCD is"):
        sky_positions(with_ucds(others))


@pytest.mark.parametrize(
    ("columns", "warned"),
    [
        ({"RA": [11.1, 11.2], "DEC": [41.5, 41.6], "ra": [11.1, 11.4], "dec": [41.5, 41.6]}, True),
        ({"ra": [11.1], "dec": [41.5], "RAJ2000": ["00:44:24.00"], "DEJ2000": ["42:00:00"]}, True),
        ({"ra": [11.1], "dec": [41.5], "RAJ2000": ["00:44:24.00"], "DEJ2000": ["41:30:00"]}, False),
        ({"ra": [11.1], "dec": [41.5], "ra_deg": [np.nan], "dec_deg": [41.0]}, False),
        ({"ra": [11.1], "dec": [41.5], "RA_hms": ["?"], "dec_dms": ["?"]}, False),
    ],
)
def test_two_pairs_of_positions_are_held_against_each_other(columns: dict, warned: bool) -> None:
    match = "up to .* arcsec off those in RA and DEC|in ra and dec, which are used"
    with pytest.warns(PraesepeWarning, match=match) if warned else contextlib.nullcontext():
        sky = sky_positions(Table(columns))
    assert sky is not None
    assert (sky[0][0], sky[1][0]) == (11.1, 41.5)


def test_a_column_of_objects_is_held_against_ra_and_dec() -> None:
    table = Table({"sky": SkyCoord([10.0], [41.5], unit="deg"), "ra": [11.1], "dec": [41.5]})
    with pytest.warns(PraesepeWarning, match="SkyCoord objects are up to .* off those in ra and"):
        assert sky_positions(table) == (11.1, 41.5)


def test_of_two_pairs_the_first_that_holds_something_is_taken() -> None:
    empty = MaskedColumn([11.1, 11.2], mask=True)
    table = Table({"ra": empty, "dec": empty, "RAJ2000": [11.3, 11.4], "DEJ2000": [41.5, 41.6]})
    np.testing.assert_array_equal(sky_positions(table), [[11.3, 11.4], [41.5, 41.6]])


def test_infinite_positions_are_none() -> None:
    sky = sky_positions(Table({"ra": [np.inf, 11.1], "dec": [41.5, -np.inf]}))
    assert sky is not None
    np.testing.assert_array_equal(np.isnan(sky), [[True, False], [False, True]])


@pytest.mark.parametrize("suffix", [".fits", ".vot", ".csv"])
def test_hours_in_a_column_of_degrees(
    tmp_path: Path, catalog: Table, wcs: WCS, suffix: str
) -> None:
    """What kept the unit of the numbers: read as degrees, minutes and seconds before."""
    sky, path = SkyCoord(catalog["RA"], catalog["Dec"], unit="deg"), tmp_path / f"a{suffix}"
    table = catalog["name", "RA", "Dec"]
    table["RA"] = Column(sky.ra.to_string("hourangle", sep=":", precision=7), unit="deg")
    table["Dec"] = Column(sky.dec.to_string("deg", sep=":", precision=4), unit="deg")
    if suffix == ".csv":
        table.rename_columns(["RA", "Dec"], ["RA_deg", "Dec_deg"])
    table.write(path, **({"format": "votable"} if suffix == ".vot" else {}))
    with pytest.warns(PraesepeWarning, match="'0:42:44.*' is read as hours.*10.68.*where it is 0"):
        check(*positions_in(path, wcs), catalog, atol=5e-3)


@pytest.mark.parametrize(("text", "degrees"), [("204:15:00", 204.25), ("10d15m00s", 10.25)])
def test_degrees_and_minutes_in_a_column_of_degrees(text: str, degrees: float) -> None:
    sky = sky_positions(Table({"ra": [text], "dec": [1.0]}, units=["deg", "deg"]))
    assert sky == (pytest.approx(degrees), 1)


@pytest.mark.parametrize(
    ("system", "ref", "match"),
    [
        ('system="eq_FK4" equinox="B1950"', "", "fk4"),
        ('system="eq_FK5" equinox="J1975"', ' ref="J"', "1975"),
        ('system="eq_FK5" equinox="J2000"', ' ref="J"', None),
    ],
)
def test_the_system_of_a_votable(tmp_path: Path, system: str, ref: str, match: str | None) -> None:
    path = tmp_path / "a.vot"
    Table({"ra": [1.0], "dec": [2.0]}).write(path, format="votable")
    text = path.read_text().replace("<TABLE", f'<COOSYS ID="J" {system}/><TABLE', 1)
    path.write_text(text.replace('name="ra"', f'name="ra"{ref}'))
    with pytest.raises(InputError, match=match) if match else contextlib.nullcontext():
        Catalog.read(path)


def test_origin_is_checked_with_sky_positions(catalog: Table) -> None:
    with pytest.raises(InputError, match="0 or 1"):
        Catalog.read(catalog, origin=7)


def test_null_of_scaled_integers(tmp_path: Path) -> None:
    """TNULL is compared before scaling: -0.99 is no position."""
    raw = np.array([1010, -99, 1030])
    hdu = fits.BinTableHDU.from_columns([fits.Column(n, "J", array=raw) for n in ("RA", "DEC")])
    for i in (1, 2):
        hdu.header.update({f"TSCAL{i}": 0.01, f"TZERO{i}": 0.0, f"TNULL{i}": -99})
    hdu.writeto(tmp_path / "a.fits")
    sky = Catalog.read(tmp_path / "a.fits").sky
    assert sky is not None
    np.testing.assert_allclose(sky, [[10.1, np.nan, 10.3]] * 2)


def test_a_table_of_metadata_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.vot"
    Table({"ra": [1.0], "dec": [2.0]}).write(path, format="votable")
    text = path.read_text()
    resource = text[text.index("<RESOURCE") : text.index("</VOTABLE>")]
    meta = resource.replace('type="results"', 'type="meta"').replace('name="ra"', 'name="k"')
    path.write_text(text.replace(resource, meta + resource))
    assert Catalog.read(path).table.colnames == ["ra", "dec"]


def test_thousands_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id;x;y\n1;1,234;2,345\n")
    with pytest.warns(PraesepeWarning, match="thousands"):
        table = Catalog.read(path, x="x", y="y", origin=1).table
    assert table["x"][0] == 1.234


@pytest.mark.parametrize("frame", ["icrs", "galactic"])
@pytest.mark.parametrize("n", [1, 3])
def test_sky_coordinates_are_a_catalog(frame: str, n: int) -> None:
    sky = SkyCoord([10.5] * n, [41.25] * n, unit="deg").transform_to(frame)
    catalog = Catalog.read(sky if n > 1 else sky[0])
    assert catalog.sky is not None
    np.testing.assert_allclose(catalog.sky, [[10.5] * n, [41.25] * n])
