"""Files that point to other files or to addresses: they are refused, no link is followed.

The libraries that read VOTable, ASDF and HDF5 follow such links by themselves. A link could send a
request from the user's machine, or make a catalog of a file that the user never named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from praesepe.errors import InputError

_MAY_LINK = re.compile(rb"STREAM|ENTITY|\0")
"""What a VOTable with a link holds in any encoding: the element, an entity of it, or UTF-16."""

_CHUNK = 1 << 20
_LONGEST_WORD = 6


def refuse_links(label: str, links: Iterator[str] | list[str]) -> None:
    """Stop where there are links.

    Raises
    ------
    InputError
        Naming the first of them.
    """
    for link in links:
        raise InputError(
            f"{label} takes its content from elsewhere, {link[:100]!r}: links are not followed",
            given=link,
            remedy="fetch what it points to, and save all in one file",
        )


def votable_links(path: Path) -> Iterator[str]:
    """Where the streams of a VOTable are, those that are not in the file itself."""
    from astropy.utils.data import get_readable_fileobj
    from astropy.utils.xml.iterparser import get_xml_iterator

    with get_readable_fileobj(path, encoding="binary") as file:
        end = b""
        while chunk := file.read(_CHUNK):
            if _MAY_LINK.search(end + chunk):
                break
            end = chunk[-_LONGEST_WORD:]
        else:  # as most are; to parse them twice would take a quarter longer
            return
    with get_xml_iterator(path) as elements:
        for begins, tag, attributes, _ in elements:
            if begins and tag == "STREAM" and attributes.get("href"):
                yield attributes["href"]


def asdf_links(path: Any) -> Iterator[str]:
    """Where the arrays and references of an ASDF file are, those that are not in the file."""
    from asdf.util import load_yaml

    waiting: list[Any] = [load_yaml(path, tagged=True)]
    seen: set[int] = set()  # aliases may be of what they are in
    while waiting:
        node = waiting.pop()
        if id(node) in seen or not isinstance(node, (Mapping, list)):
            continue
        seen.add(id(node))
        if isinstance(node, Mapping):
            if isinstance(link := node.get("$ref"), str) and not link.startswith("#"):
                yield link
            kind = str(getattr(node, "_tag", ""))
            if "/core/ndarray" in kind and isinstance(link := node.get("source"), str):
                yield link
            if "/core/externalarray" in kind:
                yield str(node.get("fileuri"))
        waiting += node.values() if isinstance(node, Mapping) else node


def hdf5_links(file: Any, name: str) -> Iterator[str]:
    """Where a dataset of an open HDF5 file is, unless it is in the file itself."""
    import h5py

    link = file.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        yield link.filename
    elif name in file:
        yield from (source.file_name for source in _sources(file[name]) if source.file_name != ".")
        yield from (external[0] for external in file[name].external or ())


def _sources(dataset: Any) -> list[Any]:
    """What a virtual dataset is put together of."""
    return list(dataset.virtual_sources()) if dataset.is_virtual else []
