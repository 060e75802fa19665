"""Fixtures that all tests share: seeds, reference data, the command line."""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

# Before torch and matplotlib are imported, and for the processes that tests start.
if "PYTEST_XDIST_WORKER" in os.environ:
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
os.environ["MPLBACKEND"] = "Agg"

# A shell's background job ignores Ctrl-C, and so would the processes that tests start from there.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import numpy as np
import pytest
import torch

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parents[1]


TOY_SURVEY = """
name = "toy"
[galaxy]
distance_pc = 785000.0
[galaxy.field]
surface_density = [0.02, 0.1]
[clusters]
log_mass = [2.0, 3.5]
rh_arcsec = [0.1, 0.4]
[network]
stamp_size = 16
[observation]
pixel_scale_arcsec = 0.1
[[observation.bands]]
name = "F475W"
filter = "acs_wfc_f475w"
zero_point_ab = 26.06
exposure_s = 1700.0
sky_e_s = [0.1, 0.2]
asinh_scale = 0.03
"""


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the reference data; the test is skipped where there is none."""
    folder = Path(os.environ.get("PRAESEPE_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(
            "reference data absent (../shared/data); PRAESEPE_SHARED_DATA can say where they are"
        )
    return folder


@pytest.fixture(scope="session")
def toy_survey() -> str:
    """The text of a survey of one band and small stamps."""
    return TOY_SURVEY


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the repository."""
    return ROOT


@pytest.fixture(autouse=True)
def _seeds() -> None:
    """Every test starts from the same state of the global generators."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (for third-party code)
    torch.manual_seed(0)


def _kept(make: Callable[..., Any], key: Callable[..., Any], most: int) -> Callable[..., Any]:
    """A function that keeps its last results, by a key of its arguments.

    Nothing is kept of what reports its progress, or has no key.
    """
    made: dict[Any, Any] = {}

    def once(*arguments: Any, setup: Any = None, **how: Any) -> Any:
        if setup is not None:
            return make(*arguments, setup=setup, **how)
        name = key(*arguments, **how)
        if name is None:
            return make(*arguments, **how)
        if name not in made:
            if len(made) == most:
                made.pop(next(iter(made)))
            made[name] = make(*arguments, **how), arguments  # whose ids stay theirs
        return made[name][0]

    return once


def _of_tables(survey: Any) -> str:
    """All of a survey that its stellar tables depend on."""
    bands = [
        band.model_dump_json(include={"name", "filter", "curve", "instrument", "zero_point_ab"})
        for band in survey.bands
    ]
    clusters = survey.clusters.model_dump_json(exclude={"log_mass", "rh_arcsec", "rh_pc"})
    return str((bands, clusters, survey.galaxy.model_dump_json()))


def _of_sampler(survey: Any, tables: Any, *, limits: Any, device: Any, **how: Any) -> str:
    """All that a sampler of stars depends on."""
    near_far = survey.distance_pc, survey.distance_range_pc
    zero = [band.zero_point_ab for band in survey.bands]
    stars = survey.clusters.stars.model_dump_json()
    what = (id(tables), limits.lowest.tolist(), str(device), sorted(how.items()))
    return str((near_far, zero, stars, what))


def _of_psf(band: Any, **how: Any) -> str | None:
    """A band without a file of its own, and what is asked of its PSF."""
    file = band.psf.file or (band.filter if os.path.exists(band.filter) else None)
    how = {name: str(np.asarray(value).tolist()) for name, value in how.items()}
    return None if file else str((band.model_dump_json(), sorted(how.items())))


@pytest.fixture(scope="session", autouse=True)
def _set_up_once() -> Iterator[None]:
    """Surveys of equal stars share their tables, samplers and PSFs, as `Simulator.another` does.

    Making them is most of the time of many tests.
    """
    from praesepe.sky import simulator
    from praesepe.sky.instrument import render
    from praesepe.sky.tables import SurveyTables

    build: Any = partial(SurveyTables.build.__func__, SurveyTables)  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SurveyTables, "build", staticmethod(_kept(build, _of_tables, 3)))
        patch.setattr(simulator, "star_sampler", _kept(simulator.star_sampler, _of_sampler, 6))
        patch.setattr(render, "band_psf", _kept(render.band_psf, _of_psf, 6))
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    """A numpy generator with a fixed seed."""
    return np.random.default_rng(20190103)


@pytest.fixture
def generator() -> torch.Generator:
    """A torch generator on the CPU with a fixed seed."""
    return torch.Generator().manual_seed(20190103)


@dataclass(frozen=True)
class Finished:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """All that was printed."""
        return self.stdout + self.stderr


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Finished]:
    """Run ``praesepe ARGUMENTS``: ``run_cli("survey", "show", "phat", cwd=tmp_path)``.

    Runs in this process unless ``separate=True``. Fails the test where the exit status is not
    zero, unless ``check=False``. ``env`` adds environment variables.
    """

    def run(
        *arguments: object,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        check: bool = True,
        separate: bool = False,
        timeout: float = 300,
    ) -> Finished:
        words = [str(argument) for argument in arguments]
        if separate:
            process = subprocess.run(
                [sys.executable, "-m", "praesepe", *words],
                capture_output=True,
                text=True,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                timeout=timeout,
                check=False,
            )
            finished = Finished(process.returncode, process.stdout, process.stderr)
        else:
            with monkeypatch.context() as patch:
                patch.setattr(sys, "argv", ["praesepe", *words])
                patch.setenv("COLUMNS", "200")
                for name, value in (env or {}).items():
                    patch.setenv(name, value)
                if cwd is not None:
                    patch.chdir(cwd)
                finished = _run_here()
        if check and finished.returncode != 0:
            pytest.fail(
                f"praesepe {' '.join(words)}: exit status {finished.returncode}\n{finished.output}"
            )
        return finished

    return run


def _run_here() -> Finished:
    """Call the entry point as the console script does; a traceback counts as status 1."""
    from praesepe.cli.app import main

    stdout, stderr, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            result = main()
            status = result if isinstance(result, int) else 0
        except SystemExit as stop:
            if isinstance(stop.code, str):
                print(stop.code, file=sys.stderr)
            status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except Exception:
            traceback.print_exc()
            status = 1
    return Finished(status, stdout.getvalue(), stderr.getvalue())


@pytest.fixture
def run_python() -> Callable[..., Finished]:
    """Run a few lines of Python in a fresh interpreter."""

    def run(code: str, *, timeout: float = 120) -> Finished:
        process = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Finished(process.returncode, process.stdout, process.stderr)

    return run


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    """No figure outlives its test."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
