"""What is wrong with a file that cannot be read, in our own words."""

from __future__ import annotations

import os
from typing import BinaryIO

_BLOCK, _CARD = 2880, 80
_BITPIX = (8, 16, 32, 64, -32, -64)
_MOST_AXES = 999


def packed_fault(error: BaseException) -> str:
    """What an error in unpacking means."""
    if isinstance(error, EOFError):
        return "it ends too early"
    strerror = getattr(error, "strerror", None)
    return f"the disk says: {strerror}" if strerror else "its content is damaged"


def fits_fault(path: str) -> str:
    """The first fault of a FITS file by its blocks (FITS standard 4.0, sections 3 and 4).

    Parameters
    ----------
    path : str
        Of a file that is not packed.
    """
    size, number = os.path.getsize(path), 0
    with open(path, "rb") as file:
        while (start := file.tell()) < size:
            where = f"the header of extension {number}" if number else "the primary header"
            cards, fault = _read_header(file)
            if number and not cards.get("XTENSION"):
                return f"behind byte {start} there is no extension, but something else"
            n_bytes, fault = (0, fault) if fault else _data_size(cards)
            if fault:
                return f"{where} {fault}"
            if (end := file.tell() + n_bytes) > size:
                what = f"extension {number}" if number else "the primary image"
                return f"{what} ends at byte {end}, the file at byte {size}"
            file.seek(-(-end // _BLOCK) * _BLOCK)
            number += 1
    return (
        "its blocks are whole, but what its headers say cannot be used; report it where other "
        "programs read it"
    )


def _read_header(file: BinaryIO) -> tuple[dict[str, str], str]:
    """Values of a header by keyword, as they are written; and its fault, if it has one."""
    cards: dict[str, str] = {}
    while True:
        start, block = file.tell(), file.read(_BLOCK)
        for at in range(0, len(block), _CARD):
            card = block[at : at + _CARD].decode("latin-1")
            if card[:8].rstrip() == "END" and len(block) == _BLOCK:
                return cards, ""
            cards.setdefault(card[:8].rstrip(), card[10:].partition("/")[0].strip())
            wrong = next((i for i, one in enumerate(card) if not " " <= one <= "~"), None)
            if wrong is not None:
                return cards, f"holds what is no text at byte {start + at + wrong}"
        if len(block) < _BLOCK:
            return cards, "is not whole: the file ends in it"


def _data_size(cards: dict[str, str]) -> tuple[int, str]:
    """Bytes of the data behind a header; and the fault of the cards that tell, if there is one."""
    found: dict[str, int] = {}
    defaults = {"PCOUNT": "0", "GCOUNT": "1"}
    names = ["BITPIX", "NAXIS", *defaults]
    for name in names:  # which grows
        if (text := cards.get(name, defaults.get(name))) is None:
            return 0, f"lacks {name}"
        try:
            found[name] = int(text)
        except ValueError:
            return 0, f"has {name} = {text or 'nothing'}, which is no whole number"
        if found[name] < 0 and name != "BITPIX":
            return 0, f"has {name} = {text}"
        if name == "NAXIS":
            if found[name] > _MOST_AXES:
                return 0, f"has NAXIS = {text}"
            names += [f"NAXIS{i + 1}" for i in range(found[name])]
    if found["BITPIX"] not in _BITPIX:
        return 0, f"has BITPIX = {found['BITPIX']}"
    pixels = int(found["NAXIS"] > 0)
    for i in range(found["NAXIS"]):
        pixels *= found[f"NAXIS{i + 1}"]
    return abs(found["BITPIX"]) // 8 * found["GCOUNT"] * (found["PCOUNT"] + pixels), ""
