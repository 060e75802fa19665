"""Install the wheel in an empty environment, first the core, then everything, and use it there.

    python tools/try_wheel.py dist

`make dist` runs this. The environment lies in a temporary folder; no file of the repository is
seen from it but the wheel and the constraints.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

CORE = """
import praesepe, torch
estimator = praesepe.Estimator.load("phat")
bands, size = len(estimator.survey.bands), estimator.survey.stamp_size
stamps = torch.zeros(2, bands, size, size)
assert len(estimator.predict(stamps, n_samples=10).samples) == 2
try:
    praesepe.Mosaic
except praesepe.errors.MissingDependencyError as error:
    assert "praesepe[images]" in str(error), error
else:
    raise SystemExit("the core brought astropy along")
"""

ALL = """
import praesepe
for name in praesepe.__all__:
    getattr(praesepe, name)
assert praesepe.Simulator("phat", seed=1).draw(1).images.isfinite().all()
"""


def check_contents(folder: Path) -> Path:
    """Look for the data in the wheel and the tests in the sdist; return the wheel."""
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    source = Path(__file__).resolve().parents[1] / "src"
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    expected = {
        str(path.relative_to(source))
        for path in (source / "praesepe").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    if missing := sorted(expected - inside):
        sys.exit(f"{wheel.name} lacks {', '.join(missing)}")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for file in ("tests/conftest.py", "constraints.txt", "Makefile", "docs/conf.py"):
        if file not in names:
            sys.exit(f"{sdist.name} lacks {file}")
    return wheel


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with one wheel and one sdist")
    parser.add_argument("--constraints", type=Path, default=Path("constraints.txt"))
    parser.add_argument("--torch", default="torch", help="requirement for torch")
    parser.add_argument("--pip-args", default="", help="extra options for pip")
    options = parser.parse_args()
    wheel = check_contents(options.folder).resolve()
    constraints = options.constraints.resolve()

    with tempfile.TemporaryDirectory(prefix="praesepe-wheel-") as place:
        environment = Path(place) / "venv"
        venv.create(environment, with_pip=True)
        programs = environment / ("Scripts" if os.name == "nt" else "bin")
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

        def run(program: str, *arguments: object) -> None:
            words = [str(programs / program), *map(str, arguments)]
            finished = subprocess.run(
                words, cwd=place, env=clean, capture_output=True, text=True, check=False
            )
            if finished.returncode:
                sys.exit(f"{shlex.join(words)} failed:\n{finished.stdout}{finished.stderr}")

        pip = ["-m", "pip", "install", "--quiet", *shlex.split(options.pip_args), "-c", constraints]
        run("python", *pip, options.torch, wheel)
        run("python", "-W", "error", "-c", CORE)
        print(f"{wheel.name}: the core measures stamps")
        run("python", *pip, f"praesepe[all] @ {wheel.as_uri()}")
        run("python", "-c", ALL)
        run("praesepe", "--help")
        run("praesepe", "survey", "show", "phat")
        print(f"{wheel.name}[all]: every public name, the simulator and the command line work")


if __name__ == "__main__":
    main()
