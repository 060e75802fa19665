"""What the commands share: types of options, and how arguments are read."""

from __future__ import annotations

import ast
import logging
import os
import re
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from praesepe.cli.waiting import use_threads
from praesepe.errors import InputError, is_number
from praesepe.files import check_output
from praesepe.version import __version__

log = logging.getLogger(__name__)

Model = Annotated[str, typer.Argument(help="Name of a model that is included, or its folder.")]
SurveyName = Annotated[
    str, typer.Argument(help="Name of a survey that is included, or a TOML file.")
]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same result.")]
N = Annotated[int, typer.Option("--n", min=1, help="Number of clusters.")]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1, callback=use_threads, help="Threads of a process; default: the number of cores."
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Processes that share the work, each with one thread; default: one for 2000 clusters, "
        "as many as there are cores, 8 at most.",
    ),
]
Catalog = Annotated[
    Path, typer.Option(help="CSV or other text, ECSV, FITS or VOTable with ra, dec, or x, y.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace output files that exist.")]
Priors = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=FORM:NUMBER",
        help="Another prior than the training's: a_v=exponential:0.7, log_mass=power:-2, "
        "log_age=uniform:6.6:9.5, log_rh=normal:-0.6:0.2; a_v=uniform: over the whole range.",
    ),
]
Samples = Annotated[int, typer.Option(min=1, help="Posterior draws per cluster.")]
Align = Annotated[
    bool, typer.Option("--align", help="Lay shifted bands on each other by their stars.")
]
NoCheck = Annotated[bool, typer.Option("--no-check", help="Do not look at the images before.")]
NoNuisances = Annotated[
    bool,
    typer.Option("--no-nuisances", help="Perfect zero points, sharpness and registration."),
]


@dataclass(frozen=True)
class Images:
    """Options that say which images there are, and how to read them."""

    image: Annotated[
        list[str] | None,
        typer.Option(metavar="BAND=FILE", help="Mosaic of one band; repeat for every band."),
    ] = None
    unit: Annotated[
        list[str] | None,
        typer.Option(metavar="BAND=UNIT", help="Unit of the pixels, in place of BUNIT; repeat."),
    ] = None
    zero_point: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BAND=MAG",
            help="AB magnitude of 1 e-/s ('25.3 Vega': Vega's), in place of PHOTFLAM; repeat.",
        ),
    ] = None
    no_wcs: Annotated[
        bool, typer.Option("--no-wcs", help="Accept images without a WCS; needs --x, --y.")
    ] = False

    def files(self) -> dict[str, Path | str]:
        """The file of each band."""
        named = by_band("--image", self.image)
        files = {band: file if "://" in file else Path(file) for band, file in named.items()}
        if not files:
            raise InputError("no images", given=(), remedy="give --image BAND=FILE for every band.")
        return files

    def reading(self) -> dict[str, Any]:
        """Units, zero points and the WCS, as the library takes them."""
        return {
            "units": by_band("--unit", self.unit),
            "zero_points": by_band("--zero-point", self.zero_point),
            "allow_no_wcs": self.no_wcs,
        }


Known = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE[:ERROR]",
        help="What is known: a_v=0.4:0.1, or columns, a_v=AV:AV_ERR; distance_pc=785e3.",
    ),
]


@dataclass(frozen=True)
class Expected:
    """Options that say what is known of clusters, and what to expect, before looking."""

    known: Known = None
    prior: Priors = None
    cluster_odds: Annotated[
        str | None,
        typer.Option(
            metavar="CLUSTERS:OTHERS",
            help="How often to expect a cluster, before looking: 1:1000 in a scan; default: 1:1.",
        ),
    ] = None

    def arguments(self) -> dict[str, Any]:
        """The same, as the library takes it."""
        return {
            "known": known_values(self.known or ()),
            "prior": priors(self.prior or ()),
            "cluster_odds": self.cluster_odds,
        }


@dataclass(frozen=True)
class PixelColumns:
    """Options that say what the columns of a catalog are."""

    ra: Annotated[
        str | None, typer.Option(help="Catalog's column of right ascension, if not a usual name.")
    ] = None
    dec: Annotated[str | None, typer.Option(help="Catalog's column of declination.")] = None
    x: Annotated[str | None, typer.Option(help="Catalog's column of pixel x.")] = None
    y: Annotated[str | None, typer.Option(help="Catalog's column of pixel y.")] = None
    origin: Annotated[
        int | None, typer.Option(help="Coordinate of the first pixel: 1 (DS9) or 0 (numpy).")
    ] = None
    columns: Annotated[
        str | None,
        typer.Option(metavar="NAME,…", help="Names of a catalog's columns that has no header."),
    ] = None


@dataclass(frozen=True)
class ImagePixels(PixelColumns):
    """The same where there are several images."""

    pixels_of: Annotated[
        str | None,
        typer.Option(metavar="BAND", help="Band whose image x and y are of, if they differ."),
    ] = None


@dataclass(frozen=True)
class Twins:
    """Options that ask for twins of the clusters."""

    twins: Annotated[
        int | None, typer.Option(min=1, help="Simulate so many clusters of each posterior.")
    ] = None
    twins_out: Annotated[
        Path | None, typer.Option(help="Stamps beside their twins to write, for DS9: .fits.")
    ] = None

    def check(self, inputs: Iterable[Path], *, overwrite: bool) -> None:
        """Refuse half of what twins need, or a file that cannot be written, before the work."""
        if (self.twins is None) != (self.twins_out is None):
            raise InputError(
                "twins need their number and a file",
                given=(self.twins, self.twins_out),
                remedy="give both --twins and --twins-out, or neither.",
            )
        if self.twins_out is not None:
            check_output(self.twins_out, (".fits",), overwrite=overwrite, inputs=inputs)


@dataclass(frozen=True)
class Machine:
    """Options that say what to compute with."""

    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu"
    threads: Threads = None

    def check(self) -> str:
        """The device; refuse one that this machine does not have."""
        import torch

        from praesepe.device import usable_device

        kind = usable_device(self.device).type
        threads = torch.get_num_threads()
        log.info(
            "praesepe %s, torch %s, %s, threads: %d", __version__, torch.__version__, kind, threads
        )
        return self.device


def workers_for(n: int, machine: Machine) -> int:
    """How many processes should share `n` clusters: each takes seconds and memory to start."""
    if machine.device != "cpu":
        return 1
    cores = machine.threads or os.cpu_count() or 1
    return max(1, min(n // 2000, cores, 8))


def command_line() -> str:
    """The command line as typed, for the metadata of outputs."""
    return shlex.join(["praesepe", *sys.argv[1:]])


OPTIONS = {
    "allow_no_wcs": "--no-wcs",
    "edge_px": "--edge",
    "exclude_radius_arcsec": "--exclude-radius",
    "units": "--unit",
    "zero_points": "--zero-point",
}
"""Arguments of the library whose options have another name."""

COMMANDS = {
    "praesepe.build_fields": "praesepe fields build",
    "praesepe.import_isochrones": "praesepe stars import FILE --name NAME",
    "praesepe.init_survey": "praesepe survey init",
    "praesepe.upgrade_survey": "praesepe survey upgrade",
}
"""Functions of the library that are commands."""


def as_options(code: str) -> str:
    """Write what an error advises in Python as the command line has it.

    Of arguments, ``"units={'F475W': 'Jy'}"``, the options, ``"--unit F475W=Jy"``; of a call of a
    function the command; empty where there is none.
    """
    if called := re.match(r"([\w.]+)\((?:'(.*)'\)$)?", code):
        file = shlex.quote(called[2]) if called[2] else None
        return " ".join(filter(None, (COMMANDS.get(called[1]), file)))
    try:
        call = ast.parse(f"f({code})", mode="eval").body
        given = {one.arg: ast.literal_eval(one.value) for one in getattr(call, "keywords", [])}
    except (SyntaxError, ValueError):  # no arguments, but something for Python alone
        return ""
    words = []
    for name, value in given.items():
        option = OPTIONS.get(str(name), "--" + str(name).replace("_", "-"))
        if isinstance(value, dict):
            words += [
                f"{option} {shlex.quote(f'{key}={_joined(one)}')}" for key, one in value.items()
            ]
        else:
            words.append(option if value is True else f"{option} {shlex.quote(str(value))}")
    return " ".join(words)


def _joined(value: object) -> str:
    """A value, or several with colons between them."""
    return ":".join(map(str, value if isinstance(value, tuple) else (value,)))


def positive(value: float | None) -> float | None:
    """Refuse 0 and less."""
    if value is not None and not value > 0:
        raise typer.BadParameter(f"{value:g} is not more than 0.")
    return value


def known_values(pairs: Iterable[str]) -> dict[str, Any]:
    """Read arguments ``NAME=VALUE[:ERROR]`` of ``--known``; both may be the name of a column."""
    known: dict[str, Any] = {}
    for pair in pairs:
        name, _, told = pair.partition("=")
        value, colon, error = told.partition(":")
        try:
            if not (name and value) or name in known or bool(colon) != bool(error):
                raise ValueError
            what, its_error = (float(one) if is_number(one) else one for one in (value, error))
            known[name] = (what, its_error) if colon else what
        except ValueError:
            raise InputError(
                f"--known {pair}",
                given=pair,
                remedy="write NAME=VALUE, NAME=VALUE:ERROR or NAME=COLUMN:ERROR, each name once",
            ) from None
    return known


def told_errors(pairs: Iterable[str]) -> dict[str, float]:
    """Read arguments ``NAME=ERROR`` of ``--told``."""
    told: dict[str, float] = {}
    for pair in pairs:
        name, _, error = pair.partition("=")
        if not (name and is_number(error)) or name in told:
            remedy = "write NAME=ERROR, such as a_v=0.1, each name once"
            raise InputError(f"--told {pair}", given=pair, remedy=remedy)
        told[name] = float(error)
    return told


def priors(pairs: Iterable[str]) -> dict[str, str]:
    """Read arguments ``NAME=FORM:NUMBER`` of ``--prior``."""
    given: dict[str, str] = {}
    for pair in pairs:
        name, _, form = pair.partition("=")
        if not (name and form) or name in given:
            remedy = "write NAME=FORM:NUMBER, such as a_v=exponential:0.7, each name once"
            raise InputError(f"--prior {pair}", given=pair, remedy=remedy)
        given[name] = form
    return given


def by_band(option: str, pairs: list[str] | None) -> dict[str, str]:
    """Read arguments ``BAND=…`` of an option."""
    example = {"--image": "f475w.fits", "--unit": "electron/s", "--zero-point": "26.06"}[option]
    values: dict[str, str] = {}
    for pair in pairs or []:
        band, _, value = pair.partition("=")
        if not (band and value):
            remedy = f"write BAND=…, e.g. {option} F475W={example}"
            raise InputError(f"{option} {pair}", given=pair, remedy=remedy)
        if band in values:
            fault = f"band {band!r} is given twice"
            raise InputError(f"{option} {pair}: {fault}", given=pair, remedy="give it once")
        values[band] = value
    return values
