"""What made an output: one record for tables, metrics, manifests and FITS headers."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from praesepe.version import __version__

KEYWORDS = {
    "survey": ("SURVEY", "survey of the simulation"),
    "survey_fingerprint": ("SURVHASH", ""),
    "seed": ("SEED", "of the simulator"),
    "first": ("FIRST", "number of the first cluster in the set, from 0"),
    "n": ("NMOCKS", "clusters in this file"),
    "field_density": ("FIELDDEN", "[solMass/pc2] initial mass of field stars"),
    "nuisances": ("NUISANCE", "random zero points, blur, registration"),
    "praesepe_version": ("PRAESEPE", "version of the code"),
    "stream": ("STREAM", "number of the code's random sequence"),
    "spectra": ("SPECTRA", "content of the stellar spectra"),
    "stars": ("STARKEYS", "content of the stellar models"),
    "set": ("SETID", "of the files that belong together"),
    "date": ("DATE", ""),
}
"""FITS keyword and comment of what a record may hold."""


class _Survey(Protocol):
    @property
    def name(self) -> str: ...

    def fingerprint(self) -> str: ...


class _Model(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str | None: ...

    @property
    def survey_fingerprint(self) -> str: ...


def provenance_of(
    survey: _Survey, *, model: _Model | None = None, **settings: Any
) -> dict[str, Any]:
    """Tell what made an output.

    Parameters
    ----------
    survey : Survey
        Told by its name and the fingerprint of its content.
    model : Estimator, optional
        Told by its name and version; the fingerprint is then that of its training.
    **settings
        What else the output depends on: seed, options, command, date (see `now`).

    Returns
    -------
    dict of str to object
        Plain values, for JSON and the metadata of tables.
    """
    named = {} if model is None else {"model": model.name, "model_version": str(model.version)}
    return {
        **named,
        "survey": survey.name,
        "survey_fingerprint": survey.fingerprint() if model is None else model.survey_fingerprint,
        "praesepe_version": __version__,
        **settings,
    }


def cards(record: Mapping[str, Any]) -> list[tuple[str, Any, str]]:
    """Keyword, value and comment of what `KEYWORDS` lists of a record: FITS cards."""
    known = [(record[name], KEYWORDS[name]) for name in KEYWORDS if name in record]
    return [(keyword, value, comment) for value, (keyword, comment) in known]


def now() -> str:
    """Date and time in UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def difference(then: Any, now: Any, defaults: Mapping[str, Any] | None = None) -> str:
    """What differs between two records: ``"galaxy.distance_pc 785000.0, now 900000.0"``.

    A key that only one has is at its default, which `defaults` may tell.
    """
    if isinstance(then, dict) and isinstance(now, dict):
        then, now = _flat(then), _flat(now)
        usual = {key: (defaults or {}).get(key, "default") for key in {**now, **then}}
        values = [(key, then.get(key, usual[key]), now.get(key, usual[key])) for key in usual]
        return ", ".join(f"{key} {a!r}, now {b!r}" for key, a, b in values if a != b)
    return f"{then or 'none'!r}, now {now or 'none'!r}"


def _flat(content: Any, place: str = "") -> dict[str, Any]:
    """Values of nested dictionaries by their keys, joined by dots; of a list's, by their names."""
    if isinstance(content, list) and content and all(isinstance(one, dict) for one in content):
        content = {str(one.get("name", i)): one for i, one in enumerate(content)}
    if not isinstance(content, dict):
        return {place: content}
    return {
        path: value
        for key, part in content.items()
        for path, value in _flat(part, f"{place}.{key}" if place else key).items()
    }


def ascii_text(text: str) -> str:
    r"""Text as FITS can hold it: other characters are escaped, as in Python, ends of lines blanks.

    >>> print(ascii_text("é.fits"))
    \xe9.fits
    """
    return re.sub(r"[^ -~]+", " ", text.encode("ascii", "backslashreplace").decode())


def any_text(text: str) -> str:
    r"""Text that `ascii_text` escaped as it was.

    >>> any_text(r"mag_\xe9")
    'mag_é'
    """
    return _ESCAPED.sub(lambda found: chr(int(found[1][1:], 16)), text)


_ESCAPED = re.compile(r"\\(x[89a-f][0-9a-f]|u[0-9a-f]{4}|U00(?:0[0-9a-f]|10)[0-9a-f]{4})")


def add_cards(
    header: Any, cards: Iterable[tuple[str, Any, str]], command: str | None = None
) -> None:
    """Set cards of a FITS header, their text as FITS can hold it; a command goes into HISTORY."""
    for keyword, value, comment in cards:
        header[keyword] = (ascii_text(value) if isinstance(value, str) else value, comment)
    if command:
        header["HISTORY"] = ascii_text(command)
