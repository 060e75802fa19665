"""Standard output and error that do not end the work: other encodings, and readers that go."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from typing import Any

IN_UTF8 = "PYTHONUTF8"


def read_utf8() -> None:
    """Begin again in UTF-8 where file names are ASCII, or those with other letters are no text."""
    if (
        codecs.lookup(sys.getfilesystemencoding()).name == "ascii"
        and os.environ.get(IN_UTF8) != "1"
    ):
        os.environ[IN_UTF8] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def steady_streams() -> None:
    """Let characters that a terminal does not have be escapes, and the work outlive its reader."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or stream is not getattr(sys, f"__{name}__"):
            continue  # there is none, or somebody else's
        stream.flush()
        raw = io.BufferedWriter(Steady(stream.fileno(), "w", closefd=False))
        buffered = bool(stream.line_buffering)
        steady = io.TextIOWrapper(raw, stream.encoding, "backslashreplace", None, buffered)
        setattr(sys, name, steady)


class Steady(io.FileIO):
    """A standard stream of which the reader may go, as with ``| head``: the rest is thrown away.

    What cannot be said on the standard error, because a disk is full, ends nothing either.
    """

    def write(self, data: Any) -> int:
        """Write, or throw away what nobody reads."""
        try:
            return super().write(data)
        except OSError as error:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            if error.errno == errno.EPIPE or self.fileno() == 2:
                return len(data)
            raise
