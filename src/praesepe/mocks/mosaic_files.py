"""Artificial mosaics as files: one calibrated FITS image per band, and the truth beside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from praesepe.errors import InputError, check_number, listed, must_be, refuse_unused
from praesepe.files import check_space, output_folder, replace_set
from praesepe.images.inputs import CatalogReading, input_files
from praesepe.locks import working_folder
from praesepe.mocks.cluster_tables import clusters_on, truth_table
from praesepe.mocks.mosaics import RenderedMosaic, render_mosaic, scatter_clusters
from praesepe.mocks.stamps import simulated_by
from praesepe.progress import Progress, Setup
from praesepe.provenance import add_cards, ascii_text, cards, provenance_of
from praesepe.rng import check_seed
from praesepe.sky.contents import without_missing_stars
from praesepe.sky.tables import SurveyTables
from praesepe.survey import Band, Survey, load_survey
from praesepe.survey.toml import survey_files

if TYPE_CHECKING:
    from astropy.io import fits
    from astropy.table import Table
    from astropy.wcs import WCS

CENTER_DEG = (11.10, 41.56)
"""RA and Dec of a mosaic by default: the star-forming ring of M31, north-east in the disc."""

TRUTH = "truth.ecsv"

NUISANCE_CARDS = {
    "zero_point_mag": ("ZPOFFSET", "[mag] added to magnitudes"),
    "blur_px": ("BLURPX", "[px] sigma of a further blur, < 0: sharper"),
    "x_shift_px": ("XSHIFT", "[px] shift of the band in x"),
    "y_shift_px": ("YSHIFT", "[px] shift of the band in y"),
}
"""Keywords and comments of what was drawn for a band."""


@dataclass(frozen=True)
class SimulatedMosaic:
    """An artificial mosaic, made by `simulate_mosaic`: an image per band, and the truth.

    Attributes
    ----------
    survey : Survey
        With one distance and one depth.
    images : dict of str to Path or HDUList
        By band, as `praesepe.predict` takes them: files, or what they would hold.
    truth : Table
        What is known of the clusters, a row each.
    path : Path or None
        Folder of the files; None in memory.
    """

    survey: Survey
    images: dict[str, Any]
    truth: Table
    path: Path | None = None

    def __repr__(self) -> str:
        where = "in memory" if self.path is None else f"in {self.path}"
        return (
            f"<SimulatedMosaic of survey {self.survey.name!r}: {listed(self.images)}; "
            f"{len(self.truth)} clusters; {where}>"
        )

    def save(self, out: str | Path, *, overwrite: bool = False) -> SimulatedMosaic:
        """Write ``SURVEY_BAND.fits`` and ``truth.ecsv`` into a folder, all of them or none.

        Parameters
        ----------
        out : path
            Folder; made if needed.
        overwrite : bool
            Replace files that exist.

        Returns
        -------
        SimulatedMosaic
            That in the files.
        """
        from astropy.io import fits

        from praesepe.images.catalog.tables import write_table

        names = file_names(self.survey)
        folder = output_folder(out, names, overwrite=overwrite)
        files = {band.name: image_name(self.survey, band) for band in self.survey.bands}
        with replace_set(folder, names) as part:
            for band, image in self.images.items():
                hdus = fits.open(image) if isinstance(image, Path) else image
                hdus.writeto(part / files[band])
            write_table(self.truth, part / TRUTH)
        paths = {band: folder / name for band, name in files.items()}
        return replace(self, images=paths, path=folder)


def simulate_mosaic(
    survey: Survey | str | Path,
    catalog: Any = None,
    *,
    n: int | None = None,
    size: int = 4096,
    density: float | None = None,
    seed: int = 0,
    nuisances: bool = True,
    center_deg: tuple[float, float] | None = None,
    x: str | None = None,
    y: str | None = None,
    origin: int | None = None,
    columns: Sequence[str] | str | None = None,
    ra: str | None = None,
    dec: str | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    command: str | None = None,
    progress: Progress | None = None,
    setup: Setup | None = None,
) -> SimulatedMosaic:
    """Make an artificial mosaic: an image per band with a WCS, and the truth.

    Parameters
    ----------
    survey : Survey, str or Path
        The survey.
    catalog : Catalog, Table or path, optional
        Clusters with positions (ra and dec, or x and y with their origin), ``log_age``,
        ``log_mass`` (initial) and ``rh_arcsec``. Other parameters, ``profile`` and ``model`` are
        drawn from the survey's prior where the catalog has no column of them.
    n : int, optional
        Number of clusters drawn from the prior instead, 0 for a star field alone.
    size : int
        Side of the mosaic, pixels.
    density : float, optional
        Surface density of the star field, initial Msun/pc²; 0: no field stars. By default drawn
        from the survey's range, by the seed.
    seed : int
        The same seed gives the same mosaic.
    nuisances : bool
        Whether each band has a zero point, blur and registration that are slightly off.
    center_deg : (float, float), optional
        Right ascension and declination of the center; by default the middle of the catalog's sky
        positions, otherwise a place in M31.
    x, y, origin, columns, ra, dec
        As for `praesepe.images.Catalog.read`.
    out : path, optional
        Folder to save it in; see `SimulatedMosaic.save`.
    overwrite : bool
        Replace files that exist.
    command : str, optional
        The command line, for the headers.
    progress : callable, optional
        Called with (steps done, all steps).
    setup : callable, optional
        Called with (stage, done, total) before, as tables and samplers of stars are made.

    Returns
    -------
    SimulatedMosaic

    Raises
    ------
    InputError
        Where the catalog lacks columns, holds impossible values or no cluster on the mosaic, or
        the output cannot be written.
    """
    from praesepe.images.catalog.catalogs import Catalog

    described, survey = survey, without_missing_stars(load_survey(survey))
    survey = survey.fixed()  # one image has one depth and one distance
    _check_source(catalog, n)
    reading: CatalogReading = {
        "x": x, "y": y, "origin": origin, "columns": columns, "ra": ra, "dec": dec,
    }  # fmt: skip
    if catalog is None:
        refuse_unused("no catalog is given", **reading)
    density = _checked(survey, n or 0, size, density, seed)
    with working_folder(out):
        if out is not None:
            inputs = [*survey_files(described), *input_files(None, None, catalog)]
            folder = output_folder(out, file_names(survey), overwrite=overwrite, inputs=inputs)
            check_space(folder, 4 * size**2 * len(survey.bands), f"a mosaic of {size} px")
        read = None
        if catalog is not None:
            read = Catalog.read(catalog, **reading)
            if center_deg is None and read.sky is not None:
                center_deg = middle_position(*read.sky)
        wcs = mosaic_wcs(survey, size, center_deg=center_deg or CENTER_DEG)
        tables = SurveyTables.build(survey, setup=setup)
        clusters, x_px, y_px, ids = None, np.empty(0), np.empty(0), list[str]()
        if read is not None:
            clusters, x_px, y_px, ids = clusters_on(
                read,
                survey,
                wcs,
                seed=seed,
                tables=tables,
                positions={x or "", y or "", ra or "", dec or ""},
            )
        elif n:
            clusters, x_px, y_px = scatter_clusters(survey, n, size, seed)
            ids = [f"mock-{i:04d}" for i in range(1, n + 1)]
        rendered = render_mosaic(
            survey, clusters, x_px, y_px, size=size, seed=seed, field_density=density,
            nuisances=nuisances, tables=tables, progress=progress, setup=setup,
        )  # fmt: skip
        record = simulated_by(survey, seed=seed, field_density=density, nuisances=nuisances)
        truth = truth_table(survey, clusters, rendered.truth, wcs, ids)
        record["set"] = _identity(record, wcs, rendered, truth)
        settings = {name: record[name] for name in ("seed", "field_density", "nuisances", "set")}
        truth.meta |= provenance_of(survey) | {
            keyword: value for keyword, value, _ in cards(settings)
        }
        truth.meta["nuisances"] = rendered.nuisances
        mosaic = SimulatedMosaic(survey, _images(survey, rendered, wcs, record, command), truth)
        return mosaic if out is None else mosaic.save(out, overwrite=True)


def _check_source(catalog: object, n: int | None) -> None:
    """Stop unless clusters come from exactly one of a catalog and the prior."""
    if (catalog is None) == (n is None):
        raise InputError(
            f"{'neither' if n is None else 'both'} a catalog of clusters "
            f"{'nor' if n is None else 'and'} a number of random ones is given",
            given=(catalog, n),
            remedy="give one of the two, such as the number",
            code="n=300",
        )


def _checked(survey: Survey, n: int, size: int, density: float | None, seed: int) -> float:
    """The density of the star field, where all numbers are possible."""
    check_number("n", n, 0)
    check_number("size", size, 1)
    if size < survey.stamp_size:
        fits = f"at least {survey.stamp_size}, so that it holds a stamp"
        raise must_be("size", size, fits, "make the mosaic larger")
    seed = check_seed(seed)
    if density is None:
        density = draw_density(survey, seed)
    density = float(check_number("density", density, 0, whole=False))

    if survey.galaxy.field.files is not None and density > 0:
        raise InputError(
            f"galaxy.field.files = {survey.galaxy.field.files}: a mosaic has a simulated star "
            "field, real ones are for stamps",
            given=survey.galaxy.field.files,
            remedy="leave `files` out of the survey, or ask for no field (density 0)",
        )
    return density


def draw_density(survey: Survey, seed: int) -> float:
    """A density from the survey's range, evenly in its logarithm."""
    low, high = survey.galaxy.field.surface_density
    return float(low * (high / low) ** np.random.default_rng((seed, 2)).random())


def _identity(record: dict[str, Any], wcs: WCS, rendered: RenderedMosaic, truth: Table) -> str:
    """What the files of one mosaic share, and those of another do not have."""
    place = [*wcs.array_shape, *wcs.wcs.crval.tolist()]
    content = [record, place, rendered.nuisances, truth.as_array().tolist()]
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()[:12]


def middle_position(ra_deg: np.ndarray, dec_deg: np.ndarray) -> tuple[float, float]:
    """Direction of the median of the positions' unit vectors, deg: right across RA = 0, too."""
    good = np.isfinite(ra_deg) & np.isfinite(dec_deg)
    if not good.any():
        raise InputError(
            "no row of the catalog has a position",
            given=ra_deg.tolist(),
            remedy="give at least one, or the center",
        )
    ra, dec = np.radians(ra_deg[good]), np.radians(dec_deg[good])
    vectors = (np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec))
    x, y, z = (np.median(v) for v in vectors)  # one stray position does not matter
    return float(np.degrees(np.arctan2(y, x)) % 360), float(
        np.degrees(np.arctan2(z, np.hypot(x, y)))
    )


# Images


def image_name(survey: Survey, band: Band) -> str:
    """File name of a band's mosaic."""
    return f"{survey.name}_{band.name.lower()}.fits"


def file_names(survey: Survey) -> list[str]:
    """Names of the files of a mosaic, the truth last."""
    return [*(image_name(survey, band) for band in survey.bands), TRUTH]


def _images(
    survey: Survey, rendered: RenderedMosaic, wcs: WCS, record: dict[str, Any], command: str | None
) -> dict[str, fits.HDUList]:
    """What the files of the bands hold."""
    images = {}
    for band in survey.bands:
        hdus = mosaic_hdus(rendered.images[band.name], band, wcs, survey, record=record)
        for name, value in rendered.nuisances.get(band.name, {}).items():
            hdus[0].header[NUISANCE_CARDS[name][0]] = (round(value, 6), NUISANCE_CARDS[name][1])
        add_cards(hdus[0].header, (), command)
        images[band.name] = hdus
    return images


def mosaic_wcs(survey: Survey, size: int, *, center_deg: tuple[float, float] = CENTER_DEG) -> WCS:
    """Tangential projection, north up, at the survey's pixel scale."""
    from astropy.wcs import WCS

    ra_deg, dec_deg = center_deg
    if not (0 <= ra_deg <= 360 and -90 <= dec_deg <= 90):
        allowed = "right ascension of 0 to 360 degrees, declination of -90 to 90"
        raise must_be("center", center_deg, allowed)
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
    record: dict[str, Any] | None = None,
) -> fits.HDUList:
    """A mosaic as the archive delivers it: instrument in the primary header, image in SCI."""
    from astropy.io import fits

    pivot = _pivot_angstrom(band)
    # zero point = -2.5 log PHOTFLAM - 21.10 - 5 log PHOTPLAM + 18.692
    photflam = 10 ** (-0.4 * (band.zero_point_ab + 21.10 - 18.692)) / pivot**2
    instrument, _, detector = band.instrument.partition("/")
    primary = fits.PrimaryHDU()
    made_by = [
        ("TELESCOP", survey.telescope or "MOCK", "simulated by Praesepe"),
        ("INSTRUME", instrument or "MOCK", ""),
        ("DETECTOR", detector or "MOCK", ""),
        ("FILTER", band.name, ""),
        ("TARGNAME", f"MOCK-{survey.name.upper()}", ""),
        ("EXPTIME", band.typical_exposure_s, "[s]"),
    ]
    add_cards(primary.header, made_by + cards(record or provenance_of(survey)))
    header = wcs.to_header()
    science = fits.ImageHDU(np.asarray(plane, dtype=np.float32), header=header, name="SCI")
    science.header.update(
        {
            "BUNIT": "ELECTRONS/S",
            "PHOTMODE": ascii_text(f"{instrument} {band.name}"),
            "PHOTFLAM": (photflam, "erg/cm2/A per electron"),
            "PHOTPLAM": (pivot, "[Angstrom] pivot wavelength"),
            "PHOTZPT": (-21.10, "ST magnitude zero point"),
        }
    )
    return fits.HDUList([primary, science])


def _pivot_angstrom(band: Band) -> float:
    from praesepe.stars.curves import band_curve

    return float(band_curve(band).pivot_angstrom)
