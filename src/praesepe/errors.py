"""The errors Praesepe raises: each says what was given, what is allowed and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PraesepeError(Exception):
    """Base class of every error that Praesepe raises on purpose."""


class InputError(PraesepeError, ValueError):
    """The user's input cannot be used as it is; the message says how to mend it."""


class MissingDependencyError(PraesepeError, ImportError):
    """An optional library is needed for what was asked."""


class PraesepeWarning(UserWarning):
    """The result is usable, but the user should know something about it."""


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """Return the member of `choices` most like `name`, or None where nothing comes close."""
    options = {choice.lower(): choice for choice in choices}
    matches = difflib.get_close_matches(name.lower(), list(options), n=1, cutoff=0.5)
    return options[matches[0]] if matches else None


def unknown(kind: str, given: str, choices: Iterable[str], advice: str = "") -> InputError:
    """Build the error for a name that is not among the allowed ones.

    Parameters
    ----------
    kind : str
        What the name should have named, e.g. ``"survey"``.
    given : str
        The name that was given.
    choices : iterable of str
        The allowed names.
    advice : str, optional
        What the user can do.

    Returns
    -------
    InputError
        To be raised by the caller.
    """
    choices = tuple(choices)
    close = nearest(given, choices)
    hint = f" Did you mean {close!r}?" if close else ""
    shown = ", ".join(map(repr, choices[:30])) + (", …" if len(choices) > 30 else "")
    return InputError(
        f"unknown {kind} {given!r}.{hint} Allowed: {shown or 'none'}. {advice}".strip()
    )
