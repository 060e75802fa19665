"""How OpenMP's threads wait for each other; to be settled before torch is imported.

By default a thread that waits keeps its core busy for a while, because it is back at once when the
work comes. Two runs on the same cores then stop each other (`benchmarks/two_runs.py`). The policy
is read from the environment when torch is loaded. It belongs to the whole process, so the command
line sets it, and the library never does.
"""

from __future__ import annotations

import os
import sys

POLICY = {"OMP_WAIT_POLICY": "PASSIVE"}
"""What the command line sets."""

VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Environment variables with which a user settles it; any of them stands."""

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def wait_shortly() -> None:
    """Let waiting threads sleep, unless the user has said how they wait, or torch is there."""
    if "torch" not in sys.modules and not any(name in os.environ for name in VARIABLES):
        os.environ.update(POLICY)


def use_threads(n: int | None) -> int | None:
    """Use `n` threads for arithmetic, in this process and those it starts."""
    if n is not None:
        os.environ.update(dict.fromkeys(THREADS, str(n)))
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(n)
    return n
