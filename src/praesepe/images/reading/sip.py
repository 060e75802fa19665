"""Distortion coefficients (SIP) of a header, held against its CTYPE."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
from astropy.wcs import WCS

from praesepe.errors import listed

_SIP_KEY = re.compile(r"(A|B|AP|BP)_(ORDER|DMAX|\d+_\d+)")


def _sip_axes(header: Any) -> tuple[bool, bool]:
    """Whether a header has SIP coefficients, and whether its CTYPE says so."""
    axes = [str(header.get(f"CTYPE{axis}", "")).upper() for axis in (1, 2)]
    return "A_ORDER" in header or "B_ORDER" in header, any("-SIP" in axis for axis in axes)


def without_leftover_sip(header: Any) -> Any:
    """Leave out SIP coefficients that CTYPE does not mention, which astropy would apply.

    Parameters
    ----------
    header : Header or mapping

    Returns
    -------
    Header or mapping
        Itself, or a copy without them.
    """
    has, says = _sip_axes(header)
    if not has or says:
        return header
    header = header.copy()
    for key in [key for key in header if _SIP_KEY.fullmatch(str(key))]:
        header.pop(key, None)
    return header


def without_sip(wcs: WCS, label: str, shape: tuple[int, int]) -> tuple[WCS, tuple[str, ...]]:
    """As `without_leftover_sip`, of a WCS that was given as such.

    Parameters
    ----------
    wcs : WCS
    label : str
        How messages call the image.
    shape : (int, int)
        Its height and width.

    Returns
    -------
    wcs : WCS
        Itself, or a copy without them.
    remarks : tuple of str
        What to say where there were any.
    """
    axes = tuple(wcs.wcs.ctype)
    if wcs.sip is None or any("-SIP" in axis for axis in axes):
        return wcs, ()
    plain = wcs.deepcopy()
    plain.sip = None
    return plain, (_leftover(f"{label}: the WCS", axes, _moved(wcs, plain, shape)),)


def sip_notes(header: Any, wcs: WCS, *, label: str, shape: tuple[int, int]) -> list[str]:
    """What to say where CTYPE and the distortion coefficients (SIP) of a header disagree.

    Parameters
    ----------
    header : Header
    wcs : WCS
        As it is used.
    label : str
        How messages call the image.
    shape : (int, int)
        Its height and width.

    Returns
    -------
    list of str
    """
    if "CTYPE1" not in header:
        return []
    has, says = _sip_axes(header)
    if has == says:
        return []
    axes = tuple(str(header.get(f"CTYPE{axis}", "")).strip() for axis in (1, 2))
    if says:
        return [
            f"{label}: CTYPE ({listed(axes)}) speaks of SIP distortions, but the header has "
            "no SIP coefficients; positions may be off by what they would move"
        ]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            applied = header.copy()
            for axis in (1, 2):
                applied[f"CTYPE{axis}"] = f"{axes[axis - 1]}-SIP"
            by = _moved(WCS(applied).celestial, wcs, shape)
    except Exception:  # coefficients that make no sense
        by = "; they make no sense"
    return [_leftover(f"{label}: the header", axes, by)]


def _moved(applied: WCS, plain: WCS, shape: tuple[int, int]) -> str:
    """How far SIP coefficients move the corners of an image, for a message."""
    height, width = shape
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], float)
    moved = plain.wcs_world2pix(applied.all_pix2world(corners, 0), 0) - corners
    return f"; they would move positions by up to {np.hypot(*moved.T).max():.3g} px"


def _leftover(where: str, axes: tuple[str, ...], by: str) -> str:
    return (
        f"{where} has SIP coefficients, but its CTYPE ({listed(axes)}) has no -SIP, as in drizzled "
        f"images that keep those of an exposure. They are not applied{by}. Where the image is "
        "distorted, write -SIP in CTYPE"
    )
