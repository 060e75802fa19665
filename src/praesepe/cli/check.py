"""The command that holds images against a model's training. No science here."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table as ScreenTable
from rich.text import Text

from praesepe.cli.common import ImagePixels, Images, Model, Overwrite, Threads
from praesepe.cli.progress import display
from praesepe.cli.screen import console_on, say

if TYPE_CHECKING:
    from praesepe.inference.check.checking import Check

SOMETHING_IS_WRONG = 1
COLORS = {"fine": "green", "note": "cyan", "wrong": "bold red", "unknown": "yellow"}


def check(
    model: Model,
    *,
    images: Images,
    catalog: Annotated[
        Path | None, typer.Option(help="Positions of clusters, to be checked as well.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Page with figures to write, .html, or rows, .json.")
    ] = None,
    pixels: ImagePixels,
    overwrite: Overwrite = False,
    threads: Threads = None,
) -> None:
    """Measure whether your images are like those that the model was trained on.

    Exit status: 0 where nothing is wrong, 1 where something is, 2 for input that cannot be read.

    Example: praesepe check phat --image F336W=f336w.fits --image F475W=f475w.fits
    --image F814W=f814w.fits --catalog clusters.csv --out check.html
    """
    from praesepe.report.checks import check as check_images

    with display("looking at the images", "sections") as progress:
        found = check_images(
            model,
            images.files(),
            catalog,
            out=out,
            overwrite=overwrite,
            **asdict(pixels),
            **images.reading(),
            progress=progress,
            setup=progress.setup,
        )
    _show(found)
    if out is not None:
        say(f"Wrote {out}.")
    if not found.fine:
        raise typer.Exit(SOMETHING_IS_WRONG)


def _show(found: Check) -> None:
    """The rows as a table, then what is wrong and what to do about it."""
    table = ScreenTable(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for head in ("item", "band", "measured", "expected", "verdict"):
        table.add_column(head)
    for row in found.rows:
        color = COLORS[row.verdict]
        table.add_row(row.item, row.band, row.measured, row.expected, Text(row.verdict, color))
    console_on().print(table)
    said = set()
    for row in found.rows:
        text = f"{row.item}{f' ({row.band})' if row.band else ''}: {row.advice}"
        if row.advice and text not in said:
            said.add(text)
            say(text)
    say(f"Wrong: {', '.join(found.faults)}." if found.faults else "Nothing is wrong.")
