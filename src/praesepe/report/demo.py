"""The demonstration: a mock mosaic of M31, measured with the shipped model as a user would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from praesepe.files import output_folder
from praesepe.mocks.mosaic_files import image_name, simulate_mosaic
from praesepe.quantities import LOG_AGE, LOG_MASS, PARAMETERS
from praesepe.statistics import bias, interval_coverage, robust_scatter
from praesepe.survey import Survey

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.figure import Figure, SubFigure

MODEL = "phat"
SEED = 20190103
N_CLUSTERS = 60
SIZE = 1024
"""Side of the mosaic, pixels."""

FIELD_DENSITY = 20.0
"""Of the star field, initial Msun/pc²."""

TRUTH_COLUMNS = ("x", "y", *(p.name for p in PARAMETERS), "log_present_mass")

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
        inside = interval_coverage(self.truth[known], low[known], high[known])
        names = ("log age", "log mass", "log r_h")
        columns = (values.tolist() for values in (bias(residual), robust_scatter(residual), inside))
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

    estimator = model if isinstance(model, Estimator) else Estimator.load(model)
    names = [image_name(estimator.survey, band) for band in estimator.survey.bands]
    folder = output_folder(out, [*names, CATALOG, TRUTH, *PRODUCTS], overwrite=overwrite)
    images, catalog, truth = make_inputs(folder, estimator.survey, n_clusters=n_clusters, seed=SEED)
    table, regions, picture = (folder / name for name in PRODUCTS)
    measured = predict(
        estimator, images, catalog, out=table, regions=regions, overwrite=True,
        command=f"praesepe demo --out {folder}",
    ).to_table()  # fmt: skip
    done = Demonstration(
        images, catalog, folder / TRUTH, table, regions, picture, measured, _stacked(truth)
    )
    stamps = _stamps(images, estimator.survey, measured)
    figure_demo(stamps, estimator.survey, done.truth, done.percentiles).savefig(picture, dpi=150)
    return done


def figure_demo(
    stamps: np.ndarray,
    survey: Survey,
    truth: np.ndarray,
    percentiles: Mapping[int, np.ndarray],
    *,
    n_rows: int = 2,
    n_columns: int = 8,
) -> Figure:
    """Color stamps of mock clusters, and all clusters' recovered against true quantities.

    Parameters
    ----------
    stamps : (N, band, S, S) ndarray
        e-/s.
    survey : Survey
    truth : (N, 3) ndarray
        Log age, log mass and log r_h.
    percentiles : mapping of int to (N, 3) ndarray
        Keys 16, 50 and 84; NaN where nothing was measured.
    n_rows, n_columns : int
        Stamps shown: spread over the range of ages, youngest first.

    Returns
    -------
    Figure
    """
    import matplotlib as mpl

    from praesepe.plots.style import STYLE, new_figure

    measured = np.isfinite(percentiles[50]).all(axis=-1)
    width = 10.0
    height_stamps, height_panels = width / n_columns * n_rows, 3.5
    with mpl.rc_context(STYLE):
        figure = new_figure(width, height_stamps + height_panels)
        parts: Any = figure.subfigures(2, 1, height_ratios=(height_stamps, height_panels))
        top, bottom = parts
        shown = _spread(truth[:, 0], measured, n_rows * n_columns)
        grid = top.subplots(n_rows, n_columns, squeeze=False)
        _draw_stamps(grid, stamps[shown], survey, truth[shown])
        values = [percentiles[key][measured] for key in (16, 50, 84)]
        _draw_recovery(bottom, truth[measured], values)
        return figure


def _draw_stamps(grid: np.ndarray, stamps: np.ndarray, survey: Survey, truth: np.ndarray) -> None:
    """Fill a grid of axes with pictures, each labelled with its true age and mass."""
    from praesepe.plots import color_scale, plot_scale_bar, plot_stamp

    engine = grid.flat[0].figure.figure.get_layout_engine()
    if engine is not None:
        engine.set(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    scale = color_scale(survey.bands)
    for ax in grid.flat:
        ax.set_axis_off()
    for ax, stamp, (log_age, log_mass, _) in zip(grid.flat, stamps, truth, strict=False):
        age, mass = LOG_AGE.value_text(log_age, digits=2), LOG_MASS.value_text(log_mass)
        plot_stamp(ax, stamp, scale, label=f"{age}\n{mass}")
    if len(stamps):
        length = 1 / survey.pixel_scale_arcsec
        plot_scale_bar(grid.flat[0], length, "1″", side_px=stamps.shape[-1])


def _draw_recovery(figure: SubFigure, truth: np.ndarray, values: Sequence[np.ndarray]) -> None:
    """A panel for every quantity, with bias and scatter in its corner."""
    from praesepe.plots import plot_recovered
    from praesepe.plots.style import color_of

    low, middle, high = values
    for i, ax in enumerate(figure.subplots(1, len(PARAMETERS))):
        one = (truth[:, i], low[:, i], middle[:, i], high[:, i])
        plot_recovered(ax, *one, PARAMETERS[i], color=color_of(i))
        if i > 0:
            ax.set_ylabel("")
        if len(truth):
            residual = middle[:, i] - truth[:, i]
            note = f"bias {bias(residual):+.2f}\nscatter {robust_scatter(residual):.2f} dex"
            ax.text(0.96, 0.05, note, transform=ax.transAxes, ha="right", va="bottom", fontsize=8)


def _spread(values: np.ndarray, allowed: np.ndarray, count: int) -> np.ndarray:
    """Indices of `count` allowed entries, evenly spread in rank, in ascending order."""
    order = np.flatnonzero(allowed)[np.argsort(values[allowed], kind="stable")]
    if len(order) <= count:
        return order
    return order[np.round(np.linspace(0, len(order) - 1, count)).astype(int)]


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
    from praesepe.images.tables import write_table

    made = simulate_mosaic(
        survey, folder, n=n_clusters, size=SIZE, seed=seed, density=FIELD_DENSITY, overwrite=True
    )
    catalog = folder / CATALOG
    write_table(made.table["id", "ra", "dec"], catalog, overwrite=True)
    truth = {name: np.asarray(made.table[name]) for name in TRUTH_COLUMNS}
    return made.images, catalog, truth


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
