"""Figures: axes in, axes out; nothing global is touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from praesepe.quantities import LOG_AGE, LOG_MASS, PARAMETERS, Quantity
from praesepe.stars.passbands import load_passband
from praesepe.survey import Survey

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY, INK = "#2f6690", "#d1691e", "#4a8c5c", "#9aa3ab", "#22282e"
"""Okabe and Ito's order, softened: distinct for colour-blind readers, and in print."""

ULTRAVIOLET = 4000.0
"""Pivot wavelength (Angstrom) below which an eye would hardly see a band."""

STYLE: Any = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.titlesize": "medium",
    "font.size": 9.0,
    "legend.frameon": False,
    "xtick.color": INK,
    "ytick.color": INK,
}
"""Applied with `matplotlib.rc_context`, so that the user's own settings stay as they are."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure (inches) that belongs to no graphical backend."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def _tidy(ax: Axes) -> None:
    """Small ticks, and no frame where there is no scale."""
    ax.tick_params(labelsize=8, colors=INK, labelcolor=INK)
    ax.spines[["top", "right"]].set_visible(False)


def _dots(n: int) -> dict[str, Any]:
    """Style of n small dots: the more there are, the more transparent."""
    return {"mew": 0, "alpha": float(np.clip(1000 / n, 0.15, 0.8)), "rasterized": True}


def rgb(stamp: np.ndarray, survey: Survey, *, stretch: float | None = None) -> np.ndarray:
    """Colour picture close to what an eye would see, after Lupton et al. (2004, PASP 116, 133).

    Each band is brought to the brightness of an A0 star (Vega magnitudes), so that such a star is
    white; the sky (the 5th percentile) is subtracted. Red is the reddest band. Of two and three
    bands, green is a mean of the neighbours, since the filters of such surveys leave wide gaps; an
    ultraviolet band enters the blue by less than a third.

    Parameters
    ----------
    stamp : ndarray, shape (band, y, x)
        e-/s, bands in the survey's order, from blue to red. Pixels missing in a band (NaN) are
        dark.
    survey : Survey
        Zero points and filters of the bands.
    stretch : float, optional
        Brightness up to which the scale is linear: e-/s of an A0 star in the reddest band. By
        default five times that band's `asinh_scale`.

    Returns
    -------
    ndarray of uint8, shape (y, x, 3)
        A single band is grey.

    Raises
    ------
    ValueError
        For a stamp of another shape.
    InputError
        For a survey whose filters cannot be read.
    """
    from astropy.visualization import make_lupton_rgb

    bands, stamp = survey.bands, np.asarray(stamp, dtype=np.float64)
    if stamp.ndim != 3 or stamp.shape[0] != len(bands):
        raise ValueError(f"stamp of shape {stamp.shape}; expected ({len(bands)}, height, width)")
    if stretch is None:
        stretch = 5 * bands[-1].asinh_scale
    black = -0.1 * stretch
    curves = [load_passband(band.filter) for band in bands]
    vega = np.array([b.zero_point_ab + c.vega_minus_ab for b, c in zip(bands, curves, strict=True)])
    weights = 10 ** (0.4 * (vega[-1] - vega))
    planes = [w * _sky_subtracted(plane) for w, plane in zip(weights, stamp, strict=True)]
    red, middle, blue = planes[-1], planes[len(planes) // 2], planes[0]
    green = middle if len(planes) > 3 else (middle + red) / 2
    if len(planes) < 3:
        green = (blue + red) / 2
    elif curves[0].pivot_angstrom < ULTRAVIOLET:
        blue = 0.3 * blue + 0.7 * middle
    missing = ~np.isfinite(stamp).all(0)
    red, green, blue = (np.where(missing, black, plane) for plane in (red, green, blue))
    with np.errstate(divide="ignore", invalid="ignore"):  # astropy divides 0 by 0 where it is dark
        return make_lupton_rgb(red, green, blue, minimum=black, stretch=stretch, Q=16)


def _sky_subtracted(plane: np.ndarray) -> np.ndarray:
    good = np.isfinite(plane)
    return plane - (np.percentile(plane[good], 5) if good.any() else 0.0)


def plot_recovered(
    ax: Axes,
    truth: np.ndarray,
    p16: np.ndarray,
    p50: np.ndarray,
    p84: np.ndarray,
    parameter: Quantity,
    *,
    colour: str = BLUE,
) -> Axes:
    """Posterior median against truth; error bars where there are few enough to see them.

    Parameters
    ----------
    ax : Axes
    truth, p16, p50, p84 : (N,) ndarray
    parameter : Quantity
    colour : str

    Returns
    -------
    Axes
    """
    few = len(truth) <= 200
    low, high = _limits(truth, p16, p84) if few else _limits(truth, p50)
    _tidy(ax)
    ax.plot([low, high], [low, high], color=INK, lw=0.8, zorder=1)
    if few:
        errors = np.clip([p50 - p16, p84 - p50], 0, None)
        ax.errorbar(
            truth, p50, yerr=errors, fmt="o", ms=3.6, mew=0.4, mec="white", mfc=colour,
            ecolor=colour, elinewidth=0.7, alpha=0.9, zorder=2,
        )  # fmt: skip
    else:
        ax.plot(truth, p50, ".", ms=3, color=colour, zorder=2, **_dots(len(truth)))
    ax.set(
        xlim=(low, high),
        ylim=(low, high),
        xlabel=f"true {parameter.axis_label}",
        ylabel="recovered",
    )
    ax.set_aspect("equal", adjustable="box")
    return ax


def plot_residuals(
    ax: Axes, truth: np.ndarray, residual: np.ndarray, *, bins: int = 14, colour: str = ORANGE
) -> Axes:
    """Residuals against a true parameter, with the running median and 16 to 84 % band.

    Parameters
    ----------
    ax : Axes
    truth, residual : (N,) ndarray
        In dex.
    bins : int
        Bins of equal width; those with fewer than five clusters are left out.
    colour : str

    Returns
    -------
    Axes
    """
    _tidy(ax)
    if len(truth) > 200:
        ax.plot(truth, residual, ".", ms=3, color=GREY, **_dots(len(truth)))
    else:
        ax.plot(truth, residual, "o", ms=3, mew=0, color=GREY, alpha=0.8)
    edges = np.linspace(truth.min(), truth.max() + 1e-9, bins + 1)
    member = np.digitize(truth, edges) - 1
    full = [k for k in range(bins) if (member == k).sum() >= 5]
    if full:
        centres = (edges[:-1] + edges[1:])[full] / 2
        low, middle, high = np.array(
            [np.percentile(residual[member == k], (16, 50, 84)) for k in full]
        ).T
        ax.fill_between(centres, low, high, color=colour, alpha=0.25, lw=0)
        ax.plot(centres, middle, color=colour, lw=1.6)
    ax.axhline(0, color=INK, lw=0.8)
    reach = max(0.1, float(np.percentile(np.abs(residual), 99)))
    ax.set_ylim(-reach, reach)
    return ax


def plot_calibration(ax: Axes, pit: np.ndarray) -> Axes:
    """Share of truths inside central intervals against the intervals' nominal probability.

    Parameters
    ----------
    ax : Axes
    pit : (N, 3) ndarray
        Probability integral transform of each parameter.

    Returns
    -------
    Axes
    """
    _tidy(ax)
    nominal = np.linspace(0, 1, 101)
    scatter = np.sqrt(nominal * (1 - nominal) / max(len(pit), 1))
    ax.fill_between(
        nominal, nominal - 2 * scatter, nominal + 2 * scatter, color=GREY, alpha=0.3, lw=0
    )
    ax.plot([0, 1], [0, 1], color=INK, lw=0.8)
    depth = np.abs(pit - 0.5) * 2  # (N, 3): smallest central interval that holds the truth
    for column, parameter, colour in zip(depth.T, PARAMETERS, (BLUE, ORANGE, GREEN), strict=True):
        held = (column[:, None] <= nominal).mean(axis=0)
        ax.plot(nominal, held, color=colour, lw=1.6, label=parameter.label)
    ax.set(
        xlim=(0, 1),
        ylim=(0, 1),
        xlabel="probability of the interval",
        ylabel="share of truths inside",
    )
    ax.set_aspect("equal", adjustable="box")
    ax.legend(loc="upper left")
    return ax


def plot_pit(
    ax: Axes, pit: np.ndarray, parameter: Quantity, *, bins: int = 20, colour: str = BLUE
) -> Axes:
    """Histogram of the probability integral transform of one parameter; flat if calibrated."""
    _tidy(ax)
    expected = len(pit) / bins
    ax.axhspan(
        expected - 2 * expected**0.5, expected + 2 * expected**0.5, color=GREY, alpha=0.3, lw=0
    )
    ax.hist(pit, bins=np.linspace(0, 1, bins + 1).tolist(), color=colour, alpha=0.8)
    ax.axhline(expected, color=INK, lw=0.8)
    ax.set(xlim=(0, 1), xlabel=f"posterior below truth, {parameter.label}", ylabel="clusters")
    return ax


def plot_posterior(
    axes: np.ndarray,
    samples: np.ndarray,
    truth: Sequence[float] | None = None,
    *,
    colour: str = BLUE,
) -> np.ndarray:
    """Corner plot of one cluster's posterior.

    Parameters
    ----------
    axes : (3, 3) ndarray of Axes
        Those above the diagonal are switched off.
    samples : (n_samples, 3) ndarray
        Log age, log mass and log r_h.
    truth : sequence of 3 floats, optional
        Marked with lines.
    colour : str

    Returns
    -------
    (3, 3) ndarray of Axes
    """
    for row, vertical in enumerate(PARAMETERS):
        for column, horizontal in enumerate(PARAMETERS):
            ax = axes[row, column]
            if column > row:
                ax.set_axis_off()
                continue
            _tidy(ax)
            if column == row:
                ax.hist(samples[:, row], bins=30, color=colour, alpha=0.8)
                ax.set_yticks([])
            else:
                ax.plot(
                    samples[:, column], samples[:, row], ".", ms=2, mew=0, color=colour, alpha=0.4
                )
            if truth is not None:
                ax.axvline(truth[column], color=ORANGE, lw=1)
                if column != row:
                    ax.axhline(truth[row], color=ORANGE, lw=1)
            ax.tick_params(labelbottom=row == len(PARAMETERS) - 1, labelleft=column == 0 != row)
            if row == len(PARAMETERS) - 1:
                ax.set_xlabel(horizontal.axis_label)
            if column == 0 and row > 0:
                ax.set_ylabel(vertical.axis_label)
    return axes


def figure_recovered(truth: np.ndarray, percentiles: np.ndarray) -> Figure:
    """Recovered against true for all parameters, with the residuals below.

    Parameters
    ----------
    truth : (N, 3) ndarray
    percentiles : (3, N, 3) ndarray
        Posterior percentiles 16, 50 and 84.

    Returns
    -------
    Figure
    """
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        figure = new_figure(10, 4.9)
        top, bottom = figure.subplots(2, 3, height_ratios=(3, 1), sharex="col")
        p16, p50, p84 = percentiles
        for i, parameter in enumerate(PARAMETERS):
            plot_recovered(top[i], truth[:, i], p16[:, i], p50[:, i], p84[:, i], parameter)
            top[i].set_aspect("auto")
            top[i].set_xlabel("")
            plot_residuals(bottom[i], truth[:, i], p50[:, i] - truth[:, i])
            bottom[i].set_xlabel(f"true {parameter.axis_label}")
        for ax in (*top[1:], *bottom[1:]):
            ax.set_ylabel("")
        bottom[0].set_ylabel("residual [dex]")
        return figure


def figure_residuals(truth: np.ndarray, residual: np.ndarray) -> Figure:
    """Bias and scatter of every parameter against true age and true mass.

    Parameters
    ----------
    truth, residual : (N, 3) ndarray

    Returns
    -------
    Figure
    """
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        figure = new_figure(8, 6.4)
        grid = figure.subplots(3, 2, sharex="col", sharey="row")
        for i, parameter in enumerate(PARAMETERS):
            for ax, against, k in zip(grid[i], (LOG_AGE, LOG_MASS), (0, 1), strict=True):
                plot_residuals(ax, truth[:, k], residual[:, i])
                if i == len(PARAMETERS) - 1:
                    ax.set_xlabel(f"true {against.axis_label}")
            grid[i, 0].set_ylabel(rf"$\Delta$ {parameter.label} [dex]")
        return figure


def figure_calibration(pit: np.ndarray) -> Figure:
    """Coverage of central intervals, and histograms of the probability integral transform."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        figure = new_figure(9, 4.2)
        parts: Any = figure.subfigures(1, 2, width_ratios=(1.1, 1))
        left, right = parts
        plot_calibration(left.subplots(), pit)
        axes = right.subplots(3, 1, sharex=True)
        for i, (ax, colour) in enumerate(zip(axes, (BLUE, ORANGE, GREEN), strict=True)):
            plot_pit(ax, pit[:, i], PARAMETERS[i], colour=colour)
            ax.set_title(PARAMETERS[i].label, loc="left", fontsize=9)
            ax.set_xlabel("share of the posterior below the truth" if i == 2 else "")
        return figure


def figure_posterior(samples: np.ndarray, truth: Sequence[float] | None = None) -> Figure:
    """Corner plot of one cluster; see `plot_posterior`."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        figure = new_figure(5.2, 5.2)
        plot_posterior(figure.subplots(3, 3, sharex="col"), samples, truth)
        return figure


def plot_demo(
    stamps: np.ndarray,
    survey: Survey,
    truth: np.ndarray,
    percentiles: Mapping[int, np.ndarray],
    *,
    n_rows: int = 2,
    n_columns: int = 8,
) -> Figure:
    """Colour stamps of mock clusters, and all clusters' recovered against true parameters.

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

    measured = np.isfinite(percentiles[50]).all(axis=-1)
    width = 10.0
    height_stamps, height_panels = width / n_columns * n_rows, 3.5
    with mpl.rc_context(STYLE):
        figure = new_figure(width, height_stamps + height_panels)
        parts: Any = figure.subfigures(2, 1, height_ratios=(height_stamps, height_panels))
        top, bottom = parts
        shown = _spread(truth[:, 0], measured, n_rows * n_columns)
        grid = top.subplots(n_rows, n_columns, squeeze=False)
        _plot_stamps(grid, stamps[shown], survey, truth[shown])
        p16, p50, p84 = (percentiles[key][measured] for key in (16, 50, 84))
        true = truth[measured]
        panels = zip(bottom.subplots(1, 3), PARAMETERS, (BLUE, ORANGE, GREEN), strict=True)
        for i, (ax, parameter, colour) in enumerate(panels):
            values = (true[:, i], p16[:, i], p50[:, i], p84[:, i])
            plot_recovered(ax, *values, parameter, colour=colour)
            if i > 0:
                ax.set_ylabel("")
            _note_scatter(ax, p50[:, i] - true[:, i])
        return figure


def _note_scatter(ax: Axes, residual: np.ndarray) -> None:
    """Write median and robust scatter of the residuals into the lower right corner."""
    if residual.size == 0:
        return
    median = np.median(residual)
    scatter = 1.4826 * np.median(np.abs(residual - median))
    text = f"median {median:+.2f}\nscatter {scatter:.2f} dex"
    ax.text(0.96, 0.05, text, transform=ax.transAxes, ha="right", va="bottom", fontsize=8)


def _plot_stamps(grid: np.ndarray, stamps: np.ndarray, survey: Survey, truth: np.ndarray) -> None:
    """Fill a grid of axes with colour pictures, each labelled with its true age and mass."""
    engine = grid.flat[0].figure.figure.get_layout_engine()
    if engine is not None:
        engine.set(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    for ax in grid.flat:
        ax.set_axis_off()
    for ax, stamp, (log_age, log_mass, _) in zip(grid.flat, stamps, truth, strict=False):
        ax.imshow(rgb(stamp, survey), origin="lower", interpolation="nearest")
        label = f"{years(log_age)}\n{10**log_mass:,.0f} M$_\\odot$"
        ax.text(
            0.05, 0.95, label, transform=ax.transAxes, color="white", fontsize=7.5, va="top",
            linespacing=1.15,
        )  # fmt: skip
    side = stamps.shape[-1]
    bar = 1 / survey.pixel_scale_arcsec
    first = grid.flat[0]
    first.plot([0.06 * side, 0.06 * side + bar], [0.07 * side] * 2, color="white", lw=1.6)
    first.text(0.06 * side + bar / 2, 0.1 * side, "1″", color="white", fontsize=7.5, ha="center")


def years(log_age: float) -> str:
    """Age in words of two digits: ``12 Myr``, ``3.4 Gyr``."""
    value, unit = (10 ** (log_age - 9), "Gyr") if log_age >= 9 else (10 ** (log_age - 6), "Myr")
    return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"


def _spread(values: np.ndarray, allowed: np.ndarray, count: int) -> np.ndarray:
    """Indices of `count` allowed entries, evenly spread in rank, in ascending order."""
    order = np.flatnonzero(allowed)[np.argsort(values[allowed], kind="stable")]
    if len(order) <= count:
        return order
    return order[np.round(np.linspace(0, len(order) - 1, count)).astype(int)]


def _limits(*values: np.ndarray) -> tuple[float, float]:
    """Common limits with a margin of 4 %."""
    finite = np.concatenate([v[np.isfinite(v)] for v in values])
    if finite.size == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    margin = 0.04 * max(high - low, 0.1)
    return low - margin, high + margin
