"""Survey files of earlier versions, turned into today's form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Path = tuple[str, ...]

MOVED: dict[Path, Path] = {
    ("telescope",): ("observation", "telescope"),
    ("pixel_scale_arcsec",): ("observation", "pixel_scale_arcsec"),
    ("bands",): ("observation", "bands"),
    ("nuisance",): ("observation", "nuisance"),
    ("detector",): ("observation", "detector"),
    ("distance_pc",): ("galaxy", "distance_pc"),
    ("prior", "tides"): ("galaxy", "tides"),
    ("field",): ("galaxy", "field"),
    ("prior", "centre_shift_px"): ("clusters", "center_shift_px"),
    ("prior",): ("clusters",),
    ("stars", "metallicity"): ("clusters", "metallicity"),
    ("stars", "a_v"): ("clusters", "a_v"),
    ("stars", "a_v_scatter"): ("clusters", "a_v_scatter"),
    ("stars",): ("clusters", "stars"),
    ("stamp_size",): ("network", "stamp_size"),
}
"""Where a key, or all keys of a table, went; the longest match counts."""

_OLD_KEYS = frozenset(path[0] for path in MOVED)


def is_old_form(content: dict[str, Any]) -> bool:
    """Whether nested dictionaries are a survey of the form that earlier versions had."""
    today = {"observation", "galaxy", "clusters", "network"}
    return not today & set(content) and bool(_OLD_KEYS & set(content))


def upgraded(content: dict[str, Any]) -> dict[str, Any]:
    """Turn a survey of the earlier form, given as nested dictionaries, into today's."""
    new: dict[str, Any] = {}
    for path, value in _leaves(content):
        table = new
        *tables, key = _moved(path)
        for name in tables:
            table = table.setdefault(name, {})
        table[key] = value
    return new


def _moved(path: Path) -> Path:
    """Today's place of a key."""
    for n in range(len(path), 0, -1):
        if path[:n] in MOVED:
            return MOVED[path[:n]] + path[n:]
    return path


def _leaves(content: dict[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Places and values of all keys; tables that stay together are values."""
    for key, value in content.items():
        here = (*path, key)
        splits = any(len(old) > len(here) and old[: len(here)] == here for old in MOVED)
        if splits and isinstance(value, dict):
            yield from _leaves(value, here)
        elif not (splits and value is None):
            yield here, value
