"""Public names of a package, loaded when they are first used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make a package's ``__getattr__`` and ``__dir__``.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    homes : mapping of str to str
        Public name: the module that defines it.

    Returns
    -------
    tuple of callables
        ``__getattr__``, which raises `AttributeError` with the nearest public name for a typo, and
        ``__dir__``, which lists the public names alone.

    Examples
    --------
    >>> __getattr__, __dir__ = lazy_names("shapes", {"tau": "math"})
    >>> __dir__()
    ['tau']
    """

    def load(name: str) -> Any:
        if name in homes:
            value = getattr(import_module(homes[name]), name)
            setattr(sys.modules[package], name, value)
            return value
        message = f"module {package!r} has no attribute {name!r}."
        if not name.startswith("__"):
            from praesepe.errors import nearest

            close = nearest(name, homes)
            public = ", ".join(homes)
            message += f" Did you mean {close!r}?" if close else f" Public names: {public}."
        raise AttributeError(message, name=name)

    return load, lambda: sorted(homes)
