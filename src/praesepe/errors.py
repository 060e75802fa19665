"""The errors Praesepe raises: each says what was given, what is allowed and what to do."""

from __future__ import annotations

import copy
import difflib
import math
import operator
import re
import warnings
from collections.abc import Callable, Iterable
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


class PraesepeError(Exception):
    """Base class of every error that Praesepe raises on purpose."""


class InputError(PraesepeError, ValueError):
    """The user's input cannot be used as it is; the message says how to mend it.

    Parameters
    ----------
    message : str
        What is wrong.
    given : object, optional
        What was given.
    allowed : object, optional
        What may be given instead: names, a range, a type.
    remedy : str, optional
        What to do; it follows the message.
    code : str, optional
        The same in Python: the argument that mends it, such as ``"overwrite=True"`` or
        ``"units={'F475W': 'electron/s'}"``. It follows the remedy in brackets. The command line
        writes its own option there.

    Examples
    --------
    >>> print(InputError("stamps of 63 px", allowed="an even number", remedy="give 64"))
    stamps of 63 px; give 64
    >>> print(InputError("a.fits exists", remedy="replace it", code="overwrite=True"))
    a.fits exists; replace it (overwrite=True)
    """

    def __init__(
        self,
        message: str,
        *,
        given: Any = None,
        allowed: Any = None,
        remedy: str = "",
        code: str = "",
    ) -> None:
        # The rest lies in the instance's dictionary, which pickle keeps: workers send errors back.
        super().__init__(message)
        self.given = given
        self.allowed = allowed
        self.remedy = remedy
        self.code = code

    def at(self, place: str) -> InputError:
        """The same error, whose message begins with where it was met."""
        error = copy.copy(self)
        error.args = (f"{place}: {self.args[0]}",)
        return error

    def __str__(self) -> str:
        """The message and the remedy, in the words of Python."""
        return self.text()

    def text(self, translate: Callable[[str], str] = str) -> str:
        """The whole message, with `code` in another's words.

        Parameters
        ----------
        translate : callable, optional
            From `code` to what the reader has to write; an empty text leaves it out.

        Returns
        -------
        str
            One or two sentences.
        """
        message = str(self.args[0])
        written = translate(self.code) if self.code else ""
        advice = " ".join(part for part in (self.remedy, f"({written})" if written else "") if part)
        if not advice:
            return message
        join = " " if message.endswith((".", "?", "!")) else "; "
        return message + join + advice


class MissingDependencyError(PraesepeError, ImportError):
    """An optional library is needed for what was asked."""


class PraesepeWarning(UserWarning):
    """The result is usable, but the user should know something about it."""


_ADVICE = re.compile(
    r"\w+=|`|\(\)|::|https?://|\b(arguments?|parameters?|kwargs|usecols|allow_pickle|memmap)\b",
    re.IGNORECASE,
)

_OF_NUMBERS = re.compile("could not convert|invalid literal|not a valid (float|integer)")
"""What Python and numpy say of a text that is no number, before they quote it."""


def reason(error: BaseException) -> str:
    """What another library says is wrong, without its advice about its own options.

    Parameters
    ----------
    error : Exception
        Of a library.

    Returns
    -------
    str
        Its first sentences, 200 characters at most; the kind of error where it says nothing else,
        or speaks of the library's own code.

    Examples
    --------
    >>> reason(OSError("No SIMPLE card found. If this is FITS, try ignore_missing_simple=True"))
    'No SIMPLE card found'
    >>> reason(ValueError("could not convert string to float: 'root:x:0:0'"))
    'it holds text where numbers should be'
    """
    if isinstance(error, KeyError | AttributeError | TypeError | IndexError):
        return f"its content makes no sense ({type(error).__name__})"
    if _OF_NUMBERS.search(str(error)):  # the text itself may be of a file named by mistake
        return "it holds text where numbers should be"
    sentences = re.split(r"(?<=[.;!?])\s+", " ".join(str(error).split()))
    said = " ".join(takewhile(lambda sentence: not _ADVICE.search(sentence), sentences))
    return said.rstrip(".;")[:200] or type(error).__name__


def warn_outside(
    values: NDArray[Any], low: float, high: float, what: str, advice: str, *, stacklevel: int
) -> None:
    """Warn of values beyond a range by more than rounding: how many, of what, and what to do."""
    n = int(((values < low - 1e-4) | (values > high + 1e-4)).sum())
    if n:
        warnings.warn(
            f"{n} of {values.size} values of {what} are outside {low:g} to {high:g}, {advice}",
            PraesepeWarning,
            stacklevel=stacklevel + 1,
        )


def listed(names: object, last: str = "and") -> str:
    """Write names as a sentence does.

    Parameters
    ----------
    names : iterable or object
        What to write; a text or anything that is no iterable stands for itself.
    last : str, optional
        The word before the last one: "and", "or".

    Returns
    -------
    str
        ``"F336W, F475W and F814W"``; ``"none"`` where there are no names.

    Examples
    --------
    >>> listed(["F336W", "F475W", "F814W"])
    'F336W, F475W and F814W'
    >>> listed(["F336W", "F475W"], "or")
    'F336W or F475W'
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        return str(names)
    words = [str(name) for name in names]
    if len(words) < 2:
        return words[0] if words else "none"
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """Return the member of `choices` most like `name`, or None where nothing comes close.

    A difference of upper and lower case counts half; of two that are as like, the one of the same
    letters in another order is taken.
    """

    def likeness(one: str, other: str) -> float:
        return difflib.SequenceMatcher(None, one, other).ratio()

    scores = {
        choice: (likeness(name.lower(), choice.lower()), likeness(name, choice))
        for choice in choices
    }
    close = {choice: sum(score) for choice, score in scores.items() if score[0] >= 0.5}
    letters = sorted(name.lower())
    ranked = {c: (round(score, 9), sorted(c.lower()) == letters) for c, score in close.items()}
    return max(ranked, key=lambda choice: ranked[choice]) if ranked else None


def unknown(
    kind: str, given: str, choices: Iterable[str], advice: str = "", *, code: str = ""
) -> InputError:
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
    code : str, optional
        The same in Python.

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
        f"unknown {kind} {given!r}.{hint} Allowed: {shown or 'none'}.",
        given=given,
        allowed=choices,
        remedy=advice,
        code=code,
    )


def must_be(
    name: str, given: object, allowed: object, remedy: str = "", *, code: str = ""
) -> InputError:
    """The error for a value that is not among the allowed ones, to be raised by the caller.

    >>> print(must_be("origin", 2, (0, 1)))
    origin = 2: it must be 0 or 1
    """
    message = f"{name} = {given!r}: it must be {listed(allowed, 'or')}"
    return InputError(message, given=given, allowed=allowed, remedy=remedy, code=code)


def check_type(
    name: str, value: Any, types: type | tuple[type, ...], allowed: object, remedy: str = ""
) -> Any:
    """Return a value of one of `types`, and refuse any other, which is named by its type.

    >>> check_type("survey", None, (str, Path), ("a name", "a path"))
    Traceback (most recent call last):
    praesepe.errors.InputError: survey is of type NoneType: it must be a name or a path
    """
    if isinstance(value, types):
        return value
    given = type(value).__name__
    message = f"{name} is of type {given}: it must be {listed(allowed, 'or')}"
    raise InputError(message, given=given, allowed=allowed, remedy=remedy)


def bad_suffix(path: Path, allowed: Iterable[str], remedy: str = "", code: str = "") -> InputError:
    """The error for a file of another format, to be raised by the caller.

    >>> print(bad_suffix(Path("data/a.png"), (".csv", ".fits")))
    a.png: the format '.png' is not one of .csv or .fits
    """
    message = f"{path.name}: the format {path.suffix!r} is not one of {listed(allowed, 'or')}"
    given, allowed = path.suffix, tuple(allowed)
    return InputError(message, given=given, allowed=allowed, remedy=remedy, code=code)


def outside(
    name: str,
    given: float | tuple[float, float],
    covers: tuple[float, float],
    of: str,
    remedy: str = "",
) -> InputError:
    """The error for a value or range beyond what something covers, to be raised by the caller.

    >>> print(outside("A_V", 3.0, (0, 1), "the table", "build a wider one"))
    A_V = 3 is outside the table (0 to 1); build a wider one
    """
    low, high = map(float, covers)
    shown = " to ".join(f"{end:g}" for end in (given if isinstance(given, tuple) else (given,)))
    message = f"{name} = {shown} is outside {of} ({low:g} to {high:g})"
    return InputError(message, given=given, allowed=(low, high), remedy=remedy)


def unusable(what: str | Path, fault: str, remedy: str, *, code: str = "") -> InputError:
    """The error for a file or the like that cannot be used, to be raised by the caller.

    >>> print(unusable("a.fits", "is empty", "fetch it again"))
    a.fits is empty; fetch it again
    """
    return InputError(f"{what} {fault}", given=what, remedy=remedy, code=code)


def refuse_unused(why: str, **options: object) -> None:
    """Stop where an option was given that nothing would be made of.

    Parameters
    ----------
    why : str
        Why they mean nothing here.
    **options
        Those that would be ignored; None, False, and empty ones were not given.

    Raises
    ------
    InputError
        Naming them all.
    """
    given = {
        name: value
        for name, value in options.items()
        if not (value is None or value is False or value in ("", (), [], {}))  # 0 was given
    }
    if given:
        raise InputError(
            f"{listed(given)} would be ignored: {why}",
            given=given,
            remedy="leave out what has no use",
            code=", ".join(f"{name}={value!r}" for name, value in given.items()),
        )


def check_number(
    name: str,
    value: Any,
    low: float,
    high: float = math.inf,
    *,
    whole: bool = True,
    above: bool = False,
) -> Any:
    """Check a number that the user gave.

    Parameters
    ----------
    name : str
        What it is called.
    value : object
        What was given.
    low, high : float
        Ends of the allowed range.
    whole : bool, optional
        Whether it must be a whole number; otherwise any finite one will do.
    above : bool, optional
        Whether `low` itself is not allowed.

    Returns
    -------
    int or float
        The number.

    Raises
    ------
    InputError
        Where it is not such a number.
    """
    try:
        number = operator.index(value) if whole else float(value)
        good = low <= number <= high and number < math.inf and not (above and number == low)
    except (TypeError, ValueError, OverflowError):
        number, good = 0, False
    if isinstance(value, bool) or not good:
        least = f"{'greater than' if above else 'at least'} {low}"
        most = "" if high == math.inf else f" and at most {high}"
        allowed = f"{'a whole' if whole else 'a finite'} number, {least}{most}"
        raise must_be(name, value, allowed)
    return number


def is_number(text: str) -> bool:
    """Whether a text can be read as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def already_exists(path: str | Path, choose: str = "name") -> InputError:
    """Build the error for an output that is there and must not be replaced.

    Parameters
    ----------
    path : str or Path
        The output.
    choose : str, optional
        What to choose another of: "name" or "folder".

    Returns
    -------
    InputError
        To be raised by the caller.
    """
    return InputError(
        f"output {path} exists",
        given=path,
        remedy=f"choose another {choose}, or overwrite it",
        code="overwrite=True",
    )
