"""Bad images, catalogues and outputs: each is refused with a reason, or read for what it is."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from praesepe.errors import InputError, PraesepeWarning
from praesepe.images import (
    Catalog,
    Flag,
    Mosaic,
    extract_stamps,
    iter_stamps,
    write_table,
)
from praesepe.survey import load_survey

SHAPE = (150, 160)
PHOTOMETRY = {
    "F336W": {"PHOTFLAM": 1.3129e-18, "PHOTPLAM": 3354.8},
    "F475W": {"PHOTFLAM": 1.821e-19, "PHOTPLAM": 4746.9},
    "F814W": {"PHOTFLAM": 7.033e-20, "PHOTPLAM": 8057.0},
}


def phat_wcs(shape: tuple[int, int] = SHAPE, scale: float = 0.05) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [11.0, 41.5]
    wcs.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    wcs.wcs.cdelt = [-scale / 3600, scale / 3600]
    return wcs


class Field:
    """Three PHAT-like images on disk, of which a test spoils one."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.survey = folder, load_survey("phat")
        self.data = np.random.default_rng(5).normal(2.0, 0.2, SHAPE).astype(np.float32)
        self.paths: dict[str, Any] = {band: self.write(band) for band in PHOTOMETRY}

    def write(
        self,
        band: str,
        data: np.ndarray | None = None,
        *,
        wcs: WCS | None = None,
        name: str | None = None,
        drop: tuple[str, ...] = (),
        compress: bool = False,
        **keywords: Any,
    ) -> Path:
        data = self.data if data is None else data
        header = (wcs or phat_wcs(data.shape)).to_header()
        header.update({"BUNIT": "ELECTRONS/S", **PHOTOMETRY[band], **keywords})
        for key in drop:
            header.remove(key)
        primary = fits.PrimaryHDU()
        primary.header["FILTER"] = band
        hdu = (fits.CompImageHDU if compress else fits.ImageHDU)(data, header, name="SCI")
        path = self.folder / f"{name or band}.fits"
        fits.HDUList([primary, hdu]).writeto(path, overwrite=True)
        return path

    def read(self, **options: Any) -> Any:
        return Mosaic.read(self.paths, self.survey, **options)

    def refuses(self, *expected: str, **options: Any) -> None:
        """The message holds every one of the expected words."""
        with pytest.raises(InputError) as caught:
            self.read(**options)
        for words in expected:
            assert words in str(caught.value)


@pytest.fixture
def field(tmp_path: Path) -> Field:
    return Field(tmp_path)


def test_the_field_itself_is_good(field: Field) -> None:
    """Control: whatever is refused below is refused for what was spoilt."""
    mosaic = field.read()
    assert mosaic.band_names == ("F336W", "F475W", "F814W")
    assert mosaic.notes == ()
    stamps = extract_stamps(mosaic, [75], [75], 64)
    assert stamps.flags[0] == 0
    np.testing.assert_allclose(stamps.images[0, 1], field.data[43:107, 43:107], rtol=0.01)


def test_missing_band(field: Field) -> None:
    del field.paths["F475W"]
    field.refuses("no image for band 'F475W'", "F336W, F475W and F814W")


def test_extra_band(field: Field) -> None:
    field.paths["F160W"] = field.paths["F814W"]
    field.refuses("'F160W' is not a band", "F336W, F475W and F814W")


def test_misspelt_band(field: Field) -> None:
    field.paths["f475W"] = field.paths.pop("F475W")
    field.refuses("no image for band 'F475W'", "did you mean 'F475W'?")


def test_swapped_bands(field: Field) -> None:
    field.paths["F475W"], field.paths["F814W"] = field.paths["F814W"], field.paths["F475W"]
    field.refuses("given for band 'F475W'", "FILTER = 'F814W'", "image for band 'F814W'?")


def without_filter(field: Field) -> None:
    for path in field.paths.values():
        with fits.open(path, mode="update") as hdus:
            del hdus[0].header["FILTER"]


def test_swapped_bands_without_filter_keyword(field: Field) -> None:
    """PHOTPLAM tells, and whatever names the filter in PHOTMODE."""
    without_filter(field)
    assert field.read().notes == ()
    field.paths["F475W"], field.paths["F814W"] = field.paths["F814W"], field.paths["F475W"]
    field.refuses("given for band 'F475W'", "PHOTPLAM = 8057 Å", "image for band 'F814W'?")
    with fits.open(field.paths["F814W"], mode="update") as hdus:
        hdus["SCI"].header["PHOTMODE"] = "ACS WFC1 F475W MJD#55000.0"
    field.refuses("given for band 'F814W'", "PHOTMODE = 'F475W'", "image for band 'F475W'?")


def test_filter_of_another_survey(field: Field) -> None:
    field.paths["F475W"] = field.write("F475W", PHOTPLAM=5921.1)
    without_filter(field)
    field.refuses("given for band 'F475W'", "PHOTPLAM = 5921 Å", "give the image of this filter")


def test_zero_point_that_makes_no_sense(field: Field) -> None:
    """Counts taken for electrons, or a PHOTFLAM of another camera."""
    field.paths["F475W"] = field.write("F475W", PHOTFLAM=1.821e-16)
    field.refuses("1 e-/s is 18.56 mag (AB), but 26.06", "Check the unit (ELECTRONS/S), PHOTFLAM")
    field.paths["F475W"] = field.write("F475W", PHOTFLAM=2.5e-19)
    with pytest.warns(PraesepeWarning, match="noise and throughput are not those of the training"):
        field.read()


def test_same_image_twice(field: Field) -> None:
    del field.paths["F814W"]
    path = field.write("F475W")
    with fits.open(path, mode="update") as hdus:
        del hdus[0].header["FILTER"]
    field.paths["F475W"] = field.paths["F814W"] = path
    field.refuses("bands 'F475W' and 'F814W' are given the same image")


@pytest.mark.parametrize("scale", [0.04, 0.0515, 0.1])
def test_pixel_scale_of_all_images(field: Field, scale: float) -> None:
    wcs = phat_wcs(scale=scale)
    field.paths = {band: field.write(band, wcs=wcs) for band in PHOTOMETRY}
    field.refuses(f"pixel scale {scale:.4f} arcsec", "the survey's 0.05", reproject="never")
    with pytest.warns(PraesepeWarning) as caught:
        mosaic = field.read()
    assert len(caught) == 3
    assert all("reprojected" in str(warning.message) for warning in caught)
    assert mosaic.pixel_scale_arcsec == pytest.approx(0.05, rel=1e-4)
    assert mosaic.reprojected == mosaic.band_names


def test_pixel_scale_within_two_percent(field: Field) -> None:
    wcs = phat_wcs(scale=0.0505)
    field.paths = {band: field.write(band, wcs=wcs) for band in PHOTOMETRY}
    assert field.read().reprojected == ()


def test_pixel_scale_of_one_image(field: Field) -> None:
    field.paths["F336W"] = field.write("F336W", wcs=phat_wcs(scale=0.04))
    field.refuses("band 'F336W'", "0.0400 arcsec, -20 %", reproject="never")
    with pytest.warns(PraesepeWarning, match=r"0.0400 arcsec, -20 % off"):
        assert field.read().reprojected == ("F336W",)


def test_bands_that_do_not_align(field: Field) -> None:
    wcs = phat_wcs()
    wcs.wcs.crpix += 0.3
    field.paths["F814W"] = field.write("F814W", wcs=wcs)
    field.refuses("band 'F814W'", "0.424 pixels", reproject="never")
    with pytest.warns(PraesepeWarning, match="reprojected"):
        assert field.read().reprojected == ("F814W",)


def test_unknown_policy(field: Field) -> None:
    field.refuses("unknown value of reproject 'nevr'", "Did you mean 'never'?", reproject="nevr")


def without_wcs(field: Field, *bands: str) -> None:
    for band in bands:
        with fits.open(field.paths[band], mode="update") as hdus:
            for key in ("CTYPE1", "CTYPE2"):
                del hdus["SCI"].header[key]


def test_no_wcs(field: Field) -> None:
    without_wcs(field, "F475W")
    field.refuses("no celestial WCS in F475W.fits")
    field.refuses("no celestial WCS in F475W.fits", allow_no_wcs=True)  # the others have one
    without_wcs(field, "F336W", "F814W")
    field.refuses("no celestial WCS in F336W.fits")
    mosaic = field.read(allow_no_wcs=True)
    assert mosaic.wcs is None
    assert mosaic.shape == SHAPE
    catalog = Table({"ra": [11.0], "dec": [41.5], "x": [76.0], "y": [76.0]})
    with pytest.raises(InputError, match="images have no WCS; name columns of pixel"):
        Catalog.read(catalog).on(mosaic.wcs)
    x, y = Catalog.read(catalog, x="x", y="y", origin=1).on(mosaic.wcs)
    assert (x[0], y[0]) == (75, 75)
    assert extract_stamps(mosaic, x, y, 64).flags[0] == 0


def test_arrays_without_wcs(field: Field) -> None:
    field.paths = dict.fromkeys(PHOTOMETRY, field.data)
    assert field.read().wcs is None
    field.paths["F814W"] = field.data[1:]
    field.refuses("the same for all bands", "(149, 160)")


@pytest.mark.parametrize("key", ["PHOTFLAM", "PHOTPLAM", "BUNIT"])
def test_missing_keyword(field: Field, key: str) -> None:
    field.paths["F475W"] = field.write("F475W", drop=(key,))
    field.refuses("F475W.fits (band 'F475W')", f"keyword {key} is missing")


@pytest.mark.parametrize(
    ("unit", "keywords", "missing"),
    [
        ("ELECTRONS", {}, "EXPTIME"),
        ("COUNTS", {"EXPTIME": 1720.0}, "CCDGAIN"),
        ("COUNTS/S", {}, "CCDGAIN"),
    ],
)
def test_missing_exposure_or_gain(
    field: Field, unit: str, keywords: dict[str, float], missing: str
) -> None:
    field.paths["F475W"] = field.write("F475W", BUNIT=unit, **keywords)
    field.refuses("F475W.fits (band 'F475W')", f"keyword {missing} ")


def test_unknown_unit(field: Field) -> None:
    field.paths["F475W"] = field.write("F475W", BUNIT="erg/s/cm2")
    field.refuses("BUNIT = 'erg/s/cm2'", "ELECTRONS/S, ELECTRONS, COUNTS/S")


def test_nan_and_gaps_of_zeros(field: Field) -> None:
    spoilt = field.data.copy()
    spoilt[60:70, 60:70] = np.nan
    spoilt[80:100, 85:] = 0
    field.paths["F475W"] = field.write("F475W", spoilt)
    stamps = extract_stamps(field.read(), [75, 130], [75, 90], 64)
    missing = (100 + 20 * 22) / 64**2
    assert stamps.missing_fraction[0] == pytest.approx(missing)
    assert stamps.flags[0] == Flag.PARTLY_MISSING
    assert np.isfinite(stamps.images[0]).all()
    assert stamps.images[0].min() > 1.0


@pytest.mark.parametrize("dtype", [">i2", "<i4", "u2", ">f8", "u1", ">i8"])
def test_integers_and_byte_orders(field: Field, dtype: str) -> None:
    counts = np.round(field.data * 50).astype(dtype)
    field.paths["F475W"] = field.write("F475W", counts)
    stamps = extract_stamps(field.read(), [75], [75], 64)
    expected = counts[43:107, 43:107].astype(float)
    np.testing.assert_allclose(stamps.images[0, 1], expected, rtol=0.01)
    assert stamps.flags[0] == 0


def test_arrays_of_any_byte_order(field: Field) -> None:
    wcs = phat_wcs()
    field.paths = {
        band: (field.data.astype(dtype), wcs)
        for band, dtype in zip(PHOTOMETRY, (">f4", "<f8", "f2"), strict=True)
    }
    stamps = extract_stamps(field.read(), [75], [75], 64)
    assert stamps.images.dtype == np.dtype("=f4")
    np.testing.assert_allclose(stamps.images[0, 0], field.data[43:107, 43:107])


@pytest.mark.parametrize("how", ["gz", "tiles"])
def test_compressed(field: Field, how: str) -> None:
    if how == "gz":
        packed = Path(f"{field.paths['F475W']}.gz")
        packed.write_bytes(gzip.compress(field.paths["F475W"].read_bytes()))
        field.paths["F475W"].unlink()
    else:
        packed = field.write("F475W", compress=True, name="packed").rename(
            field.folder / "F475W.fits.fz"
        )
    field.paths["F475W"] = packed
    stamps = extract_stamps(field.read(), [75], [75], 64)
    np.testing.assert_allclose(
        stamps.images[0, 1], field.data[43:107, 43:107], rtol=0.02, atol=0.02
    )


def test_compressed_image_is_complete(field: Field) -> None:
    """Rounding turns faint pixels into exact zeros, which are no gaps; a block of zeros is one."""
    faint = np.random.default_rng(2).normal(0, 1e-3, SHAPE).astype(np.float32)
    faint[100:, :60] = 0
    header = fits.getheader(field.paths["F475W"], "SCI")
    hdu = fits.CompImageHDU(faint, header, name="SCI", quantize_level=-1.7e-3)
    hdu.writeto(field.paths["F475W"], overwrite=True)
    assert 0.5 < np.mean(fits.getdata(field.paths["F475W"])[:100] == 0) < 0.7
    stamps = extract_stamps(field.read(), [75, 40], [65, 100], 64)
    assert stamps.flags.tolist() == [0, Flag.PARTLY_MISSING]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.3, 0.9])
@pytest.mark.parametrize("kind", ["plain", "gz", "tiles"])
def test_truncated(field: Field, share: float, kind: str) -> None:
    """Cut anywhere, in headers or data: never a traceback, never a half-read image."""
    path = field.write("F475W", compress=kind == "tiles")
    content = path.read_bytes()
    if kind == "gz":
        content, path = gzip.compress(content), Path(f"{path}.gz")
    path.write_bytes(content[: int(share * len(content))])
    field.paths["F475W"] = path
    with pytest.raises(InputError, match=r"F475W.fits(.gz)? \(band 'F475W'\)") as caught:
        field.read()
    if share > 0:
        assert str(caught.value).count("truncated") == 1


def test_not_a_fits_file(field: Field) -> None:
    path = field.folder / "note.fits"
    path.write_text("not an image, " * 500)
    field.paths["F475W"] = path
    field.refuses("note.fits (band 'F475W')", "is not a FITS file; give a FITS file")
    field.paths["F475W"] = field.folder
    field.refuses("is a folder, not a FITS file")
    field.paths["F475W"] = field.folder / "nowhere.fits"
    field.refuses("nowhere.fits is not there")


def test_fits_without_an_image(field: Field) -> None:
    path = field.folder / "table.fits"
    Table({"a": [1]}).write(path)
    field.paths["F475W"] = path
    field.refuses("no two-dimensional image in the file", "BinTableHDU")
    cube = fits.PrimaryHDU(np.zeros((3, 5, 5)))
    cube.writeto(path, overwrite=True)
    field.refuses("no two-dimensional image in the file")


def test_clusters_at_and_beyond_the_edge(field: Field) -> None:
    x = [75, 20, 0, -40, 500, np.nan]
    stamps = extract_stamps(field.read(), x, [75, 75, 0, 75, 75, 75], 64)
    assert stamps.flags.tolist() == [
        0,
        Flag.EDGE | Flag.PARTLY_MISSING,
        Flag.EDGE | Flag.MISSING,
        Flag.OFF_IMAGE,
        Flag.OFF_IMAGE,
        Flag.BAD_COORDINATE,
    ]
    assert stamps.usable.tolist() == [True, True, False, False, False, False]


# Catalogues


@pytest.mark.parametrize("suffix", [".csv", ".ecsv", ".fits", ".vot"])
def test_empty_catalogue(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"empty{suffix}"
    table = Table({"ra": np.zeros(0), "dec": np.zeros(0)})
    table.write(path, **({"format": "votable"} if suffix == ".vot" else {}))
    with pytest.raises(InputError, match=r"is empty: it has columns ra and dec but no rows"):
        Catalog.read(path)


def test_file_without_content(tmp_path: Path) -> None:
    for suffix in (".csv", ".ecsv", ".fits", ".vot", ".parquet"):
        path = tmp_path / f"nothing{suffix}"
        path.touch()
        with pytest.raises(InputError, match=f"nothing{suffix} (is empty|cannot be read as)"):
            Catalog.read(path)


def test_missing_columns(tmp_path: Path) -> None:
    path = tmp_path / "cat.csv"
    path.write_text("id,right,dec\n1,2,3\n")
    with pytest.raises(InputError) as caught:
        Catalog.read(path)
    assert "it has columns id, right and dec" in str(caught.value)
    assert "right ascension (ra, RA_deg" in str(caught.value)


def test_unknown_kinds_of_catalogue(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no catalog at"):
        Catalog.read(tmp_path / "none.csv")
    (tmp_path / "cat.doc").write_text("ra,dec\n1,2\n")
    with pytest.raises(InputError, match=r"'.doc' is not one of .ecsv, .csv"):
        Catalog.read(tmp_path / "cat.doc")
    with pytest.raises(InputError, match="catalog is of type list"):
        Catalog.read([1, 2])


def test_several_tables_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "two.fits"
    tables = [fits.table_to_hdu(Table({"ra": [r], "dec": [41.5]})) for r in (11.0, 11.001)]
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(path)
    with pytest.raises(InputError, match=r"several tables: .*name one, for instance two.fits\[1\]"):
        Catalog.read(path)
    table = Catalog.read(f"{path}[2]").table
    assert table["ra"][0] == 11.001


def test_nan_coordinates_keep_their_row(field: Field, tmp_path: Path) -> None:
    path = tmp_path / "cat.csv"
    path.write_text("id,ra,dec\na,11.0,41.5\nb,nan,41.5\nc,,41.5\nd,11.0,41.5\n")
    mosaic = field.read()
    clusters = Catalog.read(path)
    table, (x, y) = clusters.table, clusters.on(mosaic.wcs)
    stamps = extract_stamps(mosaic, x, y, 64)
    assert stamps.flags.tolist() == [0, Flag.BAD_COORDINATE, Flag.BAD_COORDINATE, 0]
    assert list(table["id"]) == ["a", "b", "c", "d"]


def test_a_hundred_thousand_rows_stay_small(field: Field) -> None:
    """Stamps come in batches: 1e5 of phat's are 4.9 GB, 256 of them 13 MB."""
    rng = np.random.default_rng(3)
    mosaic = field.read()
    x, y = rng.uniform(-50, 200, (2, 100_000))
    flags = np.concatenate([stamps.flags for stamps in iter_stamps(mosaic, x, y, 16, 256)])
    assert len(flags) == 100_000
    assert 0.5 < np.mean(flags > 0) < 0.8
    tracemalloc.start()
    for _ in iter_stamps(mosaic, x[:10_000], y[:10_000], 16, 256):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6  # all at once: 31 MB


# Outputs; more in tests/unit/images/test_tables.py


def test_output_that_exists(tmp_path: Path) -> None:
    path = tmp_path / "out.ecsv"
    table = Table({"a": [1]})
    write_table(table, path)
    with pytest.raises(InputError, match=r"out.ecsv exists; .*overwrite=True"):
        write_table(table, path)
    write_table(Table({"a": [2]}), path, overwrite=True)
    assert Table.read(path)["a"][0] == 2


# Size


def test_a_large_mosaic_under_a_memory_limit(
    tmp_path: Path, run_python: Callable[..., Any]
) -> None:
    """Three sparse files of 10 GB each, in a process that may allocate 1 GB."""
    pytest.importorskip("resource")
    header = phat_wcs((50_000, 50_000)).to_header()
    for i, (key, value) in enumerate(
        {"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": 50_000, "NAXIS2": 50_000}.items()
    ):
        header.insert(i, (key, value))
    for band, photometry in PHOTOMETRY.items():
        header.update({"BUNIT": "ELECTRONS/S", **photometry})
        text = header.tostring(padding=True).encode()
        size = len(text) + 10_000_000_000
        with (tmp_path / f"{band}.fits").open("wb") as file:
            file.write(text)
            file.truncate(size + -size % 2880)
    code = f"""
import resource
import numpy as np
from praesepe.images import Mosaic, extract_stamps
from praesepe.survey import load_survey
survey = load_survey("phat")
resource.setrlimit(resource.RLIMIT_DATA, (10**9, 10**9))
mosaic = Mosaic.read({{b: f"{tmp_path}/{{b}}.fits" for b in survey.band_names}}, survey)
x, y = np.random.default_rng(1).uniform(100, 49900, (2, 500))
stamps = extract_stamps(mosaic, x, y, 64)
assert mosaic.shape == (50_000, 50_000)
assert (stamps.flags == 2).all()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
    finished = run_python(code)
    assert finished.returncode == 0, finished.stderr
    assert float(finished.stdout) < 1000  # MB, of which the imports take half
