"""A set of single-band images that share one pixel grid and one photometric scale."""

from __future__ import annotations

import logging
import math
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, cast

import numpy as np
from astropy.wcs import WCS

from praesepe.errors import (
    InputError,
    PraesepeWarning,
    check_type,
    listed,
    must_be,
    nearest,
    unknown,
)
from praesepe.files import check_space
from praesepe.images.mosaic import grid
from praesepe.images.mosaic.band_images import BandImage, calibrated, refuse_clipped, refuse_mixed
from praesepe.images.mosaic.cameras import with_cameras
from praesepe.images.mosaic.grid import FloatArray
from praesepe.images.reading.pixels import Pixels
from praesepe.images.reading.source import ImageLike, Source, open_image
from praesepe.images.units.filters import check_filters
from praesepe.images.units.headers import Headers
from praesepe.survey import Survey, load_survey

T = TypeVar("T")

log = logging.getLogger(__name__)

Hdus: TypeAlias = str | int | Mapping[str, str | int] | None
"""Extensions of files: one for all bands, or by band."""

SCALE_TOLERANCE = 0.02
"""Largest relative difference between an image's pixel scale and the survey's."""

SCALE_LIMIT = 5
"""Factor between the two beyond which the WCS must be wrong."""

ALIGNMENT_TOLERANCE_PX = 0.1
"""Largest distance between the same pixel of two bands."""


@dataclass(frozen=True, eq=False, repr=False)
class Mosaic:
    """Images of one field in the bands of a survey, on one pixel grid.

    Attributes
    ----------
    survey : Survey
        The survey whose bands, zero points and pixel scale the mosaic is brought to.
    bands : dict of str to BandImage
        In the survey's order.
    wcs : WCS or None
        Of the common grid; None for images without one.
    shape : (int, int)
        Height and width of the common grid.
    pixel_scale_arcsec : float
        Of the common grid; the survey's where there is no WCS.
    notes : tuple of str
        What a user should know; also given as warnings when the mosaic was read.
    """

    survey: Survey
    bands: dict[str, BandImage]
    wcs: WCS | None
    shape: tuple[int, int]
    pixel_scale_arcsec: float
    notes: tuple[str, ...] = ()

    @classmethod
    def read(
        cls,
        images: Mapping[str, ImageLike] | Mosaic,
        survey: Survey | str,
        *,
        reproject: Literal["auto", "never"] = "auto",
        units: Mapping[str, str] | None = None,
        zero_points: Mapping[str, float | str] | None = None,
        hdu: Hdus = None,
        allow_no_wcs: bool = False,
        sampled: bool = False,
    ) -> Mosaic:
        """Read one image for every band of a survey.

        Parameters
        ----------
        images : mapping
            Name of the band, or of the channel whose cameras the image's header names, to image:
            a path (``"a.fits"``, ``"a.fits[SCI,2]"``; also .gz, .bz2, .xz,
            .fz), an HDU or HDUList, ``(array, WCS)``, ``(array, Header)``, a bare array, or an
            NDData. Arrays without a header are taken to be in e-/s at the survey's zero point. A
            `Mosaic` that was read before is taken as it is, where its bands, zero points and
            pixels fit.
        survey : Survey or str
            Gives the bands, their zero points, and the pixel scale; by its name or file, too.
        reproject : {"auto", "never"}
            What to do with an image whose pixels differ from the reference band's by more than
            0.1 pixel, or from the survey's scale by more than 2 %: resample it (with a warning),
            or stop.
        units : mapping, optional
            Band name to unit; replaces ``BUNIT``.
        zero_points : mapping, optional
            Band name to AB magnitude of 1 e-/s (or ``"25.3 Vega"``); replaces ``PHOTFLAM``
            and ``PHOTPLAM``.
        hdu : str, int or mapping, optional
            Extension of the files that holds the image: ``"SCI,2"``, or its number; of all bands,
            or by band. By default it is found by its name or content.
        allow_no_wcs : bool
            Accept files without a WCS: their pixel scale and alignment cannot be checked.
        sampled : bool
            Reproject an image only where it is looked at, each time: for a few windows of it.

        Returns
        -------
        Mosaic
            No image is copied into memory. Reprojected, gzipped and tile-compressed images lie
            uncompressed in temporary files (``TMPDIR``) as long as the mosaic lives.

        Raises
        ------
        InputError
            Where an image cannot be used; the message names the band, the value and the remedy.

        Notes
        -----
        The reference band, on whose grid the others are put, is the first of the survey's bands
        whose pixel scale is within 2 % of the survey's. Where none is, all are put on a new
        tangential grid of the survey's scale. Whole-pixel shifts between otherwise equal grids
        need no resampling.
        """
        if reproject not in ("auto", "never"):
            raise unknown("value of reproject", str(reproject), ("auto", "never"))
        survey = load_survey(survey)
        if isinstance(images, Mosaic):
            given = (units or None, zero_points or None, hdu, allow_no_wcs or None)
            images._refuse_options(given, reproject)
            return images._for(survey)
        survey = with_cameras(survey, images, hdu)
        by_band = dict.fromkeys(survey.band_names, hdu) if not isinstance(hdu, Mapping) else hdu
        units, zero_points = _by_name(survey, units or {}), _by_name(survey, zero_points or {})
        by_band = _by_name(survey, by_band)
        sources = _opened(images, survey, by_band)
        headers = {name: Headers(source.headers, source.label) for name, source in sources.items()}
        refuse_mixed(headers)
        notes = check_filters(survey, headers)
        bands: dict[str, BandImage] = {}
        for name, source in sources.items():
            bands[name], remarks = calibrated(
                survey.band(name),
                source,
                headers[name],
                unit=units.get(name),
                zero_point_ab=zero_points.get(name),
                telescope=survey.telescope,
            )
            notes += [*source.remarks, *remarks]
        mosaic, reasons = _aligned(survey, sources, bands, allow_no_wcs=allow_no_wcs)
        if reasons and reproject == "never":
            raise InputError(
                next(iter(reasons.values())),
                given=reproject,
                remedy="allow reprojection, or drizzle the image onto the common grid",
            )
        notes += [
            f"{reason}; it is reprojected ({math.prod(mosaic.shape) / 1e6:.3g} Mpx), "
            "which smooths it and correlates its noise"
            for reason in reasons.values()
        ]
        refuse_clipped(mosaic.bands)
        for note in notes:  # before the long work
            warnings.warn(note, PraesepeWarning, stacklevel=2)
        resampled = mosaic._resampled({name: sources[name] for name in reasons}, sampled=sampled)
        return replace(mosaic, bands=mosaic.bands | resampled, notes=tuple(notes))

    def __repr__(self) -> str:
        height, width = self.shape
        resampled = f"; reprojected: {listed(self.reprojected)}" if self.reprojected else ""
        return (
            f"<Mosaic of {width}×{height} px of {self.pixel_scale_arcsec:.4g} arcsec for survey "
            f"{self.survey.name!r}: {listed(band.label for band in self.bands.values())}"
            f"{resampled}{'' if self.wcs is not None else '; no WCS'}>"
        )

    def _resampled(self, sources: Mapping[str, Source], *, sampled: bool) -> dict[str, BandImage]:
        """Images of other bands on the common grid; `sampled`: resampled when they are read."""
        size = math.prod(self.shape)
        if not sampled:
            needed = 4 * size * len(sources)
            check_space(Path(tempfile.gettempdir()), needed, "the reprojected images")
        bands = {}
        for name, source in sources.items():
            placed = source.pixels, source.wcs, self.wcs, self.shape
            if sampled:
                raw = cast(Any, grid.Resampled(*placed))
                pixels = Pixels(raw, self.shape, gaps_known=True)
            else:
                log.info("reprojecting %s: about %.0f s", source.label, 4e-6 * size)
                pixels = grid.reproject(*placed)
            bands[name] = replace(self.bands[name], pixels=pixels, reprojected=True)
        return bands

    def _refuse_options(self, given: tuple[Any, ...], reproject: str) -> None:
        """Stop where options of reading would be ignored, since the images are read."""
        if any(one is not None for one in given):
            raise InputError(
                "these images are read already",
                given=given,
                remedy="say units, zero points, extensions and what to do without a WCS where "
                "they are read",
                code="Mosaic.read(images, survey, units=, zero_points=, hdu=, allow_no_wcs=)",
            )
        if reproject == "never" and self.reprojected:
            raise InputError(
                f"reproject = 'never' would be ignored: {listed(self.reprojected)} are "
                "reprojected already",
                given=reproject,
                remedy="read the images so",
                code="Mosaic.read(images, survey, reproject='never')",
            )

    def _for(self, survey: Survey) -> Mosaic:
        """Itself, if its values are what a survey's model expects."""
        for what, mine, wanted in (
            ("bands", self.band_names, survey.band_names),
            (
                "zero points",
                *(tuple(b.zero_point_ab for b in s.bands) for s in (self.survey, survey)),
            ),
            ("pixel scale", self.survey.pixel_scale_arcsec, survey.pixel_scale_arcsec),
        ):
            if mine != wanted:
                raise InputError(
                    f"the mosaic was read for survey {self.survey.name!r} with {what} "
                    f"{listed(mine)}, but survey {survey.name!r} has {listed(wanted)}",
                    given=mine,
                    allowed=wanted,
                    remedy="read the images for the survey of the model",
                )
        return self

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands in the survey's order."""
        return tuple(self.bands)

    @property
    def reprojected(self) -> tuple[str, ...]:
        """Bands whose pixels were resampled onto the common grid."""
        return tuple(name for name, band in self.bands.items() if band.reprojected)

    @property
    def pixel_band(self) -> str:
        """Band on whose image positions in pixels are told: the common grid's, or the first."""
        for name, band in self.bands.items():
            if not band.reprojected and band.pixels.offset == (0, 0):
                return name
        return next(iter(self.bands))

    def band_of_pixels(self, told: str | None = None, *, label: str = "the catalog") -> str:
        """Band whose image a catalog's positions in pixels belong to.

        Parameters
        ----------
        told : str, optional
            What the user says.
        label : str
            How messages call the catalog.

        Returns
        -------
        str
            Without `told`, any band where the pixels of all images are the same.

        Raises
        ------
        InputError
            Where it is not told, and the images have different grids.
        """
        if told is not None:
            self.band(told)  # stops at a name that is not a band
            return self.survey.name_of(told)
        first, *others = self.bands.items()
        for _, band in others if self.wcs is not None else ():
            offsets = grid.pixel_offsets(first[1].wcs, self.shape, band.wcs)
            far_px = float(np.max(np.hypot(*offsets.T)))
            if not far_px <= ALIGNMENT_TOLERANCE_PX:
                raise InputError(
                    f"{label} has positions in pixels, but of which image? The same pixel of "
                    f"{first[1].label} and {band.label} is up to {far_px:.3g} px apart",
                    given=far_px,
                    allowed=self.band_names,
                    remedy="name the band whose image the pixels are of, or give positions on the "
                    "sky",
                    code=f"pixels_of={first[0]!r}",
                )
        return self.pixel_band

    def from_image(self, band: str, x: Any, y: Any) -> tuple[FloatArray, FloatArray]:
        """Find pixel positions of a band's image, as it was given, on the common grid.

        Parameters
        ----------
        band : str
            Its name.
        x, y : array_like, shape (N,)
            Where the center of the first pixel is (0, 0); what is not finite stays so.

        Returns
        -------
        x, y : ndarray, each of shape (N,)
        """
        return self._moved(band, x, y, back=False)

    def to_image(self, band: str, x: Any, y: Any) -> tuple[FloatArray, FloatArray]:
        """Find pixel positions of the common grid on a band's image; see `from_image`.

        Parameters
        ----------
        band : str
            Its name.
        x, y : array_like, shape (N,)
            On the common grid.

        Returns
        -------
        x, y : ndarray, each of shape (N,)
        """
        return self._moved(band, x, y, back=True)

    def _moved(self, name: str, x: Any, y: Any, *, back: bool) -> tuple[FloatArray, FloatArray]:
        band = self.band(name)
        x, y = np.array(x, np.float64), np.array(y, np.float64)
        if not band.reprojected:
            dy, dx = band.pixels.offset
            return (x + dx, y + dy) if back else (x - dx, y - dy)
        frames = (self.wcs, band.wcs) if back else (band.wcs, self.wcs)
        good = np.isfinite(x) & np.isfinite(y)
        x[good], y[good] = grid.transform(*frames, x[good], y[good])
        return x, y

    @property
    def zero_everywhere_is_missing(self) -> bool:
        """Whether a zero in all bands cannot be chance: two bands or more, of real numbers."""
        return len(self.bands) > 1 and all(b.pixels.grain.real for b in self.bands.values())

    def band(self, name: str) -> BandImage:
        """Image of a band with its calibration."""
        name = self.survey.name_of(name)
        if name not in self.bands:
            raise unknown("band", name, self.bands)
        return self.bands[name]


def _by_name(survey: Survey, given: Mapping[str, T]) -> dict[str, T]:
    """What is given of bands, by their own names; stop at a name that is not a band."""
    return {survey.band(name).name: one for name, one in given.items()}


def _opened(
    images: Mapping[str, ImageLike], survey: Survey, hdu: Mapping[str, str | int | None]
) -> dict[str, Source]:
    """Open exactly one image for every band of the survey, each another one."""
    remedy = "map band names to images: {'F336W': 'a.fits', …}"
    check_type("images", images, Mapping, "a mapping", remedy)
    images = {survey.name_of(name): image for name, image in images.items()}
    missing = [name for name in survey.band_names if name not in images]
    extra = [str(name) for name in images if name not in survey.band_names]
    problems = [f"no image for band {name!r}" for name in missing]
    for name in extra:
        close = nearest(name, missing)
        hint = f" (did you mean {close!r}?)" if close else ""
        problems.append(f"{name!r} is not a band of it{hint}")
    if problems:
        raise InputError(
            f"the images do not match the bands of survey {survey.name!r}, "
            f"{listed(survey.band_names)}: {'; '.join(problems)}.",
            given=tuple(map(str, images)),
            allowed=survey.band_names,
            remedy="Give exactly one image for every band, or use a model with other bands.",
        )
    sources = {name: open_image(images[name], name, hdu.get(name)) for name in survey.band_names}
    band_of: dict[str, str] = {}
    for name, source in sources.items():
        if source.path is not None and band_of.setdefault(source.path, name) != name:
            raise InputError(
                f"bands {band_of[source.path]!r} and {name!r} are given the same image, "
                f"{source.label}",
                given=source.path,
                remedy="give each band its own",
            )
    return sources


def _aligned(
    survey: Survey,
    sources: Mapping[str, Source],
    bands: Mapping[str, BandImage],
    *,
    allow_no_wcs: bool,
) -> tuple[Mosaic, dict[str, str]]:
    """Lay all bands on one grid of the survey's pixel scale; say which must be resampled, and why.

    The bands that must be are still as they were read.
    """
    placed = {name: (source.wcs, source.pixels.shape) for name, source in sources.items()}
    frames = {name: (wcs, shape) for name, (wcs, shape) in placed.items() if wcs is not None}
    if len(frames) < len(sources):
        shape = _check_without_wcs(sources, allow_no_wcs)
        return Mosaic(survey, dict(bands), None, shape, survey.pixel_scale_arcsec), {}
    wanted = survey.pixel_scale_arcsec
    sides = {name: grid.pixel_sides_arcsec(*frame) for name, frame in frames.items()}
    scales = {name: _sides(*pair) for name, pair in sides.items()}
    for name, pair in sides.items():
        if not all(1 / SCALE_LIMIT < side / wanted < SCALE_LIMIT for side in pair):
            raise InputError(
                f"{sources[name].label}: by its WCS a pixel is {scales[name]} arcsec, more than "
                f"{SCALE_LIMIT} times off the survey's {wanted:g} arcsec",
                given=pair,
                remedy="check CD or CDELT and the distortions (SIP) in its header",
            )
    good = [
        name
        for name, pair in sides.items()
        if all(abs(side / wanted - 1) <= SCALE_TOLERANCE for side in pair)
    ]
    first = good[0] if good else survey.band_names[0]
    wcs, shape = frames[first] if good else grid.survey_grid(*frames[first], wanted)
    aligned, reasons = dict(bands), {}
    for name, (own_wcs, own_shape) in frames.items():
        label = sources[name].label
        if not grid.overlap(wcs, shape, own_wcs, own_shape):
            raise InputError(
                f"{label} and {sources[first].label} show different parts of the sky",
                given=(name, first),
                remedy="give images of one field",
            )
        offsets = grid.pixel_offsets(wcs, shape, own_wcs)
        whole = np.rint(np.mean(offsets, axis=0))
        apart_px = float(np.max(np.hypot(*(offsets - whole).T)))
        if name not in good:
            reasons[name] = (
                f"{label}: pixel scale {scales[name]} arcsec, "
                f"{100 * (sides[name][0] / wanted - 1):+.0f} % off the survey's {wanted:g} arcsec"
            )
        elif not apart_px <= ALIGNMENT_TOLERANCE_PX:
            far_px = float(np.max(np.hypot(*offsets.T)))
            how_far = f"{far_px:.3g} pixels" if math.isfinite(far_px) else "far"
            reasons[name] = (
                f"{label}: its pixels lie up to {how_far} from the reference band's (allowed: "
                f"{ALIGNMENT_TOLERANCE_PX:g})"
            )
        else:
            shift = (int(whole[1]), int(whole[0]))
            pixels = replace(sources[name].pixels, shape=shape, offset=shift)
            aligned[name] = replace(bands[name], pixels=pixels)
    wcs.array_shape = shape
    return Mosaic(survey, aligned, wcs, shape, grid.pixel_scale_arcsec(wcs, shape)), reasons


def _sides(long: float, short: float) -> str:
    """The side of a square pixel, or both axes of another."""
    digits = ".4f" if short > 1e-3 else ".3g"
    text = f"{long:{digits}}"
    return text if long < short * (1 + SCALE_TOLERANCE) else f"{text} × {short:{digits}}"


def _check_without_wcs(sources: Mapping[str, Source], allow: bool) -> tuple[int, int]:
    """Images without a WCS: only arrays, or files where the user says so; all of one shape."""
    without = [source for source in sources.values() if source.wcs is None]
    if (any(source.headers for source in without) and not allow) or len(without) < len(sources):
        labels = [source.label for source in without]
        raise InputError(
            f"no celestial WCS in {listed(labels)}: the sky positions and the pixel scale are "
            "unknown. Add the WCS keywords.",
            given=labels,
            remedy="For a catalog with x and y, accept images without a WCS",
            code="allow_no_wcs=True",
        )
    shapes = {name: source.pixels.shape for name, source in sources.items()}
    if len(set(shapes.values())) > 1:
        raise must_be("shapes of images without a WCS", shapes, "the same for all bands")
    return next(iter(shapes.values()))
