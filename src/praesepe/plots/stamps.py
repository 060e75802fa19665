"""Pictures of simulated clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from praesepe.plots.axes import new_figure, rgb, years
from praesepe.sky.simulator import Simulator

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GALLERY_LOG_AGE = (6.8, 7.4, 8.0, 8.6, 9.2, 9.8)
GALLERY_LOG_MASS = (2.5, 3.25, 4.0)
GALLERY_RH_ARCSEC = (0.15, 0.5)


def plot_stamp(ax: Axes, stamp: np.ndarray, simulator: Simulator) -> Axes:
    """Show one stamp in colour.

    Parameters
    ----------
    ax : Axes
        Where it is drawn.
    stamp : ndarray, shape (band, y, x)
        e-/s.
    simulator : Simulator
        Its survey says which bands these are.

    Returns
    -------
    Axes
    """
    ax.imshow(rgb(stamp, simulator.survey), origin="lower", interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
    return ax


def figure_gallery(
    simulator: Simulator,
    *,
    log_age: tuple[float, ...] = GALLERY_LOG_AGE,
    log_mass: tuple[float, ...] = GALLERY_LOG_MASS,
    rh_arcsec: tuple[float, ...] = GALLERY_RH_ARCSEC,
) -> Figure:
    """Clusters of many ages (columns), sizes and masses (rows) on the simulator's star fields.

    Parameters
    ----------
    simulator : Simulator
        Its survey gives everything else; colours follow Lupton et al. (2004, PASP 116, 133).
    log_age, log_mass, rh_arcsec : tuple of float
        dex(yr), dex(Msun), arcsec.

    Returns
    -------
    Figure
    """
    size, mass, age = (
        values.ravel()
        for values in np.meshgrid(np.log10(rh_arcsec), log_mass, log_age, indexing="ij")
    )
    mocks = simulator.observe({"log_age": age, "log_mass": mass, "log_rh": size})
    n_rows, n_columns = len(rh_arcsec) * len(log_mass), len(log_age)
    figure = new_figure(1.35 * n_columns + 0.9, 1.35 * n_rows + 0.5)
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    survey = simulator.survey
    for ax, stamp in zip(grid.flat, mocks.images.cpu().numpy(), strict=True):
        plot_stamp(ax, stamp, simulator)
    for ax, value in zip(grid[0], log_age, strict=True):
        ax.set_title(years(value), fontsize=9)
    rows = [(r, m) for r in rh_arcsec for m in log_mass]
    for ax, (radius, value) in zip(grid[:, 0], rows, strict=True):
        parsec = radius * survey.pc_per_arcsec
        label = f"$10^{{{value:g}}}$ M$_\\odot$\n$r_\\mathrm{{h}}$ = {radius:g}″ ({parsec:.1f} pc)"
        ax.set_ylabel(label, fontsize=8)
    side_pc = survey.stamp_size * survey.pixel_scale_arcsec * survey.pc_per_arcsec
    bands = ", ".join(survey.band_names)
    figure.supxlabel(f"{survey.name}: {bands}; each stamp {side_pc:.0f} pc wide", fontsize=8)
    return figure
