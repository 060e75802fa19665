"""Artificial mosaics as files: one calibrated FITS image per band, and the truth beside them."""

from __future__ import annotations

import difflib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from praesepe import quantities
from praesepe.errors import InputError, PraesepeWarning, unknown
from praesepe.files import check_space, output_folder, replace_set
from praesepe.mocks.mosaics import RenderedMosaic, render_mosaic, scatter_clusters
from praesepe.mocks.stamps import simulated_by
from praesepe.progress import Progress
from praesepe.provenance import cards, provenance
from praesepe.quantities import LOG_PRESENT_MASS, LOG_Z
from praesepe.rng import stream
from praesepe.sky.clusters.parameters import PARAMETERS, Clusters, draw_clusters
from praesepe.sky.clusters.profiles import PROFILES
from praesepe.sky.clusters.validation import names_to_indices, validate_clusters
from praesepe.sky.tables import SurveyTables
from praesepe.sky.truth import BY_BAND, NO_QUANTITIES, describe
from praesepe.survey import Band, Survey, load_survey

if TYPE_CHECKING:
    from astropy.io import fits
    from astropy.table import Table
    from astropy.wcs import WCS

CENTRE_DEG = (11.10, 41.56)
"""RA and Dec of a mosaic by default: the star-forming ring of M31, north-east in the disc."""

TRUTH = "truth.ecsv"

GIVEN = {
    quantity.linear or quantity.name: quantity
    for quantity in quantities.registered()
    if quantity.name in PARAMETERS and not quantity.is_categorical
}
"""Quantities of a cluster by the columns of a catalogue, which has no logarithms of radii."""

NEEDED = tuple(name for name, q in GIVEN.items() if q.name in quantities.DEFAULT_INFERRED)
OPTIONAL = tuple(name for name in GIVEN if name not in NEEDED)
"""Columns of a catalogue that are drawn from the prior where they are missing."""

CHOICES = ("profile", "model")
"""Columns of names or indices: the profile, and the stellar model of the survey."""

NO_PARAMETERS = {"id", "name", "ra", "dec", LOG_PRESENT_MASS.name, *NO_QUANTITIES}
"""Columns that say nothing new about a cluster, such as those of a table of truth."""

NUISANCE_CARDS = {
    "zero_point_mag": ("ZPOFFSET", "[mag] added to magnitudes"),
    "blur_px": ("BLURPX", "[px] sigma of a further blur"),
    "x_shift_px": ("XSHIFT", "[px] shift of the band in x"),
    "y_shift_px": ("YSHIFT", "[px] shift of the band in y"),
}
"""Keywords and comments of what was drawn for a band."""


@dataclass(frozen=True)
class MosaicFiles:
    """What `simulate_mosaic` wrote.

    Attributes
    ----------
    images : dict of str to Path
        FITS mosaics by band.
    truth : Path
        Table of the clusters.
    table : Table
        The same in memory.
    """

    images: dict[str, Path]
    truth: Path
    table: Table


def simulate_mosaic(
    survey: Survey | str | Path,
    out: str | Path,
    *,
    clusters: Any = None,
    n: int | None = None,
    size: int = 4096,
    density: float | None = None,
    seed: int = 0,
    nuisances: bool = True,
    centre_deg: tuple[float, float] | None = None,
    x: str | None = None,
    y: str | None = None,
    origin: int | None = None,
    overwrite: bool = False,
    command: str | None = None,
    progress: Progress | None = None,
) -> MosaicFiles:
    """Write an artificial mosaic: an image per band with a WCS, and the truth.

    Parameters
    ----------
    survey : Survey, str or Path
        The survey.
    out : path
        Folder for ``SURVEY_BAND.fits`` and ``truth.ecsv``; made if needed.
    clusters : Table or path, optional
        Catalogue with positions (ra and dec, or x and y with their origin), ``log_age``,
        ``log_mass`` (initial) and ``rh_arcsec``. Optional columns are `OPTIONAL`, ``profile`` and
        ``model``; those that are missing are drawn from the survey's prior.
    n : int, optional
        Number of clusters drawn from the prior instead, 0 for a star field alone.
    size : int
        Side of the mosaic, pixels.
    density : float
        Surface density of the star field, initial Msun/pc²; 0: no field stars. By default drawn
        from the survey's range, by the seed.
    seed : int
        The same seed gives the same mosaic.
    nuisances : bool
        Whether each band has a zero point, blur and registration that are slightly off.
    centre_deg : (float, float), optional
        Right ascension and declination of the centre; by default the middle of the catalogue's sky
        positions, otherwise a place in M31.
    x, y, origin
        As for `praesepe.images.Catalog.read`.
    overwrite : bool
        Replace files that exist.
    command : str, optional
        The command line, for the headers.
    progress : callable, optional
        Called with (steps done, all steps).

    Returns
    -------
    MosaicFiles

    Raises
    ------
    InputError
        Where the catalogue lacks columns, holds impossible values or no cluster on the mosaic, or
        the output cannot be written.
    """
    from praesepe.images.tables import write_table

    survey = load_survey(survey).fixed()  # one image has one depth and one distance
    if (clusters is None) == (n is None):
        raise InputError("give either a catalogue of clusters or the number of random ones")
    if n is not None and n < 0:
        raise InputError(f"n = {n}: a number of clusters is 0 or more")
    if density is None and seed >= 0:
        density = draw_density(survey, seed)
    if density is None or not 0 <= density < np.inf or seed < 0:
        raise InputError(f"density = {density}, seed = {seed}: neither can be negative")
    if size < survey.stamp_size:
        raise InputError(
            f"a mosaic of {size} px holds no stamp of {survey.stamp_size} px; make it larger"
        )
    if survey.galaxy.field.files is not None and density > 0:
        raise InputError(
            f"galaxy.field.files = {survey.galaxy.field.files}: a mosaic has a simulated star "
            "field, real ones are for stamps; leave `files` out of the survey, or ask for no field "
            "(density 0)"
        )
    names = [*(image_name(survey, band) for band in survey.bands), TRUTH]
    folder = output_folder(out, names, overwrite=overwrite)
    check_space(folder, 4 * size**2 * len(survey.bands), f"a mosaic of {size} px")
    tables = SurveyTables.build(survey)
    if clusters is None:
        wcs = mosaic_wcs(survey, size, centre_deg=centre_deg or CENTRE_DEG)
        given, x_px, y_px, ids = None, np.empty(0), np.empty(0), []
        if n:
            given, x_px, y_px = scatter_clusters(survey, n, size, seed)
            ids = [f"mock-{i:04d}" for i in range(1, n + 1)]
    else:
        read = _read_clusters(survey, clusters, size, centre_deg, seed, (x, y, origin), tables)
        wcs, given, x_px, y_px, ids = read
    made = render_mosaic(
        survey, given, x_px, y_px, size=size, seed=seed, field_density=density,
        nuisances=nuisances, tables=tables, progress=progress,
    )  # fmt: skip
    made_by = simulated_by(survey, seed=seed, field_density=density, nuisances=nuisances)
    table = _truth_table(survey, given, made.truth, wcs, ids)
    settings = {name: made_by[name] for name in ("seed", "field_density", "nuisances")}
    table.meta |= provenance(survey) | {keyword: value for keyword, value, _ in cards(settings)}
    table.meta["nuisances"] = made.nuisances
    with replace_set(folder, names) as part:
        _write_images(part, survey, made, wcs, made_by=made_by, command=command)
        write_table(table, part / TRUTH)
    images = {band.name: folder / image_name(survey, band) for band in survey.bands}
    return MosaicFiles(images, folder / TRUTH, table)


def draw_density(survey: Survey, seed: int) -> float:
    """A density from the survey's range, evenly in its logarithm."""
    low, high = survey.galaxy.field.surface_density
    return float(low * (high / low) ** np.random.default_rng((seed, 2)).random())


# The catalogue of clusters


def _read_clusters(
    survey: Survey,
    source: Any,
    size: int,
    centre_deg: tuple[float, float] | None,
    seed: int,
    columns: tuple[str | None, str | None, int | None],
    tables: SurveyTables,
) -> tuple[WCS, Clusters, np.ndarray, np.ndarray, list[str]]:
    """Clusters of a catalogue that lie on the mosaic, and the mosaic's WCS."""
    from praesepe.images.catalogs import Catalog

    x, y, origin = columns
    wcs = mosaic_wcs(survey, size, centre_deg=centre_deg or CENTRE_DEG)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PraesepeWarning)  # that all are outside: seen below
        catalog = Catalog.read(source, x=x, y=y, origin=origin)
        if catalog.sky is not None and centre_deg is None:
            wcs = mosaic_wcs(survey, size, centre_deg=_middle(*catalog.sky))
        x_px, y_px = catalog.on(wcs)
    table = catalog.table
    with np.errstate(invalid="ignore"):
        inside = (x_px >= -0.5) & (x_px < size - 0.5) & (y_px >= -0.5) & (y_px < size - 0.5)
    label = "the catalogue" if not isinstance(source, str | Path) else Path(source).name
    if not inside.any():
        raise InputError(
            f"{label}: none of its {len(table)} clusters lies on the mosaic of {size}×{size} px "
            f"({size * survey.pixel_scale_arcsec:.1f} arcsec); make it larger, or move its centre"
        )
    if not inside.all():
        outside = np.flatnonzero(~inside) + 1
        shown = ", ".join(map(str, outside[:8])) + (" …" if len(outside) > 8 else "")
        warnings.warn(
            f"{label}: {len(outside)} of {len(table)} clusters lie outside the mosaic of "
            f"{size}×{size} px and are left out: rows {shown}",
            PraesepeWarning,
            stacklevel=3,
        )
    values = _parameters(table, survey, label, set(filter(None, (x, y))))
    n = int(inside.sum())
    generator = stream((seed, 0), torch.device("cpu"))
    clusters = draw_clusters(survey, n, generator=generator)
    clusters = clusters.with_values(**{name: column[inside] for name, column in values.items()})
    rows = [f"{label}, row {i}" for i in np.flatnonzero(inside) + 1]
    validate_clusters(clusters, survey, tables.cluster, names=rows)
    names = next((c for c in table.colnames if c.lower() in ("id", "name")), None)
    ids = [str(v) for v in (table[names] if names else np.arange(1, len(table) + 1))]
    chosen = [name for name, kept in zip(ids, inside, strict=True) if kept]
    return wcs, clusters, x_px[inside], y_px[inside], chosen


def _middle(ra_deg: np.ndarray, dec_deg: np.ndarray) -> tuple[float, float]:
    """Direction of the median of the positions' unit vectors: right across RA = 0, too."""
    good = np.isfinite(ra_deg) & np.isfinite(dec_deg)
    if not good.any():
        raise InputError("no row of the catalogue has a position")
    ra, dec = np.radians(ra_deg[good]), np.radians(dec_deg[good])
    vectors = (np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec))
    x, y, z = (np.median(v) for v in vectors)  # one stray position does not matter
    return float(np.degrees(np.arctan2(y, x)) % 360), float(
        np.degrees(np.arctan2(z, np.hypot(x, y)))
    )


def _parameters(
    table: Table, survey: Survey, label: str, positions: set[str]
) -> dict[str, np.ndarray]:
    """The clusters' parameters, by the names that `Clusters` has."""
    missing = [name for name in NEEDED if name not in table.colnames]
    if missing:
        units = ", ".join(_column(name)[0] for name in NEEDED)
        raise InputError(
            f"{label} lacks {', '.join(missing)}; it has {', '.join(table.colnames)}. Needed are "
            f"{', '.join(NEEDED)} ({units}) and positions; optional are "
            f"{', '.join((*OPTIONAL, *CHOICES))}"
        )
    _check_names(table.colnames, label, positions)
    values = {}
    for name, quantity in GIVEN.items():
        if name not in table.colnames:
            continue
        if table[name].dtype.kind not in "iuf":
            raise InputError(f"{label}: column {name} holds {table[name].dtype}, not numbers")
        column: np.ndarray = np.ma.filled(np.ma.asarray(table[name], dtype=float), np.nan)
        logarithmic = bool(quantity.linear)
        good = np.isfinite(column) & (column > 0) if logarithmic else np.isfinite(column)
        if name == "tidal_radius":  # infinite where a profile has no end
            good |= np.isposinf(column)
        if not good.all():
            row = int(np.argmin(good))
            allowed = "positive numbers" if logarithmic else "finite numbers"
            raise InputError(
                f"{label}, row {row + 1}: {name} = {column[row]:g}; allowed are {allowed}"
            )
        values[quantity.name] = np.log10(column) if logarithmic else column
    choices = {name: table[name] for name in CHOICES if name in table.colnames}
    values |= names_to_indices(choices, survey, source=label)
    return values


def _check_names(names: list[str], label: str, positions: set[str]) -> None:
    """Stop at a column that looks like a misspelt parameter; warn about others of no use."""
    parameters = (*GIVEN, *CHOICES)
    logarithms = {quantity.name for name, quantity in GIVEN.items() if name in names}
    silent = {*NO_PARAMETERS, *logarithms}
    ignored = []
    for name in names:
        if name in parameters or name in positions or name.lower() in silent:
            continue
        if difflib.get_close_matches(name.lower(), parameters, n=1, cutoff=0.75):
            raise unknown(f"column in {label}:", name, parameters, "Rename it or remove it.")
        if not name.startswith(tuple(BY_BAND)):
            ignored.append(name)
    if ignored:
        warnings.warn(
            f"{label}: columns that are no parameters of a cluster are ignored: "
            f"{', '.join(ignored)}",
            PraesepeWarning,
            stacklevel=4,
        )


def _truth_table(
    survey: Survey,
    clusters: Clusters | None,
    known: dict[str, np.ndarray],
    wcs: WCS,
    ids: list[str],
) -> Table:
    """All that is known of the clusters; the columns that a catalogue may have come first."""
    from astropy.table import Column, Table

    table = Table({"id": Column(ids, dtype=str)})
    if clusters is None:
        return table
    ra, dec = wcs.pixel_to_world_values(known["x"], known["y"])
    table["ra"], table["dec"] = (
        Column(np.round(ra, 8), unit="deg"),
        Column(np.round(dec, 8), unit="deg"),
    )
    place = "position on the mosaic, where the centre of the first pixel is 0"
    for name in "xy":
        table[name] = Column(known[name], unit="pixel", description=place)
    aimed = {quantity.name: getattr(clusters, quantity.name) for quantity in GIVEN.values()}
    for name, quantity in GIVEN.items():
        log = known.get(quantity.name, aimed[quantity.name].numpy())
        if name in NEEDED:
            _add(table, quantity.name, log)
        _add(table, name, 10**log if quantity.linear else log)
    table["profile"] = [PROFILES[i] for i in clusters.profile.tolist()]
    table["model"] = [survey.clusters.stars.models[i] for i in clusters.model.tolist()]
    for name, values in known.items():
        _add(table, name, values)
    return table


def _add(table: Table, name: str, values: np.ndarray) -> None:
    """Add a described column, unless it is there."""
    from astropy.table import Column

    if name not in table.colnames:
        unit, description = _column(name)
        table[name] = Column(values, unit=unit or None, description=description)


def _column(name: str) -> tuple[str, str]:
    """Unit and description of a column of catalogue or truth."""
    if name == LOG_Z.linear:
        return "", LOG_Z.description.removeprefix("log10 of the ")
    return describe(name)


# Images


def image_name(survey: Survey, band: Band) -> str:
    """File name of a band's mosaic."""
    return f"{survey.name}_{band.name.lower()}.fits"


def _write_images(
    folder: Path,
    survey: Survey,
    made: RenderedMosaic,
    wcs: WCS,
    *,
    made_by: dict[str, Any],
    command: str | None,
) -> None:
    """Write one FITS file per band."""
    for band in survey.bands:
        hdus = mosaic_hdus(made.images[band.name], band, wcs, survey, made_by=made_by)
        for name, value in made.nuisances.get(band.name, {}).items():
            hdus[0].header[NUISANCE_CARDS[name][0]] = (round(value, 6), NUISANCE_CARDS[name][1])
        if command:
            hdus[0].header["HISTORY"] = command
        hdus.writeto(folder / image_name(survey, band))


def mosaic_wcs(survey: Survey, size: int, *, centre_deg: tuple[float, float] = CENTRE_DEG) -> WCS:
    """Tangential projection, north up, at the survey's pixel scale."""
    from astropy.wcs import WCS

    ra_deg, dec_deg = centre_deg
    if not (0 <= ra_deg <= 360 and -90 <= dec_deg <= 90):
        raise InputError(
            f"centre {ra_deg:g}, {dec_deg:g}: right ascension is 0 to 360 degrees, declination "
            "-90 to 90"
        )
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.crval = [ra_deg, dec_deg]
    wcs.wcs.crpix = [size / 2 + 0.5, size / 2 + 0.5]
    scale_deg = survey.pixel_scale_arcsec / 3600
    wcs.wcs.cd = [[-scale_deg, 0], [0, scale_deg]]
    wcs.wcs.radesys = "ICRS"
    wcs.array_shape = (size, size)
    return wcs


def mosaic_hdus(
    plane: np.ndarray,
    band: Band,
    wcs: WCS,
    survey: Survey,
    *,
    made_by: dict[str, Any] | None = None,
) -> fits.HDUList:
    """A mosaic as the archive delivers it: instrument in the primary header, image in SCI."""
    from astropy.io import fits

    pivot = _pivot_angstrom(band)
    # zero point = -2.5 log PHOTFLAM - 21.10 - 5 log PHOTPLAM + 18.692
    photflam = 10 ** (-0.4 * (band.zero_point_ab + 21.10 - 18.692)) / pivot**2
    instrument, _, detector = band.instrument.partition("/")
    primary = fits.PrimaryHDU()
    primary.header.update(
        {
            "TELESCOP": (survey.telescope or "MOCK", "simulated by Praesepe"),
            "INSTRUME": instrument or "MOCK",
            "DETECTOR": detector or "MOCK",
            "FILTER": band.name,
            "TARGNAME": f"MOCK-{survey.name.upper()}",
            "EXPTIME": (band.typical_exposure_s, "[s]"),
        }
    )
    primary.header.extend(cards(made_by or provenance(survey)))
    header = wcs.to_header()
    science = fits.ImageHDU(np.asarray(plane, dtype=np.float32), header=header, name="SCI")
    science.header.update(
        {
            "BUNIT": "ELECTRONS/S",
            "PHOTMODE": f"{instrument} {band.name}",
            "PHOTFLAM": (photflam, "erg/cm2/A per electron"),
            "PHOTPLAM": (pivot, "[Angstrom] pivot wavelength"),
            "PHOTZPT": (-21.10, "ST magnitude zero point"),
        }
    )
    return fits.HDUList([primary, science])


def _pivot_angstrom(band: Band) -> float:
    from praesepe.stars.passbands import load_passband

    return float(load_passband(band.filter).pivot_angstrom)
