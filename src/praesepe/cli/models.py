"""The commands about models: train, use, judge, show. No science here."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from praesepe.cli.common import (
    Align,
    Catalog,
    Expected,
    ImagePixels,
    Images,
    Known,
    Machine,
    Model,
    N,
    NoCheck,
    NoNuisances,
    Overwrite,
    Priors,
    Samples,
    Seed,
    SurveyName,
    Threads,
    Twins,
    Workers,
    command_line,
    known_values,
    positive,
    priors,
    told_errors,
    workers_for,
)
from praesepe.cli.progress import display
from praesepe.cli.screen import console_on, metrics_tables, say, say_measured, say_note
from praesepe.errors import InputError, refuse_unused
from praesepe.locks import locked

if TYPE_CHECKING:
    from praesepe.evaluation.assessment import Evaluation
    from praesepe.inference.result import Result
    from praesepe.survey import Survey
    from praesepe.training.labelled import Labelled
    from praesepe.training.loop import Training


def train(
    survey: SurveyName,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the model, checkpoint and metrics.")],
    minutes: Annotated[
        float | None, typer.Option(callback=positive, help="Train for so long …")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="… or for so many steps.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in the folder.")
    ] = False,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="MODEL", help="Go on from this model and its network."),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="From stamp to features: tiny, small (default) or paper.")
    ] = None,
    head: Annotated[
        str | None, typer.Option(help="From features to posterior: flow (default) or grid.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=2, help="Stamps per step.")] = 128,
    views: Annotated[int, typer.Option(min=1, help="Of each simulated stamp, turned.")] = 1,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that simulate beside the training; 1: none.")
    ] = 1,
    images: Images,
    catalog: Annotated[
        Path | None,
        typer.Option(
            help="Real clusters on these images, to train on, with what the survey infers of them."
        ),
    ] = None,
    known: Known = None,
    pixels: ImagePixels,
    seed: Seed = 0,
    machine: Machine,
) -> None:
    """Train a model on fresh simulations, or fine-tune one on annotated clusters beside them.

    Examples: praesepe train phat --out model --minutes 60

    praesepe train phat --out tuned --from phat --steps 500 --catalog known.csv --image F336W=…
    """
    from praesepe.survey import load_survey
    from praesepe.training.loop import train as train_model

    device = machine.check()
    described = load_survey(survey)
    labelled = annotated(described, catalog, images, pixels, known)
    checkpoint = out / "checkpoint.safetensors"
    if resume and checkpoint.is_file():
        _say_where_it_goes_on(checkpoint)
    try:
        with display("training") as progress:
            training = train_model(
                described,
                out=out,
                minutes=minutes,
                steps=steps,
                seed=seed,
                device=device,
                encoder=encoder,
                head=head,
                batch_size=batch_size,
                views=views,
                workers=workers,
                resume=resume,
                initial=start,
                labelled=labelled,
                report=progress.training,
                setup=progress.setup,
            )
    except KeyboardInterrupt:
        if checkpoint.is_file():
            say_note(f"Go on later with the same command and --resume; {out} holds a checkpoint.")
        raise
    _say_trained(training, setup_seconds=progress.setup_seconds)
    _say_what_next(out, seed, described)


def _say_trained(training: Training, *, setup_seconds: float) -> None:
    """Print how long a training took, what was learned, and what more of it would bring."""
    last, tuning = training.metrics[-1], training.estimator.card.runs[-1].tuning
    say(f"Set-up took {setup_seconds:.0f} s, training {last['seconds']:.0f} s.")
    say(f"Validation loss at the end: {last['valid_loss']}.")
    _say_learned(training.learned)
    if tuning:
        _say_tuning(tuning)
    else:
        sentence = training.curve.sentence
        say(f"{sentence[0].upper()}{sentence[1:]}.")


def _say_learned(widths: Mapping[str, float]) -> None:
    """Print what a model has learned; a note where it is nothing."""
    from praesepe.training.learned import sentences

    first, *notes = sentences(widths)
    say(f"{first[0].upper()}{first[1:]}.")
    for note in notes:
        say_note(f"{note[0].upper()}{note[1:]}.")


def _say_tuning(tuning: Mapping[str, Any]) -> None:
    """Print what labelled clusters have changed; a note where it is nothing."""
    from praesepe.training.learned import tuning_sentences

    first, *figures = tuning_sentences(tuning)
    (say if tuning["kept_step"] else say_note)(f"{first[0].upper()}{first[1:]}.")
    say("\n".join(f"  {line}" for line in figures))


def _say_what_next(out: Path, seed: int, survey: Survey) -> None:
    say(f"Wrote the model to {out}. Judge it, then use it:")
    model, report = quote(str(out)), quote(str(out / "evaluation"))
    say(f"  praesepe evaluate {model} --seed {seed + 1} --out {report}")
    bands = " ".join(f"--image {quote(band)}=…" for band in survey.channels)
    say(f"  praesepe predict {model} {bands} --catalog … --out measured.ecsv")


def _say_where_it_goes_on(checkpoint: Path) -> None:
    from praesepe.training.checkpoint import read_checkpoint

    say(f"Going on after step {read_checkpoint(checkpoint)[1]['step']:,} of {checkpoint}.")


def annotated(
    survey: Survey,
    catalog: Path | None,
    images: Images,
    pixels: ImagePixels,
    known: list[str] | None = None,
) -> Labelled | None:
    """Read the clusters to train on, where the options name any."""
    from praesepe.training.labelled import read_labelled

    if (catalog is None) != (not images.image):
        raise InputError(
            "annotated clusters need both --catalog and --image BAND=FILE for every band",
            given=(catalog, images.image),
            remedy="give both, or neither.",
        )
    told = asdict(pixels) | images.reading()
    if catalog is None:
        refuse_unused("they are for annotated clusters", **told, known=known)
        return None
    told_to_network = known_values(known or ())
    labelled = read_labelled(survey, images.files(), catalog, known=told_to_network, **told)
    say(f"{len(labelled.labels)} annotated clusters, {labelled.left_out} rows left out.")
    return labelled


def predict(
    model: Model,
    *,
    catalog: Catalog,
    out: Annotated[
        Path, typer.Option(help="Table to write: .ecsv, .fits, .vot, .csv or .parquet.")
    ],
    images: Images,
    pixels: ImagePixels,
    regions: Annotated[Path | None, typer.Option(help="DS9 regions to write: .reg.")] = None,
    samples: Annotated[
        Path | None, typer.Option(help="Posterior draws to write: .parquet or .zarr.")
    ] = None,
    n_samples: Samples = 500,
    align: Align = False,
    no_check: NoCheck = False,
    expected: Expected,
    magnitudes: Annotated[
        str | None,
        typer.Option(
            metavar="AB|Vega", help="Add the posterior's magnitudes in every band of the model."
        ),
    ] = None,
    twins: Twins,
    escape_formulas: Annotated[
        bool,
        typer.Option("--escape-formulas", help="In .csv: ' before what a spreadsheet computes."),
    ] = False,
    overwrite: Overwrite = False,
    seed: Seed = 0,
    machine: Machine,
) -> None:
    """Measure cataloged clusters on mosaics.

    Example: praesepe predict phat --image F336W=f336w.fits --image F475W=f475w.fits
    --image F814W=f814w.fits --catalog clusters.csv --out measured.ecsv
    """
    from praesepe.images.inputs import input_files
    from praesepe.inference.prediction import predict as measure

    device = machine.check()
    twins.check(input_files(model, images.files(), catalog), overwrite=overwrite)
    with locked(twins.twins_out):
        with display("measuring", "clusters") as progress:
            table = measure(
                model,
                images.files(),
                catalog,
                out=out,
                regions=regions,
                samples=samples,
                overwrite=overwrite,
                escape_formulas=escape_formulas,
                n_samples=n_samples,
                align=align,
                check=not no_check,
                **expected.arguments(),
                magnitudes=magnitudes,
                seed=seed,
                **asdict(pixels),
                **images.reading(),
                device=device,
                progress=progress,
                command=command_line(),
            )
        say_measured(table, setup=progress.setup_seconds, seconds=progress.seconds)
        for path in (out, regions, samples):
            if path is not None:
                say(f"Wrote {path}.")
        _simulate_twins(table, twins, seed=seed, overwrite=overwrite)


def _simulate_twins(result: Result, wanted: Twins, *, seed: int, overwrite: bool) -> None:
    """Simulate twins, write them, and say how many clusters are unlike theirs."""
    k, out = wanted.twins, wanted.twins_out
    if k is None or out is None:
        return
    with display("simulating twins", "clusters") as progress:
        made = result.simulate(k, seed=seed, progress=progress, setup=progress.setup)
    made.save(out, overwrite=overwrite)
    unlike = int((made.statistics().p_twins < 1.5 / (k + 1)).sum())
    say(
        f"{unlike} of {len(made)} clusters differ more from their {k} twins than any of these from "
        f"the others; by chance 1 in {k + 1} would."
    )
    say(f"Wrote {out}.")


def evaluate(
    model: Model,
    *,
    out: Annotated[Path, typer.Option(help="Folder for metrics.json, clusters.ecsv, figures.")],
    n: N = 4000,
    n_samples: Samples = 500,
    bands: Annotated[
        str | None, typer.Option(metavar="BAND,…", help="Two or more of the model's bands.")
    ] = None,
    clusters_of: Annotated[
        str | None,
        typer.Option(metavar="SURVEY", help="Another survey that the clusters are drawn from."),
    ] = None,
    told: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=ERROR",
            help="Tell the model the truth with this error: a_v=0, a_v=0.1.",
        ),
    ] = None,
    prior: Priors = None,
    no_nuisances: NoNuisances = False,
    overwrite: Overwrite = False,
    seed: Annotated[int, typer.Option(min=0, help="Not that of the training.")] = 1,
    workers: Workers = None,
    machine: Machine,
) -> None:
    """Measure artificial clusters that the model never saw: bias, scatter, calibration.

    Example: praesepe evaluate phat --n 4000 --seed 7 --out evaluation
    """
    from praesepe.evaluation.assessment import evaluate as evaluate_model

    device = machine.check()
    with display("evaluating", "clusters") as progress:
        evaluation = evaluate_model(
            model,
            n=n,
            seed=seed,
            nuisances=not no_nuisances,
            out=out,
            overwrite=overwrite,
            n_samples=n_samples,
            bands=None if bands is None else bands.split(","),
            survey=clusters_of,
            told=told_errors(told or ()),
            prior=priors(prior or ()),
            device=device,
            workers=workers or workers_for(n, machine),
            progress=progress,
            setup=progress.setup,
        )
    _show(evaluation)
    _say_learned(evaluation["learned"])
    say(f"Wrote {', '.join(evaluation.products)} in {out}.")
    say("metrics.json has more bins, of the true values and of the posterior medians.")


def _show(evaluation: Evaluation) -> None:
    """Print the tables of an evaluation."""
    console = console_on()
    for table in metrics_tables(evaluation, console.width):
        console.print(table, "")


def demo(
    out: Annotated[Path, typer.Option(help="Folder for all files.")] = Path("demo"),
    model: Annotated[
        str, typer.Option(help="Name of a model that is included, or its folder.")
    ] = "phat",
    n: N = 60,
    overwrite: Overwrite = False,
    threads: Threads = None,
) -> None:
    """Measure mock clusters of a model's survey, by default of M31: two minutes, no data needed."""
    from praesepe.report.demo import run_demo

    start = time.perf_counter()
    with display("making a mock mosaic, measuring its clusters", "clusters") as progress:
        done = run_demo(
            out,
            model=model,
            n_clusters=n,
            overwrite=overwrite,
            progress=progress,
            setup=progress.setup,
        )
    field = "A mock field of M31" if model == "phat" else f"A mock field of the survey of {model}"
    say(f"{field} was simulated and measured in {time.perf_counter() - start:.0f} s.")
    say("As in real mosaics, zero points, sharpness and registration are slightly off.")
    say_measured(done.measured)
    _show(done.evaluation)
    say(f"\nFigure   {done.figure}\nTable    {done.table}\nTruth    {done.truth_table}")
    say(f"Regions  {done.regions}")
    images = " ".join(f"--image {quote(f'{band}={path}')}" for band, path in done.images.items())
    say("\nThe same from the command line; put your own mosaics and catalog in place:")
    catalog = quote(str(done.catalog))
    say(f"  praesepe predict {quote(model)} {images} --catalog {catalog} --out measured.ecsv")
    say("Another telescope, galaxy or set of filters: describe it, then train a model for it:")
    say("  praesepe survey init mine.toml && praesepe train mine.toml --out mine --minutes 60")
