"""Filter curves: published numbers, names as people write them, and files of the user's own."""

import contextlib
import csv
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from praesepe.errors import InputError, PraesepeWarning
from praesepe.images.units.zero_points import hst_zero_point
from praesepe.sky.check import check_survey
from praesepe.stars import load_passband
from praesepe.stars.curves import band_curve, other_camera, passband_names
from praesepe.survey import load_survey

# Wavelength [Angstrom], flux of 1 e-/s, and Vega's AB magnitude, as published:
# uvis: STScI's table of chip 1 (Calamida et al. 2021, WFC3 ISR 2021-04), in hostphot 3.2.4;
# ir: STScI's table of 2020 (Bajaj et al., WFC3 ISR 2020-10), in hostphot 3.2.4;
# acs: the ACS zero-point calculator for 2016-04-01, in the documentation of acstools (acszpt);
# wfpc2: PHOTFLAM and Vega zero points of the Data Handbook (PC, gain 7, 7.12 e-/DN), as public
#   code quotes them (measure_extinction, stardata.py); pivots of synphot's curves: EAZY's list;
# info: pivots from EAZY's list (FILTER.RES.latest.info).
# Not found, so not tested: PHOTFLAM and Vega of NICMOS, all of ACS/HRC.
with (Path(__file__).parent / "hst_published.csv").open() as file:
    PUBLISHED = list(csv.DictReader(file))

FLUX_MAG = 0.1  # sensitivity has changed by up to 0.04 mag since some curves were made
PIVOT = 0.003
VEGA_MAG = 0.02


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row["curve"])
def test_hst_curves_have_the_published_numbers(row):
    """The total throughput: telescope, filter and detector."""
    curve = load_passband(row["curve"])
    pivot = float(row["photplam"] or curve.pivot_angstrom)
    assert curve.pivot_angstrom == pytest.approx(pivot, rel=PIVOT)
    if row["photflam"]:
        published = hst_zero_point(float(row["photflam"]), pivot)
        assert curve.zero_point_ab() == pytest.approx(published, abs=FLUX_MAG)
    if row["vega_ab"]:
        assert -curve.vega_minus_ab == pytest.approx(float(row["vega_ab"]), abs=VEGA_MAG)


def test_every_hst_curve_is_tested_or_named_here():
    cameras = ("acs_", "wfc3_", "wfpc2_", "nic")
    untested = {n for n in passband_names() if n.startswith(cameras)}
    untested -= {row["curve"] for row in PUBLISHED}
    assert {n.rsplit("_", 1)[0] for n in untested} == {"acs_hrc", "nic1", "nic2", "nic3", "wfpc2"}
    assert {n for n in untested if n.startswith("wfpc2")} == {
        "wfpc2_f218w", "wfpc2_f622w", "wfpc2_f791w"
    }  # fmt: skip


def test_a_filter_without_telescope_and_detector_would_fail(tmp_path):
    """WFC3/UVIS F814W divided by the light's way through the camera: the pivot gives it away."""
    curve = load_passband("wfc3_uvis_f814w")
    wave = curve.wavelength_angstrom
    way = np.clip(0.3 - 8e-5 * (wave - 7000.0), 0.05, None)  # the detector is blind in the red
    np.savetxt(tmp_path / "alone.txt", np.c_[wave, curve.throughput / way])
    alone = load_passband(tmp_path / "alone.txt")
    (row,) = [row for row in PUBLISHED if row["curve"] == "wfc3_uvis_f814w"]
    assert abs(alone.pivot_angstrom / float(row["photplam"]) - 1) > 2 * PIVOT
    assert abs(alone.zero_point_ab() - curve.zero_point_ab()) > 10 * FLUX_MAG


@pytest.mark.parametrize(
    ("text", "instrument", "name"),
    [
        ("WFC3/UVIS F438W", "", "wfc3_uvis_f438w"),
        ("wfc3_uvis_f438w", "", "wfc3_uvis_f438w"),
        ("HST/WFC3_UVIS2.F438W", "", "wfc3_uvis_f438w"),
        ("F438W", "", "wfc3_uvis_f438w"),
        ("F438W", "WFC3/UVIS", "wfc3_uvis_f438w"),
        ("ACS/WFC F814W", "", "acs_wfc_f814w"),
        ("acs,wfc1,f814w", "", "acs_wfc_f814w"),
        ("ACS_WFC_F814W", "ACS/WFC", "acs_wfc_f814w"),
        ("F814W", "WFC3/UVIS", "wfc3_uvis_f814w"),
        ("F814W", "HST ACS/WFC, drizzled", "acs_wfc_f814w"),
        ("WFPC2/PC F555W", "", "wfpc2_f555w"),
        ("NICMOS2 F160W", "", "nic2_f160w"),
        ("F160W", "NICMOS/NIC3", "nic3_f160w"),
        ("jwst_f150w", "NIRCam", "jwst_f150w"),
        ("NIRCam F150W", "", "jwst_f150w"),
        ("F150W", "JWST/NIRISS", "jwst_niriss_f150w"),
        ("MIRI F770W", "", "jwst_f770w"),
        ("Euclid VIS", "", "euclid_vis"),
        ("H", "Euclid/NISP", "euclid_nisp_h"),
        ("Roman/WFI F158", "", "roman_wfi_f158"),
        ("twomass_ks", "", "twomass_Ks"),
    ],
)
def test_names_as_people_write_them(text, instrument, name):
    assert load_passband(text, instrument).name == name


@pytest.mark.parametrize(
    ("text", "instrument", "says"),
    [
        ("F814W", "", "acs_hrc_f814w, acs_wfc_f814w, wfc3_uvis_f814w or wfpc2_f814w"),
        ("ACS F814W", "", "acs_hrc_f814w or acs_wfc_f814w"),
        ("JWST F150W", "", "jwst_f150w or jwst_niriss_f150w"),
        ("F438W", "ACS/WFC", "wfc3_uvis_f438w"),
        ("acs_wfc_f814w", "WFC3/UVIS", "not on the instrument"),
        ("WFC3/UVIS F999W", "", "unknown filter"),
    ],
)
def test_names_that_mean_several_curves_or_none(text, instrument, says):
    with pytest.raises(InputError, match=says):
        load_passband(text, instrument)


def in_unit(path, curve, angstrom):
    np.savetxt(path, np.c_[curve.wavelength_angstrom / angstrom, curve.throughput])
    return str(path)


def band(name, filter, instrument=""):
    values = {"name": name, "filter": filter, "instrument": instrument}
    return load_survey("phat").bands[0].model_copy(update=values)


@pytest.mark.parametrize(
    ("name", "filter", "unit", "says"),
    [
        ("F814W", "acs_wfc_f814w", 1e4, "0.806 Angstrom; allowed are 900"),
        ("F814W", "acs_wfc_f814w", 10.0, "806 Angstrom; allowed are 900"),
        ("F150W", "jwst_f150w", 10.0, "1501 Angstrom, that of F150W is 1.... Angstrom.* in nm"),
        ("deep", "jwst_f150w", 10.0, "1501 Angstrom, that of F150W"),  # by the file's name
        ("F2550W", "jwst_f2550w", 10.0, "in nm"),
    ],
)
def test_curves_in_nm_or_micron_are_refused(tmp_path, name, filter, unit, says):
    file = in_unit(tmp_path / f"{filter}.txt", load_passband(filter), unit)
    with pytest.raises(InputError, match=says):
        band_curve(band(name, file))


@pytest.mark.parametrize(
    ("name", "comment", "says"),
    [
        ("deep", "wave number [cm-1]", "in cm-1 by its comment"),
        ("deep", "lambda (um) T", "in um by its comment"),
        ("g", "", "that of g is 4800 Angstrom"),
        ("g", "wavelength in Angstrom", "that of g is 4800 Angstrom"),
    ],
)
def test_curves_in_wavenumbers_are_refused(tmp_path, name, comment, says):
    curve = load_passband("acs_wfc_f475w")
    columns = np.c_[1e8 / curve.wavelength_angstrom, curve.throughput]
    np.savetxt(tmp_path / "mine.txt", columns, header=comment)
    with pytest.raises(InputError, match=says):
        band_curve(band(name, str(tmp_path / "mine.txt")))


def test_a_loss_is_no_curve(tmp_path):
    curve = load_passband("acs_wfc_f475w")
    np.savetxt(tmp_path / "mine.txt", np.c_[curve.wavelength_angstrom, 1 - curve.throughput])
    with pytest.raises(InputError, match="at both ends than between them: it is 1 - T"):
        band_curve(band("F475W", str(tmp_path / "mine.txt")))


def test_half_a_curve(tmp_path):
    curve = load_passband("acs_wfc_f475w")
    half = np.c_[curve.wavelength_angstrom, curve.throughput][len(curve.throughput) // 2 :]
    np.savetxt(tmp_path / "mine.txt", half)
    with pytest.warns(PraesepeWarning, match=r"ends at .* is \d+% of its highest; is it whole"):
        band_curve(band("blue", str(tmp_path / "mine.txt")))


@pytest.mark.filterwarnings("ignore:filter file mine.txt ends")
def test_half_a_curve_is_none_of_its_filter(tmp_path):
    curve = load_passband("acs_wfc_f475w")
    half = np.c_[curve.wavelength_angstrom, curve.throughput][len(curve.throughput) // 2 :]
    np.savetxt(tmp_path / "mine.txt", half)
    with pytest.raises(InputError, match="Angstrom, that of F475W is 4776"):
        band_curve(band("F475W", str(tmp_path / "mine.txt")))


@pytest.mark.parametrize(
    ("name", "comment", "refused"),
    [("H", "", True), ("FUV", "wavelength [Angstrom]", False), ("F170W", "", False)],
)
def test_a_curve_that_may_be_in_nm(tmp_path, name, comment, refused):
    """Silent before where the band's name has no number: H in nm was the far ultraviolet."""
    wave = np.linspace(1500, 2000, 60)
    curve = np.exp(-0.5 * ((wave - 1765) / 80) ** 2)
    np.savetxt(tmp_path / "mine.txt", np.c_[wave, curve], header=comment)
    one = band(name, str(tmp_path / "mine.txt"))
    if refused:
        with pytest.raises(InputError, match=r"pivot wavelength is 17.*if it is nm.*# Angstrom"):
            band_curve(one)
    else:
        assert band_curve(one).pivot_angstrom == pytest.approx(1765, abs=10)


def test_a_band_needs_the_curve_of_its_filter(tmp_path):
    with pytest.raises(InputError, match=r"5919 Angstrom, that of F814W is 80"):
        band_curve(band("F814W", "acs_wfc_f606w", "ACS/WFC"))
    file = in_unit(tmp_path / "F170W.txt", load_passband("wfpc2_f218w"), 1.25)
    assert band_curve(band("F170W", file)).pivot_angstrom == pytest.approx(1765.0, abs=5.0)
    assert band_curve(band("I", "acs_wfc_f814w")).name == "acs_wfc_f814w"


def test_a_survey_names_filters_like_people(tmp_path):
    phat = load_survey("phat")
    bands = [one.model_copy(update={"filter": "ACS/WFC " + one.name}) for one in phat.bands[1:]]
    by_camera = phat.with_values(observation={"bands": bands})
    path = tmp_path / "mine.toml"
    path.write_text(by_camera.to_toml())
    assert [band_curve(one).name for one in load_survey(path).bands] == [
        one.filter for one in phat.bands[1:]
    ]
    assert load_survey(path).fingerprint() == by_camera.fingerprint()


def test_same_filter_on_two_instruments_differs():
    acs, uvis = load_passband("acs_wfc_f814w"), load_passband("wfc3_uvis_f814w")
    assert abs(acs.pivot_angstrom - uvis.pivot_angstrom) > 10.0


def test_unknown_name_shows_the_nearest():
    with pytest.raises(InputError, match="acs_wfc_f475w"):
        load_passband("acs_wfc_f475")


def test_own_file(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("# wavelength throughput\n5000 0.0\n5500 0.4\n5600 0.4\n6000 0.0\n")
    curve = load_passband(str(path))
    assert curve.name == "mine"
    assert curve.pivot_angstrom == pytest.approx(5527.0, abs=20.0)


@pytest.mark.parametrize(
    ("begin", "between"),
    [
        ("wavelength,throughput\n", ","),
        ("\ufeff# wavelength [A] throughput\n", " "),
        ("\ufeffLambda;T\n", ";"),
        ("lambda\tT\n", "\t"),
        ("", ", "),
    ],
)
def test_own_file_as_csv_with_names_and_a_byte_order_mark(tmp_path, begin, between):
    path = tmp_path / "mine.csv"
    rows = ["5000 0.0", "5500 0.4", "5600 0.4", "6000 0.0"]
    path.write_text(begin + "\n".join(rows).replace(" ", between), encoding="utf-8")
    assert load_passband(path).pivot_angstrom == pytest.approx(5527.0, abs=20.0)
    path.write_text("wavelength_nm,T\n" + "\n".join(rows).replace(" ", ","))
    with pytest.raises(InputError, match="in nm by its comment"):
        load_passband(path)


@pytest.mark.parametrize(
    ("change", "zero_point", "says"),
    [
        (lambda wave: 1.0, 25.12, None),
        (lambda wave: 1.0, 23.12, r"zero point is 23\.12, that of wfc3_uvis_f814w is 25\.1"),
        (lambda wave: np.exp(7 * (wave / 8000 - 1)) / 3, 25.12, "is it the filter alone, without"),
        (lambda wave: 1e-3, 25.12, "throughput of its curve .* is 0.0002"),
    ],
)
def test_own_curves_and_zero_points_are_held_against_the_known(tmp_path, change, zero_point, says):
    curve = load_passband("wfc3_uvis_f814w")
    wave = curve.wavelength_angstrom
    path = tmp_path / "mine.txt"
    np.savetxt(path, np.c_[wave, curve.throughput * change(wave)])
    one = band("F814W", str(path), "WFC3/UVIS").model_copy(update={"zero_point_ab": zero_point})
    survey = load_survey("phat").with_values(observation={"bands": (one,)})
    with pytest.warns(PraesepeWarning, match=says) if says else contextlib.nullcontext():
        check_survey(survey)


def test_own_file_may_descend(tmp_path):
    up, down = tmp_path / "up.txt", tmp_path / "down.txt"
    rows = ["5000 0.0", "5500 0.4", "5600 0.4", "6000 0.0"]
    up.write_text("\n".join(rows))
    down.write_text("\n".join(reversed(rows)))
    assert load_passband(down).pivot_angstrom == load_passband(up).pivot_angstrom


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("hello world\n", "not two columns of numbers"),
        ("1 2\n", "three points"),
        ("5000 0\n5500 0\n6000 0\n", "positive throughput"),
        ("5000\n6000\n7000\n", "its columns are 1"),
        ("0 5000 0\n1 5500 0.4\n2 6000 0\n", "its columns are 3"),
        ("wave,thr\n5000,0\n5500,0.4\nend,0\n", "not two columns of numbers"),
        (b"SIMPLE  = \xab\xff", "not two columns of numbers"),
    ],
)
def test_files_that_are_no_curve(tmp_path, content, says):
    path = tmp_path / "bad.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=f"filter.*{says}"):
        load_passband(path)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="no filter file"):
        load_passband(tmp_path / "absent.txt")


def test_a_throughput_in_percent_is_refused(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("# Angstrom\n5000 0.0\n5500 40\n5600 40\n6000 0.0\n")
    with pytest.raises(InputError, match="up to 40; divide a throughput in percent by 100"):
        load_passband(path)


# ---- tables and blocks of lists


def curve_table(path, form, *, unit="Angstrom", factor=1.0):
    """The curve of ACS F475W as others write it."""
    curve = load_passband("acs_wfc_f475w")
    wave, through = curve.wavelength_angstrom[::5] * factor, curve.throughput[::5]
    if form == "eazy":
        lines = [f"{i} {w} {t}" for i, (w, t) in enumerate(zip(wave, through, strict=True), 1)]
        head = (
            f"{len(wave)} hst/ACS_update_sep07/wfc_f475w.dat lambda_c= 4.7453e+03 AB-Vega= -0.099"
        )
        path.write_text("\n".join([head, *lines]) + "\n")
        return str(path)
    if form == "synphot":
        columns = [fits.Column("WAVELENGTH", "D", unit=unit, array=wave)]
        columns.append(fits.Column("THROUGHPUT", "D", unit="TRANSMISSION", array=through))
        fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(path)
        return str(path)
    names = ("wavelength", "throughput") if form == "ascii.ecsv" else ("Wavelength", "Transmission")
    Table([wave, through], names=names, units=(unit, None)).write(path, format=form)
    return str(path)


@pytest.mark.filterwarnings("ignore:The unit")  # of writing
@pytest.mark.parametrize(
    ("name", "form", "unit", "factor"),
    [
        ("acs.fits", "synphot", "ANGSTROMS", 1.0),
        ("acs.fits", "synphot", "nm", 0.1),
        ("acs.fits", "synphot", "MICRONS", 1e-4),
        ("acs.ecsv", "ascii.ecsv", "Angstrom", 1.0),
        ("acs.ecsv", "ascii.ecsv", "um", 1e-4),
        ("acs.xml", "votable", "Angstrom", 1.0),
        ("acs.vot", "votable", "nm", 0.1),
        ("f475w.res", "eazy", "", 1.0),
    ],
)
def test_curves_in_tables_that_name_their_unit(tmp_path, name, form, unit, factor):
    """Refused before, with an advice to write a text file."""
    path = curve_table(tmp_path / name, form, unit=unit, factor=factor)
    known = load_passband("acs_wfc_f475w")
    curve = band_curve(band("F475W", path, "ACS/WFC"))
    assert curve.pivot_angstrom == pytest.approx(known.pivot_angstrom, rel=3e-4)
    assert curve.zero_point_ab() == pytest.approx(known.zero_point_ab(), abs=0.005)


def test_tables_that_are_no_curve(tmp_path):
    Table({"x": [1.0], "y": [2.0]}).write(tmp_path / "a.ecsv")
    with pytest.raises(InputError, match=r"a\.ecsv is not a filter curve: its columns are x and y"):
        load_passband(tmp_path / "a.ecsv")
    Table({"wave": [1.0], "t": [2.0]}, units=("s", None)).write(tmp_path / "b.ecsv")
    with pytest.raises(InputError, match=r"b\.ecsv is not a filter curve.* in 's', which is no le"):
        load_passband(tmp_path / "b.ecsv")
    Table({"wave": [1.0], "transmission": [2.0], "throughput": [1.0]}).write(tmp_path / "d.ecsv")
    with pytest.raises(
        InputError, match=r"d\.ecsv holds several curves: its columns transmission and"
    ):
        load_passband(tmp_path / "d.ecsv")
    (tmp_path / "c.fits").write_bytes(b"SIMPLE  =                    T")
    with pytest.raises(InputError, match=r"c\.fits is not a filter curve"):
        load_passband(tmp_path / "c.fits")


def test_a_curve_with_a_hole_is_refused(tmp_path):
    """Silent before: the points were joined across it."""
    path = tmp_path / "mine.txt"
    path.write_text("# Angstrom\n5000 0.0\n5500 0.4\n5600 nan\n6000 0.0\n")
    with pytest.raises(InputError, match="has no number in row 3 of its curve; leave that row out"):
        load_passband(path)


@pytest.mark.parametrize(
    ("curve", "said", "other"),
    [
        ("acs_wfc_f475w", "HST ACS WFC", None),
        ("acs_wfc_f475w", "HST WFC3 UVIS", ("hst, uvis and wfc3", "acs, hst and wfc")),
        ("wfc3_uvis_f475w", "HST WFC3 IR", ("hst, ir and wfc3", "hst, uvis and wfc3")),
        ("wfc3_uvis_f475w", "HST", None),
        ("wfpc2_f555w", "HST WFPC2 PC", None),
        ("jwst_f150w", "JWST NIRCAM NRCA1", None),
        ("jwst_f150w", "JWST NIRISS NIS", ("jwst and niriss", "jwst and nircam")),
        ("hsc_g", "Subaru HSC", None),
    ],
)
def test_cameras_that_contradict_each_other(curve, said, other):
    assert other_camera(band("any", curve), said) == other


def test_the_curve_of_another_camera_is_told(tmp_path):
    """Silent before: their pivots differ by 0.6 %."""
    curve = load_passband("wfc3_uvis_f475w")
    np.savetxt(tmp_path / "mine.txt", np.c_[curve.wavelength_angstrom, curve.throughput])
    with pytest.warns(
        PraesepeWarning, match=r"4774 Angstrom, that of acs_wfc_f475w 4745; .*another"
    ):
        band_curve(band("F475W", str(tmp_path / "mine.txt"), "ACS/WFC"))


def test_two_curves_in_a_file_are_refused(tmp_path):
    """Silent before: the first throughput of each wavelength was taken."""
    curve = load_passband("acs_wfc_f814w")
    columns = np.c_[curve.wavelength_angstrom, curve.throughput]
    np.savetxt(tmp_path / "mine.txt", np.r_[columns, columns * [1.0, 0.5]])
    with pytest.raises(
        InputError, match=r"two throughputs at \d+ wavelengths.*one curve in a file"
    ):
        load_passband(tmp_path / "mine.txt")
    step = tmp_path / "step.txt"
    step.write_text("# A\n4990 0\n5000 0\n5000 0.4\n5500 0.4\n5990 0.4\n6000 0.4\n6000 0\n6010 0\n")
    assert load_passband(step).pivot_angstrom == pytest.approx(5500, rel=0.05)


@pytest.mark.parametrize("energy", [True, False])
def test_curves_of_energy_are_told(tmp_path, energy):
    """Silent before: their pivot wavelengths are up to 1 % off."""
    curve, text = load_passband("acs_wfc_f475w"), tmp_path / "mine.txt"
    rows = np.c_[curve.wavelength_angstrom, curve.throughput]
    np.savetxt(text, rows, header="energy counter" if energy else "per photon")
    table = Path(curve_table(tmp_path / "mine.xml", "votable", unit="nm", factor=0.1))
    param = f'<PARAM name="DetectorType" value="{int(not energy)}" datatype="char" arraysize="*"/>'
    table.write_text(table.read_text().replace("<FIELD", f"{param}<FIELD", 1))
    for path in (text, table):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            load_passband(path)
        assert ["is of energy by what it says" in str(one.message) for one in said] == [
            True
        ] * energy
