"""The documents are true: their Python runs, their commands exist, and the cheap ones run too.

Every document has a folder of its own with the files that its reader has: mosaics of M31 in three
bands, a catalogue, and star fields cut from them. A block that cannot run stands below a comment
``<!-- not run: why -->``; its commands must still be right.
"""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from astropy.table import Table

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
]
BANDS = ("f336w", "f475w", "f814w")
CHEAP = (
    "survey list",
    "survey show",
    "survey init",
    "stars list",
    "predict phat",
    "predict mine",
    "simulate phat --n 1000 ",
)


@dataclass(frozen=True)
class Block:
    """A block of code: its language (empty: a shell's), its text, and whether it is to run."""

    language: str
    text: str
    runs: bool

    def commands(self) -> list[list[str]]:
        """The words of every ``praesepe …`` of a shell block, comments apart."""
        lines = self.text.replace("\\\n", " ").splitlines()
        plain = [line.removeprefix("$ ").strip() for line in lines]
        return [
            [word for word in shlex.split(line, comments=True)[1:] if word != "…"]
            for line in plain
            if line.startswith("praesepe ")
        ]


def blocks(text: str) -> list[Block]:
    """All blocks of a document, in order."""
    pattern = re.compile(r"^(<!-- not run: [^\n]+ -->\n)?^```(\w*)\n(.*?)^```", re.M | re.S)
    return [Block(language, code, not mark) for mark, language, code in pattern.findall(text)]


def of(document: str) -> list[Block]:
    """Blocks of one document."""
    return blocks((ROOT / document).read_text("utf-8"))


WITH_PYTHON = [d for d in DOCUMENTS if any(b.language == "python" for b in of(d))]
WITH_COMMANDS = [d for d in DOCUMENTS if any(b.commands() for b in of(d))]


@pytest.fixture(scope="session")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small mosaic of M31 with clusters, by the names that the documents use."""
    from praesepe.cli.app import app

    folder = tmp_path_factory.mktemp("reader")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = "mosaic phat --n 6 --size 448 --seed 5 --density 20 --out sky"
        app(words.split(), standalone_mode=False)
        images = " ".join(f"--image {b.upper()}=sky/phat_{b}.fits" for b in BANDS)
        words = f"fields build phat {images} --n 2 --size 96 --out fields"
        app(words.split(), standalone_mode=False)
    for band in BANDS:
        for name in (f"m31_{band}.fits", f"{band}.fits"):
            shutil.copy(folder / "sky" / f"phat_{band}.fits", folder / name)
    truth = Table.read(folder / "sky" / "truth.ecsv")
    truth["xcenter"], truth["ycenter"] = truth["x"] + 1, truth["y"] + 1
    truth["ra", "dec", "xcenter", "ycenter"].write(folder / "clusters.csv")
    shutil.rmtree(folder / "sky")
    return folder


@pytest.fixture
def reader(sky: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of someone who follows a document."""
    shutil.copytree(sky, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("document", WITH_PYTHON)
@pytest.mark.filterwarnings("ignore::praesepe.errors.PraesepeWarning")
def test_every_python_example_runs(document: str, request: pytest.FixtureRequest) -> None:
    """In order, as a reader would run them, after the document's cheap commands."""
    here = of(document)
    if any("fits" in block.text or '"fields"' in block.text for block in here):
        request.getfixturevalue("reader")
    else:
        request.getfixturevalue("monkeypatch").chdir(request.getfixturevalue("tmp_path"))
    run_cli = request.getfixturevalue("run_cli")
    namespace: dict[str, Any] = {}
    for block in here:
        if block.language == "python":
            code = compile(block.text, document, "exec")
            if block.runs:
                exec(code, namespace)
        for words in block.commands():
            if block.runs and cheap(words):
                run_cli(*words)
    if document == "docs/tutorial.md":  # what its sentences say
        assert namespace["image"].shape == (3, 64, 64)
        assert namespace["truth"]["n_stars"] > 1000
        assert Path("ages.png").stat().st_size > 10_000


def cheap(words: list[str]) -> bool:
    """Whether a command takes seconds."""
    return (" ".join(words) + " ").startswith(CHEAP)


@pytest.mark.parametrize("document", WITH_COMMANDS)
def test_every_command_exists(document: str) -> None:
    for block in of(document):
        for words in block.commands():
            parse(words)


def parse(words: list[str]) -> None:
    """Read a command's options without running it; fails for a word that it does not know."""
    import typer.main

    from praesepe.cli.app import app

    command: Any = typer.main.get_command(app)
    context = command.make_context("praesepe", list(words))
    rest = list(words)
    while hasattr(command, "commands"):
        _, command, rest = command.resolve_command(context, rest)
        context = command.make_context(command.name, list(rest), parent=context)


def test_a_wrong_option_is_found() -> None:
    with pytest.raises(Exception, match="--sede"):
        parse(["simulate", "phat", "--sede", "1", "--out", "a.fits"])


def test_a_block_that_is_not_run_needs_a_reason() -> None:
    text = "<!-- not run: an hour -->\n```python\na\n```\n<!-- not run: -->\n```python\nb\n```\n"
    assert [block.runs for block in blocks(text)] == [False, True]
