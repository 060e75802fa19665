"""Weights and masks of an image that lie in other files of its folder."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import pixel_to_pixel

from praesepe.errors import listed
from praesepe.images.reading.extensions import is_image, mark_of, quality_bits, rule_of
from praesepe.images.reading.frames import read_wcs
from praesepe.images.reading.packed import uncompressed
from praesepe.images.reading.pixels import Pixels

log = logging.getLogger(__name__)

_FITS = re.compile(r"\.fits?(\.(gz|fz|bz2|xz))?$")

_SCIENCE = {"sci", "science", "drz", "drc", "i2d", "image", "img", "data", "coadd", "bgsub"}
"""Words that the name of an image may have where those of its weights have others, or none."""

_RUN = re.compile(r"-[0-9a-f]+_\d{8}t[\d.]+z_[\d.]+$")
"""Which of Euclid's runs made a file: others made those beside it."""

_OTHER_WORDS = {"con", "time", "samp"}
"""Names of extensions that mean something else in those of files: a continuum, a time."""

_CLOSE_PX = 0.5


def marks_beside(
    pixels: Pixels, path: Path, headers: Any, wcs: WCS | None, label: str, open_pixels: Any
) -> tuple[Pixels, list[str]]:
    """Add what files beside an image mark, ``x_wht.fits`` of ``x_drz.fits``; and say so.

    `headers` and `wcs` are the image's. `open_pixels` gives the stored numbers (…, y, x) of an HDU
    of a file as `Pixels`.
    """
    marks, remarks, unused = [], [], []
    for other, word, rule in files_beside(path):
        if rule == "quality" and word != "dq":
            unused.append(other.name)
            continue
        what = f"{label}: the file {other.name} beside it"
        mark, said = None, [f"{what} is not used: it cannot be read"]
        try:
            with uncompressed(other, what) as plain, fits.open(plain) as hdus:
                hdu = next((one for one in hdus if is_image(one)), hdus[0])
                away_px = _away_px(wcs, read_wcs(hdu.header, what, hdus), pixels.shape)
                if away_px <= _CLOSE_PX:
                    mapped = partial(open_pixels, path=plain, label=what, named=plain == str(other))
                    bits = quality_bits(hdu, (*headers, hdus[0].header))
                    mark, said = mark_of(hdu, rule, pixels, mapped, what, *bits)
                else:
                    said = [f"{what} is not used: by its WCS it lies {away_px:.3g} pixels off"]
        except Exception as error:  # a file that was not asked for stops nobody
            log.info("%s: %s", what, error)
        remarks += said
        marks += [] if mark is None else [replace(mark, name=other.name)]
    if marks:
        names = listed(mark.name for mark in marks)
        remarks.insert(0, f"{label}: which pixels are missing is also taken from {names} beside it")
    if unused:
        remarks.append(
            f"{label}: beside it lies {listed(unused)}, not used, since it is not known what is "
            "marked there; where it is missing pixels, set them to NaN in the image, or add it to "
            "its file as an extension DQ"
        )
    return replace(pixels, marks=tuple(marks)), remarks


def files_beside(path: Path) -> Iterator[tuple[Path, str, str]]:
    """Files of the same folder whose names are that of an image, and a word for what they say.

    Each with that word, and the rule of an extension of this name.
    """
    own = _words(path)
    try:
        others = sorted(path.parent.iterdir()) if own else []
    except OSError:  # a folder that is not there, or cannot be listed
        return
    for other in others:
        words = _words(other)
        if not set(words) & _SCIENCE <= set(own):
            continue
        rest = [word for word in words if word not in _SCIENCE]
        for i, word in enumerate(rest):
            rule = rule_of(word.upper()) if word.isalpha() and word not in _OTHER_WORDS else None
            if rule and rest[:i] + rest[i + 1 :] == [one for one in own if one not in _SCIENCE]:
                yield other, word, rule
                break


def _words(path: Path) -> list[str]:
    """The words in the name of a FITS file; none in that of another."""
    name = path.name.lower()
    return re.split(r"[_.-]+", _RUN.sub("", _FITS.sub("", name))) if _FITS.search(name) else []


def _away_px(wcs: WCS | None, other: WCS | None, shape: tuple[int, int]) -> float:
    """How far the pixels of another file lie from those of an image; 0 where no WCS says."""
    if wcs is None or other is None:
        return 0.0
    y, x = (edges.ravel() for edges in np.meshgrid(*(np.linspace(0, n - 1, 3) for n in shape)))
    there = pixel_to_pixel(wcs, other, x, y)
    return float(np.max(np.hypot(there[0] - x, there[1] - y)))
