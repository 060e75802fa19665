"""The demonstration: a mock mosaic of M31, measured with the shipped model as a user would."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from praesepe.errors import InputError
from praesepe.parameters import LOG_MASS, PARAMETERS
from praesepe.survey import Band, Survey, load_survey

if TYPE_CHECKING:
    from astropy.io import fits
    from astropy.table import Table
    from astropy.wcs import WCS

MODEL = "phat"
SEED = 20190103
N_CLUSTERS = 60
SIZE = 1024
"""Side of the mosaic, pixels."""

TRUTH_COLUMNS: dict[str, tuple[str, str]] = {
    "x": ("pixel", "position on the mosaic, where the centre of the first pixel is 0"),
    "y": ("pixel", "position on the mosaic, where the centre of the first pixel is 0"),
    **{p.name: (p.unit, p.description) for p in PARAMETERS},
    "log_present_mass": (LOG_MASS.unit, "log10 of the present mass, stars and remnants"),
}
"""Unit and description of the columns of the truth."""

CENTRE_DEG = (11.10, 41.56)
"""RA and Dec of the mosaic: the star-forming ring of M31, in the north-east of the disc."""

CATALOG, TRUTH = "catalogue.ecsv", "truth.ecsv"
PRODUCTS = ("clusters.ecsv", "clusters.reg", "demo.png")


@dataclass(frozen=True)
class Demonstration:
    """Where the demonstration put its files, and how well it did.

    Attributes
    ----------
    images : dict of str to Path
        FITS mosaics by band.
    catalog, truth_table, table, regions, figure : Path
    measured : Table
        The table that `praesepe.predict` returned.
    truth : (N, 3) ndarray
        Log age, log mass, log r_h.
    """

    images: dict[str, Path]
    catalog: Path
    truth_table: Path
    table: Path
    regions: Path
    figure: Path
    measured: Table
    truth: np.ndarray

    @property
    def percentiles(self) -> dict[int, np.ndarray]:
        """Percentiles 16, 50 and 84 of log age, log mass and log r_h: (N, 3) each."""
        return {p: _percentile(self.measured, p) for p in (16, 50, 84)}

    def summary(self) -> list[tuple[str, float, float, float]]:
        """For every parameter: label, median residual, scatter (dex), share within 68 %."""
        low, middle, high = (self.percentiles[p] for p in (16, 50, 84))
        known = np.isfinite(middle).all(axis=1)
        residual = (middle - self.truth)[known]
        inside = ((low <= self.truth) & (self.truth <= high))[known]
        centre = np.median(residual, axis=0)
        scatter = 1.4826 * np.median(np.abs(residual - centre), axis=0)
        names = ("log age", "log mass", "log r_h")
        columns = (values.tolist() for values in (centre, scatter, inside.mean(axis=0)))
        return list(zip(names, *columns, strict=True))


def run_demo(
    out: str | Path, *, model: Any = MODEL, overwrite: bool = False, n_clusters: int = N_CLUSTERS
) -> Demonstration:
    """Make mock mosaics and a catalogue, measure them and draw the figure.

    Parameters
    ----------
    out : path
        Folder for all files; made if needed.
    model : Estimator, str or Path
        The model to show; its survey is simulated.
    overwrite : bool
        Replace the files of an earlier demonstration.
    n_clusters : int

    Returns
    -------
    Demonstration

    Raises
    ------
    InputError
        Where the folder holds files of these names and `overwrite` is False.
    """
    from praesepe.network.estimator import Estimator
    from praesepe.plots import plot_demo
    from praesepe.predict import predict

    estimator = model if isinstance(model, Estimator) else Estimator.load(model)
    folder = _folder(out, estimator.survey, overwrite=overwrite)
    images, catalog, truth = make_inputs(folder, estimator.survey, n_clusters=n_clusters, seed=SEED)
    table, regions, picture = (folder / name for name in PRODUCTS)
    measured = predict(
        estimator, images, catalog, out=table, regions=regions, overwrite=True,
        command=f"praesepe demo --out {folder}",
    )  # fmt: skip
    done = Demonstration(
        images, catalog, folder / TRUTH, table, regions, picture, measured, _stacked(truth)
    )
    figure = plot_demo(
        _stamps(images, estimator.survey, measured),
        estimator.survey,
        done.truth,
        done.percentiles,
    )
    figure.savefig(picture, dpi=150)
    return done


def make_inputs(
    folder: Path, survey: Survey | str, *, n_clusters: int = N_CLUSTERS, seed: int = SEED
) -> tuple[dict[str, Path], Path, dict[str, np.ndarray]]:
    """Write a mock mosaic per band, a catalogue of its clusters, and the truth about them.

    As in training, each band has a zero point, blur and registration that are slightly off.

    Parameters
    ----------
    folder : Path
        Must exist; files in it are replaced.
    survey : Survey or str
    n_clusters : int
    seed : int

    Returns
    -------
    images : dict of str to Path
        Single-band FITS files with calibrated headers, by band name.
    catalog : Path
        ECSV with ``id``, ``ra``, ``dec``. Beside it lies ``truth.ecsv``, with the true parameters.
    truth : dict of (N,) ndarray
        ``x``, ``y`` (zero-based), ``log_age``, ``log_mass``, ``log_rh``, ``log_present_mass``.
    """
    from astropy.table import Column, Table

    from praesepe.sky.simulator import make_mosaic

    survey = load_survey(survey)
    planes, truth = make_mosaic(survey, n_clusters=n_clusters, size=SIZE, seed=seed)
    wcs = mosaic_wcs(survey, SIZE)
    images = {}
    for band in survey.bands:
        images[band.name] = folder / _image_name(survey, band)
        mosaic_hdus(planes[band.name], band, wcs, survey).writeto(images[band.name], overwrite=True)
    ra, dec = wcs.pixel_to_world_values(truth["x"], truth["y"])
    catalog = folder / CATALOG
    table = Table(
        {
            "id": [f"mock-{i:03d}" for i in range(1, n_clusters + 1)],
            "ra": Column(np.round(ra, 7), unit="deg"),
            "dec": Column(np.round(dec, 7), unit="deg"),
        }
    )
    table.write(catalog, format="ascii.ecsv", overwrite=True)
    for name, values in truth.items():
        unit, description = TRUTH_COLUMNS[name]
        table[name] = Column(values, unit=unit, description=description)
    table.write(folder / TRUTH, format="ascii.ecsv", overwrite=True)
    return images, catalog, truth


def mosaic_wcs(survey: Survey, size: int) -> WCS:
    """Tangential projection on M31, north up, at the survey's pixel scale."""
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.crval = list(CENTRE_DEG)
    wcs.wcs.crpix = [size / 2 + 0.5, size / 2 + 0.5]
    scale_deg = survey.pixel_scale_arcsec / 3600
    wcs.wcs.cd = [[-scale_deg, 0], [0, scale_deg]]
    wcs.wcs.radesys = "ICRS"
    wcs.array_shape = (size, size)
    return wcs


def mosaic_hdus(plane: np.ndarray, band: Band, wcs: WCS, survey: Survey) -> fits.HDUList:
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
            "EXPTIME": (band.exposure_s, "[s]"),
        }
    )
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


def _image_name(survey: Survey, band: Band) -> str:
    return f"{survey.name}_{band.name.lower()}.fits"


def _pivot_angstrom(band: Band) -> float:
    from praesepe.stars.passbands import load_passband

    return float(load_passband(band.filter).pivot_angstrom)


def _folder(out: str | Path, survey: Survey, *, overwrite: bool) -> Path:
    """The folder, made if needed; refuse to replace files unless that is wanted."""
    folder = Path(out).expanduser()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; --out names a folder.")
    names = [_image_name(survey, band) for band in survey.bands] + [CATALOG, TRUTH, *PRODUCTS]
    existing = [name for name in names if (folder / name).exists()]
    if existing and not overwrite:
        raise InputError(
            f"{folder} already holds {', '.join(existing)}; choose another folder or allow "
            "overwriting (--overwrite)."
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _stamps(images: dict[str, Path], survey: Survey, measured: Table) -> np.ndarray:
    """Stamps (N, band, S, S) of the catalogue, e-/s, for the figure."""
    from praesepe.images.cutouts import extract_stamps
    from praesepe.images.mosaic import read_mosaic

    x, y = (np.asarray(measured[name], dtype=float) - 1 for name in ("x", "y"))
    return extract_stamps(read_mosaic(images, survey), x, y, survey.stamp_size).images


def _percentile(table: Table, percentile: int) -> np.ndarray:
    """Log age, log mass and log r_h (N, 3) from a table's columns; NaN where masked."""
    names = [f"{name}_p{percentile}" for name in ("log_age", "log_mass", "rh_arcsec")]
    age, mass, radius = (np.ma.filled(np.ma.asarray(table[name]), np.nan) for name in names)
    return np.stack([age, mass, np.log10(radius)], axis=-1)


def _stacked(truth: dict[str, np.ndarray]) -> np.ndarray:
    return np.stack([np.asarray(truth[p.name], dtype=float) for p in PARAMETERS], axis=-1)
