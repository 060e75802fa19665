"""Figures of stellar models: isochrones and the light of populations; axes in, axes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from praesepe.errors import must_be
from praesepe.plots.style import BLUE, GREY, INK, ORANGE, STYLE, new_figure, tidy
from praesepe.stars import IsochroneGrid, Passband, StellarTable, build_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AGES = (6.8, 7.5, 8.2, 9.0, 10.0)
POPULATION_MSUN = 1e6
FAINTEST = 12.0
"""Absolute AB magnitude at the foot of the color-magnitude diagram."""
LEAP_HR, LEAP_COLOR = (0.2, 0.5), (1.5, 1.5)
"""Steps (dex, mag) between neighbouring stars that are no evolution: end of the giant branches."""
Curve = tuple[np.ndarray, np.ndarray]
OTHER: Any = {"color": GREY, "lw": 0.9, "zorder": 1}
"""How the model drawn for comparison looks."""


def plot_hr_diagram(
    ax: Axes, grid: IsochroneGrid, *, metallicity: float, compare: IsochroneGrid | None = None
) -> Axes:
    """Isochrones in temperature and luminosity, living stars and bright white dwarfs.

    Parameters
    ----------
    ax : Axes
    grid : IsochroneGrid
    metallicity : float
        Mass fraction of metals; the nearest one is drawn.
    compare : IsochroneGrid, optional
        Drawn in grey behind.
    """

    def curve(model: IsochroneGrid, age_index: int) -> Curve:
        one = model.isochrone(age_index, model.nearest_metallicity(metallicity))
        return _broken(one.luminous, one.log_teff, one.log_l, jump=LEAP_HR)

    _plot_isochrones(ax, grid, compare, curve)
    ax.set(
        xlabel=r"$\log_{10}(T_\mathrm{eff}/\mathrm{K})$",
        ylabel=r"$\log_{10}(L/\mathrm{L}_\odot)$",
        xlim=(5.2, 3.3),
        ylim=(-3.5, 6.5),
    )
    ax.legend(title=r"$\log_{10}(t/\mathrm{yr})$", fontsize=7, title_fontsize=7, loc="lower left")
    return ax


def plot_color_magnitude(
    ax: Axes, table: StellarTable, *, metallicity: float, compare: StellarTable | None = None
) -> Axes:
    """Isochrones in the color of the first two bands and the magnitude of the second, AB.

    Parameters are those of `plot_hr_diagram`, with tables of at least two bands, the same ones.
    """

    def curve(model: StellarTable, age_index: int) -> Curve:
        column = int(np.abs(np.log10(model.metallicity / metallicity)).argmin())
        blue, red = (model.mag_ab[age_index, column, :, i] for i in (0, 1))
        with np.errstate(invalid="ignore"):
            color = blue - red
        return _broken(np.isfinite(color), color, red, jump=LEAP_COLOR)

    drawn = _plot_isochrones(ax, table, compare, curve)
    brightest = min((np.nanmin(magnitude) for _, magnitude in drawn), default=-8.0)
    blue, red = map(_short, table.band_names[:2])
    ax.set(
        xlabel=f"{blue} − {red}  [AB mag]",
        ylabel=f"$M$ ({red})  [AB mag]",
        ylim=(FAINTEST, brightest - 1.0),
    )
    return ax


def plot_integrated(
    ax: Axes,
    table: StellarTable,
    *,
    metallicity: float,
    name: str,
    compare: StellarTable | None = None,
) -> Axes:
    """Absolute magnitude of 10^6 solar masses of stars against age, one line per band.

    Parameters
    ----------
    ax : Axes
    table : StellarTable
    metallicity : float
    name : str
        What the model is called.
    compare : StellarTable, optional
        Drawn dashed, as ``sse``.
    """
    colors = _band_colors(len(table.band_names))
    for one, style in ((table, "-"), (compare, "--")):
        if one is None:
            continue
        light = np.array(
            [one.integrated_magnitudes(a, metallicity, POPULATION_MSUN) for a in one.log_age]
        )
        for values, color, band in zip(light.T, colors, table.band_names, strict=True):
            label = _short(band) if style == "-" else None
            ax.plot(one.log_age, values, style, color=color, lw=1.2, label=label)
    if compare is not None:
        for style, label in (("-", name), ("--", "sse")):
            ax.plot([], [], style, color=INK, label=label)
    ax.legend(fontsize=7)
    ax.set(
        xlabel=r"$\log_{10}(t/\mathrm{yr})$",
        ylabel=r"$M$ of $10^6\,\mathrm{M}_\odot$  [AB mag]",
    )
    ax.yaxis.set_inverted(True)
    return ax


def figure_stellar_model(
    grid: IsochroneGrid,
    passbands: Sequence[Passband],
    *,
    name: str,
    metallicity: float | None = None,
    compare: IsochroneGrid | None = None,
) -> Figure:
    """HR diagram, color-magnitude diagram (for two bands or more), and light against age.

    Parameters
    ----------
    grid : IsochroneGrid
    passbands : sequence of Passband
        At least one; the color is that of the first two.
    name : str
        What the model is called.
    metallicity : float, optional
        Mass fraction of metals; default: the one nearest 0.0142.
    compare : IsochroneGrid, optional
        A model to draw beside it.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        Without a band, or for a metallicity outside the models.
    """
    import matplotlib as mpl

    if not passbands:
        raise must_be("passbands", passbands, "at least one filter")
    solar = np.abs(np.log10(grid.metallicity / 0.0142)).argmin()
    z = float(grid.metallicity[grid.nearest_metallicity(metallicity) if metallicity else solar])
    if compare is not None:
        # For a fair comparison only the embedded model's nearest metallicity is computed.
        other = build_table(passbands, metallicities=[z], grid=compare)
        other_z = float(other.metallicity[0])
    else:
        other, other_z = None, z
    table = build_table(passbands, metallicities=[z], grid=grid)
    with mpl.rc_context(STYLE):
        panels = 3 if len(passbands) > 1 else 2
        drawing = new_figure(3.5 * panels, 3.7)
        axes = list(drawing.subplots(1, panels))
        plot_hr_diagram(axes[0], grid, metallicity=z, compare=compare)
        if panels == 3:
            plot_color_magnitude(axes[1], table, metallicity=z, compare=other)
        plot_integrated(axes[-1], table, metallicity=z, name=name, compare=other)
        title = f"{name}, Z = {z:g}"
        if compare is not None:
            title += f"     (grey, dashed: sse, Z = {other_z:g})"
        drawing.suptitle(title, color=INK, fontsize=10)
        for ax in axes:
            tidy(ax)
    return drawing


def _plot_isochrones(
    ax: Axes, model: Any, compare: Any, curve: Callable[[Any, int], Curve]
) -> list[Curve]:
    """Isochrones from blue (young) to red (old), before those of another model in grey."""
    from matplotlib import colormaps

    ages = _ages_to_show(model.log_age)
    if compare is not None:
        for index in _indices(compare.log_age, ages):
            ax.plot(*curve(compare, index), **OTHER)
    curves = [curve(model, index) for index in _indices(model.log_age, ages)]
    shades = colormaps["turbo"](np.linspace(0.08, 0.92, len(ages)))
    for age, xy, shade in zip(ages, curves, shades, strict=True):
        ax.plot(*xy, color=tuple(shade), lw=1.2, label=f"{age:.1f}")
    return curves


def _ages_to_show(known: np.ndarray) -> list[float]:
    """The ages of `AGES` that a model has, or up to five of its own where it has too few."""
    usual = [age for age in AGES if _indices(known, [age])]
    if len(usual) > 1:
        return usual
    some = np.unique(np.linspace(0, len(known) - 1, 5).round().astype(int))
    return [float(age) for age in known[some]]


def _indices(known: np.ndarray, ages: Sequence[float]) -> list[int]:
    """Where the ages stand that a model has within 0.05 dex."""
    nearest = [int(np.abs(known - age).argmin()) for age in ages]
    return [i for i, age in zip(nearest, ages, strict=True) if abs(known[i] - age) < 0.051]


def _broken(shown: np.ndarray, x: np.ndarray, y: np.ndarray, *, jump: tuple[float, float]) -> Curve:
    """Columns with a gap where stars are dark or leap, so that no line crosses it."""
    leap = np.zeros(len(shown), dtype=bool)
    with np.errstate(invalid="ignore"):
        leap[1:] = (np.abs(np.diff(x)) > jump[0]) | (np.abs(np.diff(y)) > jump[1])
    shown = shown & ~leap
    return np.where(shown, x, np.nan), np.where(shown, y, np.nan)


def _band_colors(n: int) -> list[Any]:
    from matplotlib import colormaps

    if n <= 3:
        return [BLUE, ORANGE, "#8c2d3f"][:n]
    return list(colormaps["turbo"](np.linspace(0.05, 0.95, n)))


def _short(band: str) -> str:
    """The filter's own name: ``wfc3_uvis_f336w`` is F336W."""
    return band.split("_")[-1].upper()
