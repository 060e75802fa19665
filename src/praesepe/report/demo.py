"""The demonstration: a mock mosaic of M31, measured with the shipped model as a user would."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from praesepe.evaluation.assessment import Evaluation
from praesepe.evaluation.metrics import metrics_of
from praesepe.evaluation.recovery import Recovery, compare
from praesepe.files import output_folder, replace_set
from praesepe.inference.columns import ModelContext
from praesepe.locks import working_folder
from praesepe.mocks.mosaic_files import TRUTH, image_name, simulate_mosaic
from praesepe.progress import Progress, Setup
from praesepe.quantities import LOG_AGE, Context, get
from praesepe.statistics.residuals import bias, robust_scatter

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.figure import Figure, SubFigure

    from praesepe.network.estimator import Estimator
    from praesepe.survey import Survey

MODEL = "phat"
SEED = 20190103
N_CLUSTERS = 60
SIZE = 1024
"""Side of the mosaic, pixels."""

FIELD_DENSITY = 20.0
"""Of the star field, initial Msun/pc²."""

CATALOG = "catalog.ecsv"
PRODUCTS = ("clusters.ecsv", "clusters.reg", "demo.png")


@dataclass(frozen=True, repr=False)
class Demonstration:
    """Where the demonstration put its files, and how well it did.

    Attributes
    ----------
    images : dict of str to Path
        FITS mosaics by band.
    catalog, truth_table, table, regions, figure : Path
    measured : Table
        The table that `praesepe.predict` returned.
    evaluation : Evaluation
        Of the clusters that were measured, all in one bin.
    """

    images: dict[str, Path]
    catalog: Path
    truth_table: Path
    table: Path
    regions: Path
    figure: Path
    measured: Table
    evaluation: Evaluation

    def __repr__(self) -> str:
        return f"<Demonstration in {self.figure.parent}: {len(self.measured)} clusters measured>"


def run_demo(
    out: str | Path,
    *,
    model: Any = MODEL,
    overwrite: bool = False,
    n_clusters: int = N_CLUSTERS,
    progress: Progress | None = None,
    setup: Setup | None = None,
) -> Demonstration:
    """Make mock mosaics and a catalog, measure them and draw the figure.

    As in training, each band has a zero point, blur and registration that are slightly off.

    Parameters
    ----------
    out : path
        Folder for all files; made if needed.
    model : Estimator, str or Path
        The model to show; its survey is simulated.
    overwrite : bool
        Replace the files of an earlier demonstration.
    n_clusters : int
    progress : callable, optional
        Called with (clusters measured, all clusters).
    setup : callable, optional
        Called with (stage, done, total) before, as the mosaic is made.

    Returns
    -------
    Demonstration

    Raises
    ------
    InputError
        Where the folder holds files of these names and `overwrite` is False, or files of the
        model's training are gone or hold something else.
    """
    from praesepe.images.catalog.tables import write_table
    from praesepe.images.mosaic.cutouts import extract_stamps
    from praesepe.inference.prediction import predict
    from praesepe.network.estimator import Estimator
    from praesepe.sky.contents import check_contents, without_missing_stars

    estimator = Estimator.load(model)
    survey = without_missing_stars(estimator.survey)
    check_contents(survey, estimator.card.hashes.model_dump(), model=estimator.name)
    names = [image_name(survey, band) for band in survey.bands]
    files = [*names, TRUTH, CATALOG, *PRODUCTS]
    with working_folder(out):
        folder = output_folder(out, files, overwrite=overwrite)
        with replace_set(folder, files) as part:
            mosaic = simulate_mosaic(
                survey,
                n=n_clusters,
                size=SIZE,
                seed=SEED,
                density=FIELD_DENSITY,
                progress=None if setup is None else partial(setup, "mosaic"),
                setup=setup,
            ).save(part)
            write_table(mosaic.truth["id", "ra", "dec"], part / CATALOG)
            table, regions, picture = (part / name for name in PRODUCTS)
            usual = [name for name in survey.network.catalog_prior if name in estimator.infers]
            typed = ["praesepe", "demo", "--out", folder, "--model", model, "--n", n_clusters]
            result = predict(
                estimator, mosaic.images, part / CATALOG, out=table, regions=regions,
                keep="draws", command=shlex.join(map(str, typed)),
                progress=progress, prior=dict.fromkeys(usual, "uniform"),
                known=_known(estimator, mosaic.truth),
            )  # fmt: skip
            known = np.isfinite(result.samples).all(axis=(1, 2))
            recovery = _recovery(estimator, mosaic.truth[known], result.samples[known])
            x, y = (np.asarray(result[name][known], dtype=float) - 1 for name in ("x", "y"))
            stamps = extract_stamps(result.observation, x, y, survey.stamp_size).images
            figure_demo(stamps, survey, recovery).savefig(picture, dpi=150)
        everything = metrics_of(recovery, estimator.card.priors)["all"]
    evaluation = Evaluation({"provenance": dict(result.meta), "all": everything}, recovery)
    return Demonstration(
        images={band: folder / image.name for band, image in mosaic.images.items()},
        catalog=folder / CATALOG,
        truth_table=folder / TRUTH,
        table=folder / table.name,
        regions=folder / regions.name,
        figure=folder / picture.name,
        measured=result.to_table(),
        evaluation=evaluation,
    )


def _known(estimator: Estimator, truth: Table) -> dict[str, float]:
    """What must be told of the mosaic's galaxy."""
    told = {"foreground_a_v": "foreground_a_v", "log_distance": "distance_pc"}
    wanted = [told[one.name] for one in estimator.card.conditions if one.name in told]
    return {name: float(np.mean(truth[name])) for name in wanted if name in truth.colnames}


def _recovery(estimator: Estimator, truth: Table, samples: np.ndarray) -> Recovery:
    """What was measured of clusters beside their truth."""
    context = ModelContext(estimator)
    return compare(
        estimator.infers,
        np.stack([_truth(truth, name, context) for name in estimator.infers], axis=-1),
        samples,
        estimator.card.priors,
        log_prob=np.full(len(samples), np.nan),
        probabilities={},
        extra={},
        generator=np.random.default_rng(SEED),
    )


def figure_demo(stamps: np.ndarray, survey: Survey, recovery: Recovery) -> Figure:
    """Color stamps of mock clusters, and all clusters' recovered against true quantities.

    Parameters
    ----------
    stamps : (N, band, S, S) ndarray
        e-/s.
    survey : Survey
    recovery : Recovery
        Of the N clusters. The stamps shown are spread over their ages (or their first quantity),
        youngest first.
    """
    import matplotlib as mpl

    from praesepe.plots.style import STYLE, new_figure

    n_rows, n_columns = 2, 8
    heights = 10 / n_columns * n_rows, 3.5  # of stamps and of panels, inches
    with mpl.rc_context(STYLE):
        figure = new_figure(10, sum(heights))
        parts: Any = figure.subfigures(2, 1, height_ratios=heights)
        first = recovery.names.index(LOG_AGE.name) if LOG_AGE.name in recovery.names else 0
        order = np.argsort(recovery.truth[:, first], kind="stable")
        count = min(n_rows * n_columns, len(order))
        shown = order[np.round(np.linspace(0, len(order) - 1, count)).astype(int)]
        grid = parts[0].subplots(n_rows, n_columns, squeeze=False)
        labels = [
            "\n".join(
                quantity.value_text(value, digits=2)
                for quantity, value in zip(recovery.quantities[:2], values, strict=False)
            )
            for values in recovery.truth[shown]
        ]
        _draw_stamps(grid, stamps[shown], survey, labels)
        _draw_recovery(parts[1], recovery)
        return figure


def _draw_stamps(grid: np.ndarray, stamps: np.ndarray, survey: Survey, labels: list[str]) -> None:
    """Fill a grid of axes with pictures, each labelled."""
    from praesepe.plots.stamps import color_scale, plot_scale_bar, plot_stamp

    engine = grid.flat[0].figure.figure.get_layout_engine()
    if engine is not None:
        engine.set(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    scale = color_scale(survey.bands)
    for ax in grid.flat:
        ax.set_axis_off()
    for ax, stamp, label in zip(grid.flat, stamps, labels, strict=False):
        plot_stamp(ax, stamp, scale, label=label)
    if len(stamps):
        length = 1 / survey.pixel_scale_arcsec
        plot_scale_bar(grid.flat[0], length, "1″", side_px=stamps.shape[-1])


def _draw_recovery(figure: SubFigure, recovery: Recovery) -> None:
    """A panel for every quantity, with bias and scatter in its corner."""
    from praesepe.plots.recovery import plot_categories, plot_recovered
    from praesepe.plots.style import color_of

    truth = recovery.truth
    axes = figure.subplots(1, len(recovery.names), squeeze=False)[0]
    for i, (ax, quantity) in enumerate(zip(axes, recovery.quantities, strict=True)):
        if quantity.is_categorical:
            plot_categories(ax, truth[:, i], recovery.probabilities[quantity.name], quantity)
            continue
        plot_recovered(ax, truth[:, i], recovery.percentiles[..., i], quantity, color=color_of(i))
        if i > 0:
            ax.set_ylabel("")
        if len(truth):
            residual, unit = recovery.residual[:, i], quantity.residual_unit
            note = f"bias {bias(residual):+.2f}\nscatter {robust_scatter(residual):.2f} {unit}"
            ax.text(0.96, 0.05, note, transform=ax.transAxes, ha="right", va="bottom", fontsize=8)


def _truth(table: Table, name: str, context: Context) -> np.ndarray:
    """True values of a quantity: a column of the table of truth, or derived from its columns."""
    if name in table.colnames:
        values, categories = np.asarray(table[name]), get(name).categories
        named = categories and values.dtype.kind == "U"
        return np.array([categories.index(v) for v in values] if named else values, dtype=float)
    sources = {source: _truth(table, source, context) for source in get(name).sources}
    return get(name).derived(sources, context)
