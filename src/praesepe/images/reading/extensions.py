"""Which HDU of a file is the image, and what the others say of its pixels."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from astropy.io import fits

from praesepe.errors import InputError, listed, unknown
from praesepe.images.reading.compressed import dither_steps, steps_of_pixels
from praesepe.images.reading.gaps import FloatImage
from praesepe.images.reading.pixels import Mark, Pixels

log = logging.getLogger(__name__)

_NOT_SCIENCE = re.compile(
    r"^(WHT|WGT|WEIGHT|CTX|CON|ERR|DQ|VAR|RMS|EXP|MASK|SAMP|TIME|MDRIZ|NSIG|IVM|BKG|SIP|D2IM|"
    r"MOD|RESID|PSF|SEG|COV|UNCERT|SIGMA|FLAG|AREA|WAVE|CHI|BACKGR|SKY$|NOISE|STD|STAT$|SUBTR|UNC$|"
    r"S(IG)?_?(2|TO_?)?NR?$|FLAT|DARK$|BIAS$)"
)

_SCIENCE = "(SCI(ENCE)?|DR[ZC]|DATA|IMAGE)"

_RULES = {
    "weight": r"(WHTS?|WEIGHTS?|WGT|WT|IVM|INV?VAR|IVAR|COV(ERAGE)?|N?HITS?|EXP(OSURE|TIME)?|TIME|"
    r"SAMP)(_?(MAP|IMAGE|IMG|TIME))?\d?",
    "context": r"CTX|CON|CONTEXT",
    "error": r"ERR(OR)?|RMS|SIGMA|UNC(ERT(AINTY)?)?",
    "variance": r"VAR(IANCE)?",
    "part": r"VAR_.+",
    "quality": r"(DQ|DATA_QUALITY|QUALITY|BPM|MSK|FLG|IMAFLAGS|FLAGS?|"
    r"((BAD|BIT|SAT|CR|DQ)_?)?MASKS?|BAD(_?PIX(ELS?)?)?)(_?(MAP|IMAGE|IMG))?",
}
"""What the extensions beside an image say, by their names. A part of the variance may be zero; it
is looked at where there is no error."""

_NO_ERROR, _FAR_FROM_USUAL = 1e9, 1e4
"""Errors from here on, and those so many times the usual one, stand for no measurement; and weights
so many times squared below the usual one: they go with the inverse variance, or less steeply."""

_SAYS_NOTHING = re.compile(
    r"SCI|F\d+[A-Z]+\d?|[A-Z]|(BKG|BACKGR|MOD|RESID|SEG|PSF|SIP|D2IM|WCSDVARR|WAVE|AREA|MDRIZ|"
    r"SUBTR|NSIG|SKY|FLAT).*|SNR|CHI(_?(2|SQ).*)?"
)
"""Extensions that say nothing of missing pixels, or are the image of another band."""

_EITHER_SENSE = r"MASKS?|MSK|BAD_?PIX.*|BPM"
"""Marks in which 1 may mean good; what quality flags and their kinds mean follows from the name."""

_NO_IMAGE = re.compile(
    r"(?:^|[_.-])(wht|weights?|invvar|ivm|rms|err|unc|ctx|flag|segm?|segmentation|bgmod)(?=[_.-]|$)"
    r"|[_.-](bkg|background|model|residual|psf|mask|dq|exp|var|snr|flat)$"
)
"""Words in the name of a file (without its endings) that holds no science image."""

_QUALITY = {"JWST": (1, 2), "ROMAN": (1, 2), "HST": (1 | 2 | 4 | 8 | 4096 | 8192, 256 | 2048)}
"""Bits of data quality that mark pixels without a measurement, and saturated ones, by telescope:
DO_NOT_USE; lost, filled, bad, masked pixels and cosmic rays. Elsewhere all bits count."""

_PHOTOMETRY = ("PHOTFLAM", "PHOTPLAM", "PHOTMODE")
_LEAST_LEFT, _MOST = 0.1, 0.45
_MANY_NEGATIVE = 0.1
"""Share of an error or weight map; interpolation makes a few negative beside gaps."""

_STRIP_ROWS = 512


def title(hdu: Any, hdus: Any = ()) -> str:
    """How an extension is called, and chosen: ``"SCI,1"``, or by its number."""
    if hdu.name or hdu not in hdus:
        return f"{hdu.name},{hdu.ver}" if hdu.name else "without a name"
    return str(list(hdus).index(hdu))


def _name(hdu: Any) -> str:
    """Name of an extension, whatever its case; astropy leaves that of a file as it is."""
    return str(hdu.name).strip().upper()


def choose_hdu(hdus: fits.HDUList, label: str, band: str, extension: str | None = None) -> Any:
    """Find the science image by name or by content, never by position.

    It is the one that the user's `extension` names; else that which is called SCI or like the
    band (SCI_F475W); or DRZ, DATA, …; otherwise the only two-dimensional image with a celestial
    WCS that is not called a weight, error, quality or context map, or a model; otherwise the only
    such image. An image of one value gives way to another.
    """
    images = [hdu for hdu in hdus if is_image(hdu)]
    if extension is not None:
        extension = re.sub(r"[\s()'\"]", "", extension)  # also [SCI, 1] and ('SCI', 1)
        for hdu in images:
            if extension.upper() in (_name(hdu), f"{_name(hdu)},{hdu.ver}", str(hdus.index(hdu))):
                return hdu
        raise unknown(f"image extension in {label}:", extension, [title(h, hdus) for h in images])
    if not images:
        contents = [f"{type(hdu).__name__} {hdu.name or '?'}" for hdu in hdus]
        raise InputError(
            f"{label}: no two-dimensional image in the file; it has "
            f"{', '.join(contents) or 'nothing'}",
            given=contents,
            allowed="a two-dimensional image",
        )
    plausible = [hdu for hdu in images if not _NOT_SCIENCE.match(_called(hdu))]
    if len(images) == 1 and _name(images[0]) in ("", "PRIMARY"):
        plausible = images  # whatever its object is called
    own = rf"({_SCIENCE}[_-]?)?{re.escape(band.upper())}([_-]?{_SCIENCE})?"
    tiers = (
        [hdu for hdu in images if _name(hdu) in ("SCI", band.upper())],
        [hdu for hdu in plausible if re.fullmatch(own, _name(hdu))],
        [hdu for hdu in plausible if re.fullmatch(_SCIENCE, _name(hdu))],
        [hdu for hdu in plausible if _has_wcs(hdu)],
        plausible,
    )
    choice: list[Any] = next(filter(None, tiers), [])
    if len(plausible) > 1:
        varied = ([hdu for hdu in tier if not _constant(hdu)] for tier in tiers)
        choice = next(filter(None, varied), choice)
    if len(choice) > 1 and _errors_and_quality(choice[0], hdus):
        choice = choice[:1]
    if len(choice) != 1:
        names = [title(hdu, hdus) for hdu in choice or images]
        raise InputError(
            f"{label}: {len(choice)} images could be the science image ({', '.join(names)})",
            given=names,
            remedy=f"say which one, for instance file.fits[{names[0]}]",
        )
    return choice[0]


def _errors_and_quality(science: Any, hdus: Any) -> list[Any]:
    """The two other images of a file without names, plainly of its errors and data quality."""
    others = [hdu for hdu in hdus if hdu is not science and is_image(hdu)]
    others.sort(key=lambda hdu: hdu.header["BITPIX"])  # real numbers come first
    bits = [hdu.header["BITPIX"] > 0 for hdu in (science, *others)]
    named = [hdu for hdu in (science, *others) if _name(hdu) not in ("", "PRIMARY")]
    if bits != [False, False, True] or named or {hdu.shape for hdu in others} != {science.shape}:
        return []
    values, errors = _some_rows(science), _some_rows(others[0])
    plain = values.size and errors.size and values.min() < 0 <= errors.min()
    return others if plain else []


def check_name(file: str, chosen: Any, what: str, taken: str) -> None:
    """Refuse an image without a name in a file that is called a weight map or a model."""
    found = _NO_IMAGE.search(file.lower().split(".fit")[0])
    if found is not None and _name(chosen) in ("", "PRIMARY"):
        word = found[0].strip("_.-")
        raise InputError(
            f"{what} is no science image ({word!r})",
            given=file,
            remedy=f"give the science image; if this is it, name its extension: {file}[{taken}]",
        )


def _called(hdu: Any) -> str:
    """Name of an HDU; where it has none, of its object (galfit: "model", "residual map")."""
    if _name(hdu) not in ("", "PRIMARY"):
        return _name(hdu)
    said = re.search(r"\b(MODEL|RESIDUAL|WEIGHT)\b", str(hdu.header.get("OBJECT", "")).upper())
    return said[0] if said else ""


def doubts_of_name(hdu: Any, band: str, label: str) -> list[str]:
    """What to say where the image that was named is called a weight map, an error or a model."""
    if _name(hdu) == band.upper() or not _NOT_SCIENCE.match(_name(hdu)):
        return []
    return [f"{label}: the extension {title(hdu)}, which was named, is called no science image"]


def is_image(hdu: Any) -> bool:
    """Whether the HDU is an image of two axes longer than one."""
    shape = hdu.shape if hdu.is_image else ()
    return len(shape) >= 2 and min(shape[-2:]) > 1 and max(shape[:-2], default=1) == 1


def _has_wcs(hdu: Any) -> bool:
    axes = [str(hdu.header.get(f"CTYPE{axis}", "")) for axis in (1, 2)]
    return any(axis.upper().startswith(("RA", "GLON")) for axis in axes)


def _constant(hdu: Any) -> bool:
    """Whether 16 rows of an image have no two different values."""
    values = _some_rows(hdu)
    return values.size == 0 or values.min() == values.max()


def _some_rows(hdu: Any) -> Any:
    """The finite numbers of 16 rows that are spread over an image."""
    lead = (0,) * (len(hdu.shape) - 2)
    rows = np.unique(np.linspace(0, hdu.shape[-2] - 1, 16).astype(int))
    source = hdu.data if hdu.fileinfo() is None else hdu.section
    values = np.concatenate([np.ravel(source[(*lead, slice(y, y + 1))]) for y in rows.tolist()])
    return values[np.isfinite(values)]


def _readable(hdu: Any) -> fits.Header:
    """A copy of a header without the cards whose value no one can read."""
    header = hdu.header.copy()
    for number in range(len(header) - 1, -1, -1):
        try:
            _ = header[number]
        except fits.VerifyError:
            log.warning("card %s cannot be read; it is ignored", header.cards[number].keyword)
            del header[number]
    return header


def headers_of(chosen: Any, hdus: Any) -> tuple[Any, ...]:
    """Header of the image, the primary one, and the photometry that the other HDUs agree on."""
    others, read = fits.Header(), cache(_readable)
    same = [read(hdu) for hdu in hdus if hdu.ver == chosen.ver]
    for key in _PHOTOMETRY:
        found = {header[key] for header in same if key in header}
        if len(found) == 1:
            others[key] = found.pop()
    return read(chosen), read(hdus[0]), others


def marks_of(
    chosen: Any, hdus: Any, pixels: Pixels, open_pixels: Any, label: str
) -> tuple[Pixels, list[str]]:
    """Add to an image what the extensions beside it mark; say which cannot be believed.

    `open_pixels` gives the stored numbers (…, y, x) of an HDU as `Pixels`.
    """
    marks, remarks, unused = [], [], []
    others = [
        (hdu, rule_of(_name(hdu)))
        for hdu in hdus
        if hdu is not chosen and hdu.is_image and hdu.shape and hdu.ver == chosen.ver
    ]
    for hdu, rule in others:
        if rule == "part" and any(rule in ("error", "variance") for _, rule in others):
            continue
        if rule is None:
            if _name(hdu) and not _SAYS_NOTHING.fullmatch(_name(hdu)) and _fits(hdu, pixels):
                unused.append(title(hdu, hdus))
            continue
        what, bits = f"extension {title(hdu)}", quality_bits(hdu, (chosen.header, hdus[0].header))
        if _name(hdu) in ("SATMASK", "SAT_MASK"):
            bits = 0, ~0
        if (
            rule == "quality"
            and re.fullmatch(_EITHER_SENSE, _name(hdu))
            and _fits(hdu, pixels)
            and _one_is_good(hdu, pixels, label)
        ):
            remarks.append(
                f"{label}: {what} is 1 where the image has values, so that 0 is taken for missing"
            )
            rule = "weight"
        mark, said = mark_of(hdu, rule, pixels, open_pixels, f"{label}: {what}", *bits)
        marks += [mark] if mark else []
        remarks += said
    if unused:
        verb = "is" if len(unused) == 1 else "are"
        remarks.append(
            f"{label}: {listed(unused)} of its shape {verb} not used; an extension that marks "
            "missing pixels is called DQ, MASK (1: missing) or WHT"
        )
    if nameless := [title(hdu, hdus) for hdu in _errors_and_quality(chosen, hdus)]:
        remarks.append(
            f"{label}: its images have no names; {title(chosen, hdus)} is taken, and "
            f"{listed(nameless)}, which look like its errors and data quality, are not used: "
            "call them ERR and DQ"
        )
    if marks:
        log.info("%s: missing pixels by %s", label, ", ".join(mark.name for mark in marks))
    return replace(pixels, marks=tuple(marks)), remarks


def rule_of(name: str) -> str | None:
    """What an extension of a name, in capitals, says of an image; None where that is nothing."""
    return next((rule for rule, names in _RULES.items() if re.fullmatch(names, name)), None)


def _fits(hdu: Any, pixels: Pixels) -> bool:
    """Whether the axes of an HDU are those of an image, or of planes of such."""
    shape = hdu.shape if hdu.is_image else ()
    return len(shape) in (2, 3) and shape[-2:] == pixels.shape


def mark_of(
    hdu: Any, rule: str, pixels: Pixels, open_pixels: Any, what: str, bits: int = 0, full: int = 0
) -> tuple[Mark | None, list[str]]:
    """What an HDU says of the pixels of an image, by a rule; or why it is not used."""
    if not _fits(hdu, pixels):
        axes = f"{listed(hdu.shape) or 'none'}, not those of the image, {listed(pixels.shape)}"
        return None, [f"{what} is not used: its axes are {axes}"]
    if rule in ("error", "variance", "weight") and (negative := _negative(hdu)) > _MANY_NEGATIVE:
        return None, [f"{what} is not used: {negative:.0%} of its values are below zero"]
    kind = rule if rule in ("quality", "context") else "bounds"
    how = kind, *((bits, full) if kind == "quality" else (0, 0)), *_bounds(hdu, rule)
    if isinstance(hdu, fits.CompImageHDU):
        mark = Mark(_name(hdu), open_pixels(hdu, _strips(hdu, *how)), "quality", 1, 2)
    else:
        mark = Mark(_name(hdu), open_pixels(hdu, None), *how)
    if _believable(pixels, mark):
        return mark, []
    return None, [
        f"{what} marks nearly every pixel as not observed, also those that hold light; it is not "
        "used"
    ]


def _negative(hdu: Any) -> float:
    """Share of several numbers below zero, which no error and no weight is, in 16 rows.

    One number alone means that there is nothing.
    """
    values = _some_rows(hdu)
    below = values[values < 0]
    return below.size / values.size if below.size and below.min() < below.max() else 0.0


def _bounds(hdu: Any, rule: str) -> tuple[float, float]:
    """Between which numbers something was measured, by the best of 16 rows: most may be a gap."""
    if rule not in ("error", "variance", "weight"):
        return -math.inf, math.inf
    values = _some_rows(hdu)
    values = values[values > 0]
    if rule == "weight":
        usual = float(np.percentile(values, 90)) if values.size else 0.0
        return usual / _FAR_FROM_USUAL**2, math.inf
    usual = float(np.percentile(values, 10)) if values.size else math.inf
    power = 2 if rule == "variance" else 1
    return 0.0, min(_NO_ERROR**power, usual * _FAR_FROM_USUAL**power)


def _strips(hdu: Any, kind: str, *how: Any) -> Iterator[FloatImage]:
    """What a compressed extension marks, row by row: 1 missing, 2 saturated."""
    steps = dither_steps(hdu)
    for y0 in range(0, hdu.shape[-2], _STRIP_ROWS):
        lead = (slice(None),) * (len(hdu.shape) - 2)
        strip = np.asarray(hdu.section[(*lead, slice(y0, y0 + _STRIP_ROWS))])
        if steps is not None and kind != "quality" and strip.ndim == 2:
            step = steps_of_pixels(strip, steps, hdu.tile_shape, y0)
            strip = np.where(np.abs(strip) <= step, 0, strip)  # a zero that was dithered
        mark = Mark(_name(hdu), Pixels(strip, strip.shape[-2:]), kind, *how)
        everywhere = (slice(None), slice(None))
        found = mark.missing(*everywhere) + 2 * mark.full(*everywhere)
        yield np.asarray(found, np.float32)


def quality_bits(hdu: Any, headers: Any) -> tuple[int, int]:
    """Bits of a data-quality extension: missing, saturated; `headers` name the telescope."""
    planes = {
        key[3:]: 1 << int(value)
        for key, value in hdu.header.items()
        if key.startswith("MP_") and isinstance(value, int)
    }  # the Rubin Observatory names its bits
    if planes:
        return sum(planes.get(name, 0) for name in ("NO_DATA", "BAD", "CR")), planes.get("SAT", 0)
    telescope = next((str(h["TELESCOP"]) for h in headers if h.get("TELESCOP")), "")
    return _QUALITY.get(telescope.strip().upper(), (~0, 0))


def _believable(pixels: Pixels, mark: Mark) -> bool:
    """Whether a mark leaves something of what looks observed, by a few blocks of the image."""
    observed = ~pixels.find_gaps(pixels.sample).missing
    left = np.isfinite(replace(pixels, marks=(mark,)).sample) & observed
    return not observed.any() or bool(left.sum() > _LEAST_LEFT * observed.sum())


def _one_is_good(hdu: Any, pixels: Pixels, label: str) -> bool:
    """Whether a mask of zeros and ones that marks most of an image has 1 for what was observed.

    The gaps that the values show tell; where they are on neither side, it is asked.
    """
    stored = hdu.data if hdu.fileinfo() is None else hdu.section
    ones, seen = [], []
    for y0, x0, block in pixels.sampled():
        rows, columns = (slice(at, at + n) for at, n in zip((y0, x0), block.shape, strict=True))
        ones.append(np.asarray(stored[(*(0,) * (len(hdu.shape) - 2), rows, columns)]).ravel())
        seen.append(~pixels.find_gaps(block).missing.ravel())
    values, observed = np.concatenate(ones), np.concatenate(seen)
    one = values == 1
    if not (np.isin(values, (0, 1)).all() and _MOST < one.mean() < 1) or observed[one].mean() < 0.5:
        return False
    if observed[~one].mean() < 0.5:
        return True
    raise InputError(
        f"{label}: extension {title(hdu)} is 1 in {one.mean():.0%} of the image and 0 elsewhere, "
        "and the image has values in both",
        given=float(one.mean()),
        remedy="set it to 1 where nothing was observed and to 0 elsewhere, or call it WHT where 1 "
        "means good",
    )
