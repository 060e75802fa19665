"""Ctrl-C and SIGTERM, noted between two steps of a training."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self


class Signals:
    """Notes Ctrl-C and SIGTERM while it is open, so that a training can stop between two steps.

    `received` is the signal that came. The second takes its usual course at once. Outside the main
    thread, where Python hands out no signals, nothing is noted.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._usual: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                usual = signal.getsignal(number)
                if usual not in (None, signal.SIG_IGN):  # None: set outside Python
                    self._usual[number] = usual
                    signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._restore()
        if kind is None:
            self.deliver()

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        while self._usual:
            signal.signal(*self._usual.popitem())

    def deliver(self) -> None:
        """Let the signal that came take its usual course: `KeyboardInterrupt`, or the end."""
        if self.received is not None:
            number, self.received = self.received, None
            signal.raise_signal(number)
