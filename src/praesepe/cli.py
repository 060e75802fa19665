"""The command line: reads arguments, calls the library, shows what comes back. No science here."""

from __future__ import annotations

import logging
import math
import shlex
import sys
import time
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table as ScreenTable
from typer.core import TyperGroup

from praesepe import __version__
from praesepe.cli_stars import stars_app
from praesepe.errors import InputError, PraesepeError, PraesepeWarning
from praesepe.screen import (
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
survey_app = typer.Typer(
    no_args_is_help=True,
    help="Surveys: what the telescope and the galaxy are, in one TOML file.",
)
app.add_typer(survey_app, name="survey")
app.add_typer(stars_app, name="stars")

Model = Annotated[str, typer.Argument(help="Name of a model that is included, or its folder.")]
SurveyName = Annotated[
    str, typer.Argument(help="Name of a survey that is included, or a TOML file.")
]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same result.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace output files that exist.")]
Images = Annotated[
    list[str] | None,
    typer.Option("--image", metavar="BAND=FILE", help="Mosaic of one band; repeat for every band."),
]
Samples = Annotated[int, typer.Option(min=1, help="Posterior draws per cluster.")]
NoNuisances = Annotated[
    bool,
    typer.Option("--no-nuisances", help="Perfect zero points, sharpness and registration."),
]
XColumn = Annotated[str | None, typer.Option("--x", help="Catalogue's column of pixel x.")]
YColumn = Annotated[str | None, typer.Option("--y", help="Catalogue's column of pixel y.")]
Origin = Annotated[
    int | None, typer.Option(help="Coordinate of the first pixel: 1 (DS9) or 0 (numpy).")
]


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


@survey_app.command("list")
def survey_list() -> None:
    """List the surveys that are included."""
    from praesepe.survey import load_survey, survey_names

    table = ScreenTable("name", "telescope", "bands", "description", box=None, header_style="bold")
    for name in survey_names():
        survey = load_survey(name)
        table.add_row(name, survey.telescope, ", ".join(survey.band_names), survey.description)
    console_on().print(table)


@survey_app.command("show")
def survey_show(
    name: SurveyName,
    every_key: Annotated[
        bool, typer.Option("--all", help="Every key, with the defaults filled in.")
    ] = False,
) -> None:
    """Print a survey as TOML; a file is checked, and completed with the defaults."""
    from praesepe.sky.check import check_survey
    from praesepe.survey import load_survey, survey_names, survey_text

    check_survey(load_survey(name))
    plain = name in survey_names() and not every_key
    typer.echo((survey_text(name) if plain else load_survey(name).to_toml()).rstrip())


@survey_app.command("init")
def survey_init(
    file: Annotated[Path, typer.Argument(help="TOML file to write.")],
    like: Annotated[str, typer.Option(help="Survey to start from.")] = "phat",
) -> None:
    """Write a survey file to edit.

    Example: praesepe survey init m33.toml; then change distance, bands and priors in it.
    """
    from praesepe.survey import load_survey, survey_text

    if file.exists():
        raise InputError(f"{file} exists; choose another name or remove it.")
    if file.suffix != ".toml":
        raise InputError(f"{file}: the name of a survey file ends in .toml.")
    name = "".join(c if (c.isalnum() and c.isascii()) or c in "_.-" else "-" for c in file.stem)
    text = survey_text(like).replace(
        f'name = "{like}"', f'name = "{name.lstrip("_.-") or "mine"}"', 1
    )
    file.write_text(text, encoding="utf-8")
    load_survey(file)
    say(f"Wrote {file}. Edit it, check it with `praesepe survey show {file}`, then train:")
    say(f"  praesepe train {file} --out {name} --minutes 60")


@app.command()
def simulate(
    survey: SurveyName,
    out: Annotated[Path, typer.Option(help="FITS file to write.")],
    n: Annotated[int, typer.Option("--n", min=1, help="Number of clusters.")] = 1000,
    seed: Seed = 0,
    no_nuisances: NoNuisances = False,
    overwrite: Overwrite = False,
    device: Device = "cpu",
) -> None:
    """Write mock clusters: images in e-/s (extension IMAGES) and the truth (table TRUTH).

    Example: praesepe simulate phat --n 1000 --seed 1 --out mocks.fits
    """
    from praesepe.mocks import simulate as simulate_mocks

    _check_device(device)
    with progress_bar("simulating", "clusters") as progress:
        path = simulate_mocks(
            survey,
            out,
            n=n,
            seed=seed,
            nuisances=not no_nuisances,
            overwrite=overwrite,
            device=device,
            command=_command(),
            progress=progress,
        )
    say(f"Wrote {n} clusters to {path}.")


@app.command()
def train(
    survey: SurveyName,
    out: Annotated[Path, typer.Option(help="Folder for the model, checkpoint and metrics.")],
    minutes: Annotated[
        float | None, typer.Option(callback=_positive, help="Train for so long …")
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
    from praesepe.labelled import read_labelled
    from praesepe.survey import load_survey
    from praesepe.train import train as train_model

    _check_device(device)
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
        labelled = read_labelled(described, _parse_images(image), labels, **columns)
        say(f"{len(labelled.labels)} annotated clusters, {labelled.left_out} rows left out.")
    with training_bar() as report:
        folder = train_model(
            described,
            out,
            minutes=minutes,
            steps=steps,
            seed=seed,
            device=device,
            preset=preset or _preset_of(start),
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
    unit: Annotated[
        list[str] | None,
        typer.Option(metavar="BAND=UNIT", help="Unit of the pixels, in place of BUNIT; repeat."),
    ] = None,
    zero_point: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BAND=MAG", help="AB magnitude of 1 e-/s, in place of PHOTFLAM; repeat."
        ),
    ] = None,
    no_wcs: Annotated[
        bool, typer.Option("--no-wcs", help="Accept images without a WCS; needs --x, --y.")
    ] = False,
    device: Device = "cpu",
) -> None:
    """Measure catalogued clusters on mosaics.

    Example: praesepe predict phat --image F336W=f336w.fits --image F475W=f475w.fits
    --image F814W=f814w.fits --catalog clusters.csv --out measured.ecsv
    """
    from praesepe.predict import predict as measure

    _check_device(device)
    with progress_bar("measuring", "clusters") as progress:
        table = measure(
            model,
            _parse_images(image),
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
            units=_by_band("--unit", unit),
            zero_points=_magnitudes(zero_point),
            allow_no_wcs=no_wcs,
            device=device,
            progress=progress,
            command=_command(),
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
    from praesepe.evaluate import PRODUCTS
    from praesepe.evaluate import evaluate as evaluate_model

    _check_device(device)
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
    from praesepe.demo import run_demo

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


# How arguments are read


def _command() -> str:
    """The command line as typed, for the metadata of outputs."""
    return shlex.join(["praesepe", *sys.argv[1:]])


def _positive(value: float | None) -> float | None:
    """Refuse 0 and less."""
    if value is not None and not value > 0:
        raise typer.BadParameter(f"{value:g} is not more than 0.")
    return value


def _parse_images(pairs: list[str] | None) -> dict[str, Path]:
    """Read ``BAND=FILE`` arguments."""
    images = {band: Path(file) for band, file in _by_band("--image", pairs).items()}
    if not images:
        raise InputError("no images; give --image BAND=FILE for every band of the model.")
    return images


def _by_band(option: str, pairs: list[str] | None) -> dict[str, str]:
    """Read arguments ``BAND=…`` of an option."""
    what, example = {
        "--image": ("FILE", "f475w.fits"),
        "--unit": ("UNIT", "electron/s"),
        "--zero-point": ("MAG", "26.06"),
    }[option]
    values: dict[str, str] = {}
    for pair in pairs or []:
        band, _, value = pair.partition("=")
        if not (band and value):
            raise InputError(f"{option} {pair}: write BAND={what}, e.g. {option} F475W={example}")
        if band in values:
            raise InputError(f"{option} {pair}: band {band!r} is given twice.")
        values[band] = value
    return values


def _magnitudes(pairs: list[str] | None) -> dict[str, float]:
    """Read ``BAND=MAG`` arguments."""
    magnitudes: dict[str, float] = {}
    for band, text in _by_band("--zero-point", pairs).items():
        try:
            magnitudes[band] = float(text)
        except ValueError:
            magnitudes[band] = math.nan
        if not math.isfinite(magnitudes[band]):
            raise InputError(f"--zero-point {band}={text}: {text!r} is not a magnitude.")
    return magnitudes


def _check_device(device: str) -> None:
    """Refuse a device that this machine does not have."""
    import torch

    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise InputError(f"no device {device!r}; give cpu, cuda or cuda:0, cuda:1 …") from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError(f"--device {device}: no CUDA device is available here; use --device cpu.")


def _preset_of(model: str | None) -> str:
    """Size of the network to train: that of the model to start from, else small."""
    from praesepe.network.estimator import Estimator

    return "small" if model is None else str(Estimator.load(model).metadata["preset"])


if __name__ == "__main__":
    main()
