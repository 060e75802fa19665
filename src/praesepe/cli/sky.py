"""The commands that make artificial skies, and star fields from real ones."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from praesepe.cli.common import (
    ImagePixels,
    Images,
    Machine,
    N,
    NoNuisances,
    Overwrite,
    PixelColumns,
    Seed,
    SurveyName,
    Threads,
    Workers,
    command_line,
    workers_for,
)
from praesepe.cli.progress import display
from praesepe.cli.screen import say
from praesepe.errors import InputError


def fields_build(
    survey: SurveyName,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the fields; made if needed.")],
    images: Images,
    catalog: Annotated[
        Path | None, typer.Option(help="Known clusters, which the fields keep away from.")
    ] = None,
    exclude_radius: Annotated[
        float | None,
        typer.Option(metavar="ARCSEC", help="How far they keep away; default: half a stamp."),
    ] = None,
    edge: Annotated[
        int, typer.Option(min=0, help="How far they keep from the mosaic's edge, pixels.")
    ] = 0,
    n: Annotated[int, typer.Option("--n", min=1, help="Number of fields, at most.")] = 500,
    size: Annotated[int, typer.Option(min=16, help="Side of a field in pixels.")] = 192,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    pixels: ImagePixels,
    threads: Threads = None,
) -> None:
    """Cut star fields without clusters, gaps and saturated stars from your mosaics.

    Example: praesepe fields build phat --image F336W=f336w.fits --image F475W=f475w.fits
    --image F814W=f814w.fits --catalog clusters.csv --out fields
    """
    from praesepe.mocks.fields import build_fields

    with display("looking for clean places", "rows") as progress:
        built = build_fields(
            survey,
            images.files(),
            catalog,
            out=out,
            exclude_radius_arcsec=exclude_radius,
            edge_px=edge,
            n=n,
            size=size,
            seed=seed,
            overwrite=overwrite,
            **asdict(pixels),
            **images.reading(),
            command=command_line(),
            progress=progress,
        )
    say(f"Wrote {built.n} fields of {size}×{size} px to {out}.")
    for reason in built.removed.sentences():
        say(f"  {reason}")
    say(f'To train with them, write files = "{out}" under [galaxy.field] in a survey file.')


def simulate(
    survey: SurveyName,
    *,
    out: Annotated[Path, typer.Option(help="File to write, .fits or .zarr; with shards a folder.")],
    n: N = 1000,
    seed: Seed = 0,
    no_nuisances: NoNuisances = False,
    shards: Annotated[
        int | None,
        typer.Option(min=1, help="Write so many files into a folder; goes on after a break."),
    ] = None,
    shard_size: Annotated[
        int | None,
        typer.Option(min=1, help="Clusters in a file, a multiple of 256, instead of --shards."),
    ] = None,
    format: Annotated[
        str | None, typer.Option("--format", help="Format of shards: fits (default) or zarr.")
    ] = None,
    overwrite: Overwrite = False,
    workers: Workers = None,
    machine: Machine,
) -> None:
    """Write mock clusters: images in e-/s (IMAGES) and the truth (TRUTH), FITS or Zarr.

    The same seed gives the same set, whatever the workers, shards, format and device.

    Examples: praesepe simulate phat --n 1000 --seed 1 --out mocks.fits

    praesepe simulate phat --n 1000000 --shard-size 25600 --workers 8 --out mocks
    """
    from praesepe.mocks.sets import simulate as simulate_mocks

    device = machine.check()
    with display("simulating", "clusters") as progress:
        simulate_mocks(
            survey,
            out=out,
            n=n,
            seed=seed,
            nuisances=not no_nuisances,
            shards=shards,
            shard_size=shard_size,
            format=format,
            workers=workers or workers_for(n, machine),
            overwrite=overwrite,
            device=device,
            command=command_line(),
            progress=progress,
            setup=progress.setup,
        )
    say(f"Wrote {n} clusters to {out}.")


def mosaic(
    survey: SurveyName,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the images and truth.ecsv.")],
    catalog: Annotated[
        Path | None, typer.Option(help="Clusters: their positions and what truth.ecsv has of them.")
    ] = None,
    n: Annotated[
        int | None,
        typer.Option("--n", min=0, help="So many random clusters, in place of a catalog."),
    ] = None,
    size: Annotated[int, typer.Option(min=16, help="Side in pixels.")] = 4096,
    density: Annotated[
        float | None,
        typer.Option(
            min=0, help="Surface density of the star field, Msun/pc2; default: the survey's range."
        ),
    ] = None,
    seed: Seed = 0,
    no_nuisances: NoNuisances = False,
    center: Annotated[
        str | None,
        typer.Option(metavar="RA,DEC", help="Degrees; default: the middle of the catalog."),
    ] = None,
    overwrite: Overwrite = False,
    pixels: PixelColumns,
    threads: Threads = None,
) -> None:
    """Write an artificial mosaic: a calibrated FITS image per band, and the truth.

    Examples: praesepe mosaic phat --n 300 --size 4096 --out sky

    praesepe mosaic phat --catalog truth.csv --density 60 --out sky

    Age, mass and radius must be given; what else the survey lets vary and the catalog does not
    tell is drawn from the survey's prior.
    """
    from praesepe.mocks.mosaic_files import TRUTH, simulate_mosaic

    begun = time.perf_counter()
    with display("making the mosaic", "steps") as progress:
        made = simulate_mosaic(
            survey,
            catalog,
            n=n,
            size=size,
            density=density,
            seed=seed,
            nuisances=not no_nuisances,
            center_deg=_degrees(center),
            out=out,
            **asdict(pixels),
            overwrite=overwrite,
            command=command_line(),
            progress=progress,
            setup=progress.setup,
        )
    seconds = time.perf_counter() - begun
    say(f"Made a mosaic of {size}×{size} px with {len(made.truth)} clusters in {seconds:.0f} s.")
    for band, path in made.images.items():
        say(f"  {band}  {path}")
    say(f"  truth  {out / TRUTH}")


def _degrees(text: str | None) -> tuple[float, float] | None:
    """Read ``RA,DEC`` in degrees."""
    if text is None:
        return None
    try:
        ra, dec = map(float, text.split(","))
    except ValueError:
        remedy = "write RA,DEC in degrees, e.g. 11.10,41.56"
        raise InputError(f"--center {text}", given=text, remedy=remedy) from None
    return ra, dec
