"""Metrics of a training: one line now and then, in memory, in a file and in TensorBoard."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from praesepe.errors import PraesepeError, reason
from praesepe.files import atomic

log = logging.getLogger(__name__)

METRICS = "metrics.jsonl"
CURVES = ("loss", "valid_loss", "learning_rate", "stamps_per_s")
"""What TensorBoard shows."""

Line = dict[str, Any]
Report = Callable[[Line], None]


class MetricsLog:
    """Keeps the lines of metrics, writes them where there is a folder, and reports them."""

    def __init__(self, folder: Path | None, report: Report | None) -> None:
        self.lines: list[Line] = []
        self._path = None if folder is None else folder / METRICS
        self._report = report
        self._board: Any = None

    def open(self, step: int) -> None:
        """Take up the lines of an earlier run up to a step, and open TensorBoard's file."""
        if self._path is None:
            return
        self.lines = read_metrics(self._path)
        self.drop_after(step)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:  # a bare node: metrics.jsonl says the same
            return
        self._usual, threading.excepthook = threading.excepthook, self._thread_ended
        make = partial(SummaryWriter, purge_step=step + 1)
        self._board = self._on_board(make, self._path.with_name("tensorboard"))

    def _thread_ended(self, error: Any) -> None:
        """Say nothing of an error of TensorBoard's thread: it is raised where it writes next."""
        if not type(error.thread).__module__.startswith("tensorboard"):
            self._usual(error)

    def _on_board(self, do: Callable[..., Any], *arguments: Any) -> Any:
        """Let TensorBoard do something; where it cannot, the training goes on without it."""
        try:
            return do(*arguments)
        except OSError as error:
            log.warning("%s; %s goes on without TensorBoard", reason(error), METRICS)
            self._board = None

    def drop_after(self, step: int) -> None:
        """Drop the lines past a step, which are to be written anew."""
        self.lines = [line for line in self.lines if line["step"] <= step]
        if self._path is not None and self._path.exists():
            with atomic(self._path) as partial:
                partial.write_text("".join(json.dumps(line) + "\n" for line in self.lines))

    def write(self, line: Line) -> None:
        """Add a line."""
        self.lines.append(line)
        if self._path is not None:
            try:
                with self._path.open("a") as file:
                    file.write(json.dumps(line) + "\n")
            except OSError as error:
                raise PraesepeError(f"could not write {self._path}: {reason(error)}") from error
        shown = {key: line[key] for key in CURVES if line[key] is not None}
        for key, value in shown.items():
            if self._board is not None:
                self._on_board(self._board.add_scalar, key, value, line["step"])
        if self._report is not None:
            self._report(line)

    def flush(self) -> None:
        """Let TensorBoard show all of it."""
        if self._board is not None:
            self._on_board(self._board.flush)

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._board is not None:
            self._on_board(self._board.close)
        if threading.excepthook == self._thread_ended:
            threading.excepthook = self._usual


def read_metrics(path: Path) -> list[Line]:
    """Lines of a file of metrics; one that a kill cut short is left out."""
    lines = []
    for text in path.read_text().splitlines() if path.exists() else ():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and {"step", "loss"} <= line.keys():
            lines.append(line)
    return lines
