"""The commands about stellar models: import, list, show. No science here."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer
from rich.table import Table as ScreenTable

from praesepe.cli.common import Overwrite
from praesepe.cli.screen import console_on, say
from praesepe.errors import InputError
from praesepe.files import atomic, check_output

DEFAULT_BANDS = ("wfc3_uvis_f336w", "acs_wfc_f475w", "acs_wfc_f814w")


def stars_import(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", help="PARSEC, MIST or FSPS files, or folders of them."),
    ],
    name: Annotated[str, typer.Option(help="What surveys will call the model.")],
    overwrite: Overwrite = False,
) -> None:
    """Make downloaded isochrones available to surveys.

    Example: praesepe stars import parsec.dat --name parsec; then isochrones = "parsec" among the
    keys of stars in the survey file.
    """
    from praesepe.stars.store import import_isochrones, read_grid

    path, grid = import_isochrones(files, name=name, overwrite=overwrite)
    say(f"Read {read_grid(path)[1]['read']}.")
    ages, metals = grid.log_age, grid.metallicity
    say(f"Wrote {path}: {len(ages)} ages, log age {ages[0]:g} to {ages[-1]:g};")
    say(f"  Z = {', '.join(f'{z:g}' for z in metals)}.")
    say(f'Look at it with `praesepe stars show {quote(name)}`; use it with isochrones = "{name}".')


def stars_list() -> None:
    """List the stellar models: the embedded one, and those that were imported."""
    from praesepe.stars import store
    from praesepe.stars.isochrones import IsochroneGrid

    table = ScreenTable(
        "name", "log age", "metallicity Z", "source", "key", box=None, header_style="bold"
    )
    broken = []
    for name in store.isochrone_names():
        try:
            if name == store.EMBEDDED:
                grid, source = IsochroneGrid.embedded(), "embedded (SSE, Hurley et al. 2000)"
            else:
                grid, record = store.read_grid(store.path_of(name))
                source = f"{record.get('format', '')}: {store.sources(record)}"
        except InputError as error:
            broken.append(str(error))
            continue
        ages = f"{grid.log_age[0]:g} to {grid.log_age[-1]:g}"
        metals = ", ".join(f"{z:g}" for z in grid.metallicity)
        table.add_row(name, ages, metals, source, grid.key[:12])
    console_on().print(table)
    for message in broken:
        say(message)


def stars_show(
    name: Annotated[str, typer.Argument(help="Name of a model, or an npz file of one.")],
    band: Annotated[
        list[str] | None,
        typer.Option(help="Filter curve ('ACS/WFC F814W', or a file); repeat. Bluest first."),
    ] = None,
    metallicity: Annotated[
        float | None, typer.Option(help="Mass fraction Z; default: nearest 0.0142.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Figure to write: .png or .pdf; default: NAME.png.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw a model's isochrones and the light of a population, beside the embedded model.

    Example: praesepe stars show parsec --band wfc3_uvis_f336w --band acs_wfc_f814w
    """
    from praesepe.plots.stars import figure_stellar_model
    from praesepe.stars import IsochroneGrid, load_isochrones, load_passband, store

    grid = load_isochrones(name)
    short = store.path_of(name).stem if name != store.EMBEDDED else name
    curves = [load_passband(one) for one in band or DEFAULT_BANDS]
    out = check_output(out or f"{short}.png", (".png", ".pdf"), overwrite=overwrite)
    embedded = IsochroneGrid.embedded()
    other = None if grid.key == embedded.key else embedded
    drawing = figure_stellar_model(grid, curves, name=short, metallicity=metallicity, compare=other)
    with atomic(out) as part:
        drawing.savefig(part, dpi=160)
    ages = grid.log_age
    say(f"{short}: log age {ages[0]:g} to {ages[-1]:g} in {len(ages)} steps;")
    say(f"  Z = {', '.join(f'{z:g}' for z in grid.metallicity)}; key {grid.key[:12]}.")
    say(f"Wrote {out}.")
