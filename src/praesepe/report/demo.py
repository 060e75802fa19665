"""The demonstration: a mock mosaic of M31, measured with the shipped model as a user would."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from praesepe.files import output_folder
from praesepe.mocks.mosaic_files import image_name, mosaic_wcs, write_images
from praesepe.quantities import LOG_MASS, PARAMETERS
from praesepe.survey import Survey, load_survey

if TYPE_CHECKING:
    from astropy.table import Table

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
    from praesepe.inference.prediction import predict
    from praesepe.network.estimator import Estimator
    from praesepe.plots.axes import plot_demo

    estimator = model if isinstance(model, Estimator) else Estimator.load(model)
    names = [image_name(estimator.survey, band) for band in estimator.survey.bands]
    folder = output_folder(out, [*names, CATALOG, TRUTH, *PRODUCTS], overwrite=overwrite)
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

    from praesepe.mocks.mosaics import make_mosaic

    survey = load_survey(survey)
    planes, known = make_mosaic(survey, n_clusters=n_clusters, size=SIZE, seed=seed)
    truth = {name: known[name] for name in TRUTH_COLUMNS}
    wcs = mosaic_wcs(survey, SIZE)
    images = write_images(folder, survey, planes, wcs)
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
