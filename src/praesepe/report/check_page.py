"""The page of a check: its table, and figures that a person can judge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from praesepe.errors import listed
from praesepe.inference.check.checking import Check
from praesepe.inference.check.judge import Judge
from praesepe.inference.check.registration import matched
from praesepe.inference.check.star_rows import SHIFT_PX
from praesepe.inference.check.widths import SQUARES
from praesepe.plots.checks import plot_colors, plot_displacements, plot_section, plot_widths
from praesepe.report.page import Page

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_check_page(found: Check, path: Path, *, overwrite: bool = False) -> Path:
    """Write a check as one HTML page.

    Parameters
    ----------
    found : Check
    path : Path
        ``.html``.
    overwrite : bool
        Whether an existing file may be replaced.
    """
    import matplotlib as mpl

    from praesepe.plots.style import STYLE

    page = Page(f"Check of {listed(found.observation.band_names)}")
    made_by = f"model {found.meta['model']} {found.meta['model_version']}"
    page.text(f"Held against the training of {made_by}, {found.meta['date']}.", kind="small")
    files = [
        f"{name}: {band.taken}" for name, band in found.observation.bands.items() if band.taken
    ]
    if files:
        page.text("; ".join(files), kind="small")
    if found.fine:
        page.text("Nothing is wrong.", kind="fine")
    else:
        page.text(f"Wrong: {', '.join(found.faults)}.", kind="wrong")
    page.table(
        ("item", "band", "measured", "expected", "verdict", "what to do"),
        [(r.item, r.band, r.measured, r.expected, r.verdict, r.advice) for r in found.rows],
        kinds=[row.verdict for row in found.rows],
    )
    judge = Judge(found.observation, found.measured, found.widths, found.reference)
    with mpl.rc_context(STYLE):
        for draw, caption in FIGURES:
            figure = draw(found, judge)
            if figure is not None:
                page.figure(figure, caption)
    return page.save(path, overwrite=overwrite)


def _new(n: int, side: float = 3.2) -> tuple[Figure, list[Any]]:
    from praesepe.plots.style import new_figure

    figure = new_figure(side * n, side)
    return figure, list(np.ravel(figure.subplots(1, n)))


def _sections(found: Check, judge: Judge) -> Figure:
    mosaic = found.observation
    side = min(256, *mosaic.shape)
    y0, x0 = ((length - side) // 2 for length in mosaic.shape)
    figure, axes = _new(len(mosaic.bands))
    for ax, (name, band) in zip(axes, mosaic.bands.items(), strict=True):
        image = band.pixels.read(y0, x0, side, side) * band.factor
        plot_section(ax, image, found.measured.bands[name].noise, title=name)
    return figure


def _widths(found: Check, judge: Judge) -> Figure:
    figure, axes = _new(len(found.measured.bands))
    for ax, (name, seen) in zip(axes, found.measured.bands.items(), strict=True):
        widths, stars = found.widths[name], seen.stars.where(seen.stars.alone)
        squares = np.array([widths.blur_square(r) for r in stars.peak / stars.wide])
        fwhm = np.array([widths.fwhm_at(square) for square in squares])
        inside = (squares > SQUARES[0]) & (squares < SQUARES[-1])  # the rest are no stars
        low, high = judge.blurs(name)
        allowed = (widths.fwhm_at(low), widths.fwhm_at(high))
        plot_widths(ax, stars.signal[inside], fwhm[inside], allowed, title=name)
    return figure


def _displacements(found: Check, judge: Judge) -> Figure | None:
    measured = found.measured
    known = {name: one for name, one in measured.registration.items() if one is not None}
    if not known:
        return None
    figure, axes = _new(len(known))
    reference = measured.bands[measured.reference].stars
    for ax, (name, one) in zip(axes, known.items(), strict=True):
        stars = measured.bands[name].stars
        i, j = matched(reference, stars, (one.x_px, one.y_px), 1.5)
        dx, dy = stars.x[j] - reference.x[i], stars.y[j] - reference.y[i]
        x_px, y_px = (
            judge.declared(name, card) - judge.declared(measured.reference, card)
            for card in ("XSHIFT", "YSHIFT")
        )
        title = f"{name} on {measured.reference}"
        plot_displacements(ax, dx, dy, title=title, expected=(x_px, y_px), allowed_px=SHIFT_PX)
    return figure


def _colors(found: Check, judge: Judge) -> Figure | None:
    if found.mags is None or found.reference is None or len(found.mags) < 5:
        return None
    figure, (ax,) = _new(1, 5.0)
    plot_colors(ax, found.mags, found.reference.mags, found.observation.band_names)
    return figure


FIGURES = (
    (_sections, "The middle of the images; what is missing is orange."),
    (
        _widths,
        "Widths of isolated stars; grey: what the model was trained with. Those of bright stars "
        "count, those of faint ones scatter.",
    ),
    (
        _displacements,
        "Stars of each band against those of another one: their median (+) should lie in the "
        "circle.",
    ),
    (
        _colors,
        "Colors of the stars: those of the images should lie on those of the survey's own star "
        "fields. Those of an image that is too faint or too bright in one band lie beside them.",
    ),
)
"""What is drawn, each with a sentence on what it shows."""
