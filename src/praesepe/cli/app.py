"""The command line: reads arguments, calls the library, shows what comes back. No science here."""

from __future__ import annotations

import logging
import time
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from praesepe import __version__
from praesepe.cli.common import (
    Device,
    Images,
    Model,
    NoNuisances,
    Origin,
    Overwrite,
    Samples,
    Seed,
    SurveyName,
    Units,
    XColumn,
    YColumn,
    ZeroPoints,
    by_band,
    check_device,
    command_line,
    magnitudes_by_band,
    parse_images,
    positive,
)
from praesepe.cli.screen import (
    console_on,
    demo_table,
    metrics_table,
    progress_bar,
    say,
    say_error,
    say_measured,
    show_warning,
    training_bar,
)
from praesepe.cli.sky import fields_app, mosaic, simulate
from praesepe.cli.stars import stars_app
from praesepe.cli.survey import survey_app
from praesepe.errors import InputError, PraesepeError, PraesepeWarning

CANNOT_GO_ON = 2
INTERRUPTED = 130


class Commands(TyperGroup):
    """Turn what the user can mend into one clean message; bugs keep their traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; exit status 2 after an error, 130 after Ctrl-C."""
        with warnings.catch_warnings():
            warnings.simplefilter("always", PraesepeWarning)
            warnings.showwarning = show_warning
            try:
                return super().invoke(ctx)
            except (PraesepeError, OSError) as error:
                say_error(error)
            except KeyboardInterrupt:
                console_on(stderr=True).print("Interrupted.")
                raise typer.Exit(INTERRUPTED) from None
        raise typer.Exit(CANNOT_GO_ON)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Ages, masses and sizes of star clusters from the pixels of multi-band images.",
)
app.add_typer(survey_app, name="survey")
app.add_typer(stars_app, name="stars")
app.add_typer(fields_app, name="fields")


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="praesepe")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"praesepe {__version__}")
        raise typer.Exit


@app.callback()
def common(
    verbose: Annotated[
        int, typer.Option("-v", "--verbose", count=True, help="Tell more; -vv tells all.")
    ] = 0,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of every command."""
    if verbose:
        from rich.logging import RichHandler

        level = logging.INFO if verbose == 1 else logging.DEBUG
        handler = RichHandler(console=console_on(stderr=True), show_path=False)
        logger = logging.getLogger("praesepe")
        logger.setLevel(level)
        logger.handlers = [handler]


app.command()(simulate)
app.command()(mosaic)


@app.command()
def train(
    survey: SurveyName,
    out: Annotated[Path, typer.Option(help="Folder for the model, checkpoint and metrics.")],
    minutes: Annotated[
        float | None, typer.Option(callback=positive, help="Train for so long …")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="… or for so many steps.")] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in the folder.")
    ] = False,
    preset: Annotated[
        str | None, typer.Option(help="Size of the network: tiny, small (default) or paper.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=2, help="Stamps per step.")] = 128,
    start: Annotated[
        str | None, typer.Option("--from", metavar="MODEL", help="Fine-tune this model.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Catalogue of real clusters with log_age, log_mass, rh_arcsec."),
    ] = None,
    image: Images = None,
    x: XColumn = None,
    y: YColumn = None,
    origin: Origin = None,
) -> None:
    """Train a model on fresh simulations, or fine-tune one on annotated clusters.

    Examples: praesepe train phat --out model --minutes 60

    praesepe train phat --out tuned --from phat --steps 500 --labels known.csv --image F336W=…
    """
    from praesepe.survey import load_survey
    from praesepe.training.labelled import read_labelled
    from praesepe.training.loop import train as train_model

    check_device(device)
    if (labels is None) != (not image):
        raise InputError(
            "annotated clusters need both --labels and --image BAND=FILE for every band."
        )
    if (minutes is None) == (steps is None):
        raise InputError("give either --minutes or --steps, to say how long to train.")
    described = load_survey(survey)
    labelled = None
    if labels is not None:
        columns = {"x": x, "y": y, "origin": origin}
        labelled = read_labelled(described, parse_images(image), labels, **columns)
        say(f"{len(labelled.labels)} annotated clusters, {labelled.left_out} rows left out.")
    with training_bar() as report:
        folder = train_model(
            described,
            out,
            minutes=minutes,
            steps=steps,
            seed=seed,
            device=device,
            encoder=preset or _encoder_of(start),
            batch_size=batch_size,
            resume=resume,
            initial=start,
            labelled=labelled,
            report=report,
        )
    say(f"Wrote the model to {folder}. Judge it, then use it:")
    say(f"  praesepe evaluate {folder} --seed {seed + 1} --out {folder / 'evaluation'}")
    bands = " ".join(f"--image {band}=…" for band in described.band_names)
    say(f"  praesepe predict {folder} {bands} --catalog … --out measured.ecsv")


@app.command()
def predict(
    model: Model,
    catalog: Annotated[
        Path, typer.Option(help="CSV, ECSV, FITS or VOTable with ra, dec, or x, y.")
    ],
    out: Annotated[
        Path, typer.Option(help="Table to write: .ecsv, .fits, .vot, .csv or .parquet.")
    ],
    image: Images = None,
    regions: Annotated[Path | None, typer.Option(help="DS9 regions to write: .reg.")] = None,
    samples: Annotated[
        Path | None, typer.Option(help="Posterior draws to write: .h5 or .parquet.")
    ] = None,
    n_samples: Samples = 500,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    x: XColumn = None,
    y: YColumn = None,
    origin: Origin = None,
    unit: Units = None,
    zero_point: ZeroPoints = None,
    no_wcs: Annotated[
        bool, typer.Option("--no-wcs", help="Accept images without a WCS; needs --x, --y.")
    ] = False,
    device: Device = "cpu",
) -> None:
    """Measure catalogued clusters on mosaics.

    Example: praesepe predict phat --image F336W=f336w.fits --image F475W=f475w.fits
    --image F814W=f814w.fits --catalog clusters.csv --out measured.ecsv
    """
    from praesepe.inference.prediction import predict as measure

    check_device(device)
    with progress_bar("measuring", "clusters") as progress:
        table = measure(
            model,
            parse_images(image),
            catalog,
            out=out,
            regions=regions,
            samples=samples,
            overwrite=overwrite,
            n_samples=n_samples,
            seed=seed,
            x=x,
            y=y,
            origin=origin,
            units=by_band("--unit", unit),
            zero_points=magnitudes_by_band(zero_point),
            allow_no_wcs=no_wcs,
            device=device,
            progress=progress,
            command=command_line(),
        )
    say_measured(table, seconds=progress.seconds)
    for path in (out, regions, samples):
        if path is not None:
            say(f"Wrote {path}.")


@app.command()
def evaluate(
    model: Model,
    out: Annotated[Path, typer.Option(help="Folder for metrics.json, clusters.ecsv, figures.")],
    n: Annotated[int, typer.Option("--n", min=1, help="Number of artificial clusters.")] = 4000,
    seed: Annotated[int, typer.Option(min=0, help="Not that of the training.")] = 1,
    n_samples: Samples = 500,
    no_nuisances: NoNuisances = False,
    overwrite: Overwrite = False,
    device: Device = "cpu",
) -> None:
    """Measure artificial clusters that the model never saw: bias, scatter, calibration.

    Example: praesepe evaluate phat --n 4000 --seed 7 --out evaluation
    """
    from praesepe.evaluation.recovery import PRODUCTS
    from praesepe.evaluation.recovery import evaluate as evaluate_model

    check_device(device)
    with progress_bar("evaluating", "clusters") as progress:
        metrics = evaluate_model(
            model,
            n=n,
            seed=seed,
            nuisances=not no_nuisances,
            out=out,
            overwrite=overwrite,
            n_samples=n_samples,
            device=device,
            progress=progress,
        )
    console_on().print(metrics_table(metrics))
    say(f"Wrote {', '.join(PRODUCTS)} in {out}.")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for all files.")] = Path("demo"),
    overwrite: Overwrite = False,
) -> None:
    """Measure mock clusters of M31 with the included model: two minutes, no data needed."""
    from praesepe.report.demo import run_demo

    start = time.perf_counter()
    with console_on(stderr=True).status("Making a mock mosaic of M31, measuring its clusters …"):
        done = run_demo(out, overwrite=overwrite)
    say(f"A mock field of M31 was simulated and measured in {time.perf_counter() - start:.0f} s.")
    say("As in real mosaics, zero points, sharpness and registration are slightly off.")
    say_measured(done.measured)
    console_on().print(demo_table(done.summary()))
    say(f"\nFigure   {done.figure}\nTable    {done.table}\nTruth    {done.truth_table}")
    say(f"Regions  {done.regions}")
    images = " ".join(f"--image {band}={path}" for band, path in done.images.items())
    say("\nThe same from the command line; put your own mosaics and catalogue in place:")
    say(f"  praesepe predict phat {images} --catalog {done.catalog} --out measured.ecsv")
    say("Another telescope, galaxy or set of filters: describe it, then train a model for it:")
    say("  praesepe survey init mine.toml && praesepe train mine.toml --out mine --minutes 60")


def _encoder_of(model: str | None) -> str:
    """Encoder of the network to train: that of the model to start from, else small."""
    from praesepe.network.estimator import Estimator

    return "small" if model is None else Estimator.load(model).card.encoder.name


if __name__ == "__main__":
    main()
