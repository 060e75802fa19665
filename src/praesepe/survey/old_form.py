"""Survey files of earlier versions, turned into today's form."""

from __future__ import annotations

import tomllib
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

ORDER: tuple[Path, ...] = (
    (),
    ("observation",),
    ("observation", "bands"),
    ("observation", "nuisance"),
    ("observation", "detector"),
    ("galaxy",),
    ("galaxy", "tides"),
    ("galaxy", "field"),
    ("clusters",),
    ("clusters", "stars"),
    ("clusters", "stars", "imf"),
    ("network",),
)
"""Tables of a survey file in the order in which they are written."""

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


def upgrade(text: str) -> str:
    """Turn a survey file of the earlier form into today's, comments kept.

    Parameters
    ----------
    text : str
        TOML.

    Returns
    -------
    str
        TOML; a text of today's form is returned as it is.

    Raises
    ------
    tomllib.TOMLDecodeError
        Where the text is no TOML.
    """
    content = tomllib.loads(text)
    if not is_old_form(content):
        return text
    wanted = upgraded(content)
    written = _rearranged(text)
    if written is not None and _without_empty(_parsed(written)) == _without_empty(wanted):
        return written
    import tomli_w

    return tomli_w.dumps(wanted)  # unusual TOML, such as inline tables: without its comments


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


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _without_empty(content: Any) -> Any:
    """Nested dictionaries without those that are empty: tables whose keys went elsewhere."""
    if not isinstance(content, dict):
        return content
    kept = {key: _without_empty(value) for key, value in content.items()}
    return {key: value for key, value in kept.items() if value != {}}


def _rearranged(text: str) -> str | None:
    """The lines of a file under today's tables; None where a line is not understood."""
    tables: dict[Path, list[str]] = {path: [] for path in ORDER}
    heads: dict[Path, list[str]] = {}
    old: Path = ()
    waiting: list[str] = []  # comments and empty lines before what comes
    band = False  # whether what comes belongs to a band, which moves as a whole
    lines = iter(text.splitlines())
    for line in lines:
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            waiting.append(line)
            continue
        if stripped.startswith("["):
            name = stripped.partition("#")[0].strip().strip("[]").strip()
            old = tuple(part.strip() for part in name.split("."))
            band = old[0] == "bands"
            new = _moved(old)
            renamed = line.replace(name, ".".join(new), 1)
            if band:
                tables[("observation", "bands")] += [*waiting, renamed]
            elif new not in tables:
                return None
            else:
                heads[new] = [*waiting, renamed]
            waiting = []
            continue
        statement = line
        while _parsed(statement) is None:
            following = next(lines, None)
            if following is None:
                return None
            statement += "\n" + following
        if band:
            tables[("observation", "bands")] += [*waiting, statement]
        else:
            key = statement.partition("=")[0].strip()
            *table, last = _moved((*old, *(part.strip() for part in key.split("."))))
            if tuple(table) not in tables:
                return None
            tables[tuple(table)] += [*waiting, statement.replace(key.split(".")[-1], last, 1)]
        waiting = []
    return _joined(tables, heads, waiting)


def _joined(tables: dict[Path, list[str]], heads: dict[Path, list[str]], end: list[str]) -> str:
    """The file: tables one after another, each with its head, apart by an empty line."""
    blocks = []
    for path, lines in tables.items():
        if path and path != ("observation", "bands"):
            *comments, head = heads.get(path, [f"[{'.'.join(path)}]"])
            lines = [*comments, head, *lines] if lines else comments
        block = "\n".join(lines).strip("\n")
        if block:
            blocks.append(block)
    blocks.append("\n".join(end).strip("\n"))
    return "\n\n".join(block for block in blocks if block) + "\n"
