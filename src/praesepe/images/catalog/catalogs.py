"""Catalogs of clusters: a table, and where its rows lie."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from praesepe.errors import (
    InputError,
    PraesepeWarning,
    listed,
    must_be,
    refuse_unused,
    unknown,
    unusable,
)
from praesepe.images.catalog.column_names import (
    ORIGINS,
    X_NAMES,
    Y_NAMES,
    find_column,
    id_column,
)
from praesepe.images.catalog.coordinates import (
    FloatArray,
    check_precision,
    numbers,
    sky_positions,
)
from praesepe.images.catalog.projection import on_image, pixel_positions
from praesepe.images.catalog.tables import read_table
from praesepe.images.mosaic.mosaic import Mosaic

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.table import Table
    from astropy.wcs import WCS

PIXEL_AGREEMENT = 0.5
"""Median distance, px, between pixel and sky positions of the same rows that says nothing."""

ROUNDING_ARCSEC = 0.1
"""By how much positions may be off for their few digits without a warning."""

RA_STEPS_DEG = (0.25, 0.1, 0.025, 0.01, 1 / 240, 1e-3, 1 / 2400, 1e-4)
DEC_STEPS_DEG = (0.1, 1 / 60, 0.01, 1e-3, 1 / 3600, 1e-4)
"""What coordinates of few digits are multiples of, the largest first."""

ROUNDED_ROWS = 5
"""How many rows it takes to tell."""


@dataclass(frozen=True, eq=False, repr=False)
class Catalog:
    """Clusters with their positions, on the sky or in pixels.

    Made by `Catalog.read`.

    Attributes
    ----------
    table : Table
        As read: all columns, all rows in order.
    label : str
        How messages call it.
    sky : (ndarray, ndarray) or None
        Right ascension and declination, ICRS, degrees; NaN where a row has none.
    pixel : (ndarray, ndarray) or None
        x and y in pixels, where the center of the first pixel is (0, 0); instead of `sky`.
    origin : int or None
        Coordinate of the center of the first pixel in the columns of `pixel`.
    pixels_of : str or None
        Band whose image the pixels are of.
    """

    table: Table
    label: str
    sky: tuple[FloatArray, FloatArray] | None = None
    pixel: tuple[FloatArray, FloatArray] | None = None
    origin: int | None = None
    pixels_of: str | None = None

    @classmethod
    def read(
        cls,
        source: Catalog | Table | SkyCoord | str | os.PathLike[str],
        *,
        x: str | None = None,
        y: str | None = None,
        origin: int | None = None,
        columns: Sequence[str] | str | None = None,
        pixels_of: str | None = None,
        ra: str | None = None,
        dec: str | None = None,
    ) -> Catalog:
        """Read a catalog.

        Parameters
        ----------
        source : Table, SkyCoord or path
            Table, QTable, dict of columns or structured array; or CSV and other text, ECSV, FITS or
            VOTable (``"a.fits[NAME]"`` names one of several tables), Parquet or regions of DS9 or
            CASA. A `Catalog` that was read before is taken as it is.
        x, y : str, optional
            Names of columns with pixel positions, used instead of sky positions. Not needed where
            `origin` is given, the table has no sky positions and the columns have usual names.
        origin : int, optional
            Coordinate of the center of the first pixel in `x` and `y`: 1 (FITS, DS9, SExtractor)
            or 0 (numpy, photutils). There is no default, because a wrong one goes unnoticed;
            regions of DS9 have 1.
        columns : sequence of str, or str with commas, optional
            Names of the columns, in order, of a text file without a header.
        pixels_of : str, optional
            Band whose image the pixels are of. Needed where the images have different grids; the
            table of measurements has its ``x`` and ``y`` on that image, too.
        ra, dec : str, optional
            Names of columns of right ascension and declination, where these are none of the usual
            ones, or others than those that would be taken. Units are told by the table, or by a
            name in brackets (``lon [hourangle]``); without one they are degrees, or sexagesimal.

        Returns
        -------
        Catalog

        Raises
        ------
        InputError
            Where the file cannot be read, has no rows, or lacks position columns.
        """
        if isinstance(source, Catalog):
            refuse_unused(
                f"{source.label} is read already",
                x=x, y=y, origin=origin, columns=columns, pixels_of=pixels_of, ra=ra, dec=dec,
            )  # fmt: skip
            return source
        if origin not in (None, 0, 1):
            raise must_be("origin", origin, (0, 1), "it is the coordinate of the first pixel")
        table, label = read_table(source, columns=columns)
        if len(table) == 0:
            fault = f"is empty: it has {_columns(table)} but no rows"
            raise unusable(label, fault, "give a catalog with at least one row")
        of_sky, of_pixels = _named(table, label, ra=ra, dec=dec), _named(table, label, x=x, y=y)
        if of_sky and of_pixels:
            fault = "columns of the sky and of pixels are named"
            raise InputError(
                fault, given=(*of_sky, *of_pixels), remedy="name ra and dec, or x and y"
            )
        sky = None if of_pixels else sky_positions(table, of_sky, label=label)
        if sky is not None:
            if origin is not None:
                warnings.warn(
                    f"{label}: its sky positions are used, which have no origin; for pixel "
                    "positions, name the columns x and y",
                    PraesepeWarning,
                    stacklevel=2,
                )
            _warn_without(*sky, label)
            if (off_arcsec := _rounding_arcsec(*sky)) > ROUNDING_ARCSEC:
                warnings.warn(
                    f"{label}: its positions are rounded, so that they may be {off_arcsec:.2g} "
                    "arcsec off; clusters off the middle of their stamps come out too large. Give "
                    "more digits",
                    PraesepeWarning,
                    stacklevel=2,
                )
            return cls(table, label, sky=sky, pixels_of=pixels_of)
        for ending, writer, first in ((".reg", "DS9", 1), (".crtf", "CASA", 0)):
            if label.lower().removesuffix(".gz").endswith(ending):
                if origin not in (None, first):
                    remedy = f"{writer} counts pixels from {first}; leave it out"
                    raise must_be(f"{label}: origin", origin, first, remedy)
                origin = 1  # as `read_regions` gives them
        names = of_pixels or (find_column(table, X_NAMES), find_column(table, Y_NAMES))
        pixel = _pixel_columns(table, label, names, origin)
        _warn_without(*pixel, label)
        return cls(table, label, pixel=pixel, origin=origin, pixels_of=pixels_of)

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        where = "pixel positions" if self.sky is None else "sky positions"
        return f"<Catalog {self.label}: {len(self)} rows with {where}; {_columns(self.table)}>"

    @property
    def id_column(self) -> str | None:
        """Name of the column that says which cluster is which; None where there is none."""
        return id_column(self.table)

    def _warn_of_another_set(self, mosaic: Mosaic) -> None:
        """Say where the truth of one simulated mosaic is laid on the images of another."""
        ours = self.table.meta.get("SETID")
        for band in mosaic.bands.values():
            found = band.headers.get("SETID") if ours and band.headers else None
            if found and found[1] != ours:
                warnings.warn(
                    f"{self.label} and {band.label} are of different simulations (SETID {ours!r} "
                    f"and {found[1]!r}): what it tells of its clusters is not true of these",
                    PraesepeWarning,
                    stacklevel=3,
                )
                return

    def on(self, image: Mosaic | WCS | None) -> tuple[FloatArray, FloatArray]:
        """Find the positions on an image.

        Parameters
        ----------
        image : Mosaic, WCS or None
            The images, on whose common grid the positions are found; or the WCS of the only one.
            Sky positions are taken as ICRS.

        Returns
        -------
        x, y : ndarray, each of shape (N,)
            Positions in pixels; the center of the first pixel is (0, 0). NaN where a row has none,
            infinite where the image's projection does not show it.

        Raises
        ------
        InputError
            Where there are sky positions but no WCS; where there are positions in pixels, but of
            which image is not told and makes a difference.

        Warns
        -----
        PraesepeWarning
            Where both were simulated, but not together.
        """
        if isinstance(image, Mosaic):
            self._warn_of_another_set(image)
        if self.pixel is not None:
            return self._pixels_on(image)
        assert self.sky is not None
        wcs = image.wcs if isinstance(image, Mosaic) else image
        if wcs is None:
            raise InputError(
                f"{self.label} has sky positions, but the images have no WCS",
                given=self.label,
                remedy="name columns of pixel positions, and their origin",
                code="x='x', y='y', origin=1",
            )
        x, y = pixel_positions(wcs, *self.sky)
        if not np.isnan(x).all() and not on_image(wcs, x, y).any():
            hint = "are they of another field?"
            for factor, units, unit in (
                (15, "hours", "hourangle, or the name ra_hours"),
                (1 / 15, "degrees", "d:m:s"),
            ):
                of_unit = on_image(wcs, *pixel_positions(wcs, factor * self.sky[0], self.sky[1]))
                if of_unit.any():
                    hint = (
                        f"read as {units}, {of_unit.sum()} of them are: give the column of right "
                        f"ascension the unit {unit}"
                    )
            warnings.warn(
                f"{self.label}: none of its {len(x)} positions is on the image; {hint}",
                PraesepeWarning,
                stacklevel=2,
            )
        return x, y

    def _pixels_on(self, image: Mosaic | WCS | None) -> tuple[FloatArray, FloatArray]:
        """Positions in pixels of one image on the common grid."""
        assert self.pixel is not None
        if not isinstance(image, Mosaic):
            if image is not None:
                self._compare_with_sky(image)
            return self.pixel
        band = image.band_of_pixels(self.pixels_of, label=self.label)
        if image.wcs is not None:
            self._compare_with_sky(image.band(band).wcs)
        return image.from_image(band, *self.pixel)

    def _compare_with_sky(self, wcs: WCS) -> None:
        """Warn where the table's sky positions lie elsewhere on the image than its pixels."""
        assert self.pixel is not None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", PraesepeWarning)
                sky = sky_positions(self.table, label=self.label)
        except InputError:  # columns that are not used need not be good
            return
        if sky is None:
            return
        offsets = np.subtract(self.pixel, pixel_positions(wcs, *sky))  # (2, N)
        offsets = offsets[:, np.isfinite(offsets).all(axis=0)]
        if not offsets.size or np.median(np.hypot(*offsets)) <= PIXEL_AGREEMENT:
            return
        dx, dy = np.round(np.median(offsets, axis=1), 2) + 0.0  # no "-0.00"
        other = None if self.origin is None else self.origin + round(dx)
        if other in (0, 1) and other != self.origin and np.allclose((dx, dy), round(dx), atol=0.2):
            advice = f"that is a matter of the origin: give {other}, not {self.origin}"
        else:
            advice = "are x and y of another image? Leave them out to use the sky positions"
        warnings.warn(
            f"{self.label}: x and y are {dx:+.2f} and {dy:+.2f} px (median) off the positions on "
            f"the sky in the same rows; x and y are used. {advice[0].upper()}{advice[1:]}",
            PraesepeWarning,
            stacklevel=4,
        )


def _named(table: Table, label: str, **columns: str | None) -> tuple[str, str] | None:
    """Columns of two axes that the user has named; None where neither is."""
    names = [name for name in columns.values() if name is not None]
    if not names:
        return None
    if len(names) == 1:
        axes = listed(columns)
        raise InputError(
            " and ".join(f"{axis} = {name!r}" for axis, name in columns.items()),
            given=tuple(columns.values()),
            remedy=f"give the names of both columns, {axes}, or of neither",
        )
    more: dict[str, str] = {}
    if "x" in columns:
        advice = "Pixel columns need an origin too, 1 as in DS9 or 0 as in numpy"
        more = {"advice": advice, "code": "origin=1"}
    if names[0] == names[1]:
        raise InputError(
            f"{listed(columns)} are both {names[0]!r}", given=names[0], remedy="name two columns"
        )
    for name in names:
        if name not in table.colnames:
            raise unknown(f"column of {label}", name, table.colnames, **more)
    return names[0], names[1]


def _pixel_columns(
    table: Table, label: str, names: tuple[str | None, str | None], origin: int | None
) -> tuple[FloatArray, FloatArray]:
    """Zero-based positions from the columns x and y."""
    if None in names:
        raise InputError(
            f"{label} has no position columns; it has {_columns(table, 30)}. Accepted are "
            "right ascension (ra, RA_deg, RAJ2000, RA_ICRS …) with declination (dec, DEC_deg, "
            "DEJ2000, DE_ICRS …), or pixel columns named with x and y and their origin",
            given=table.colnames,
            remedy="name its own columns of right ascension and declination",
            code="ra='NAME', dec='NAME'",
        )
    if origin is None:
        raise InputError(
            f"{label}: pixel columns {names[0]} and {names[1]} need an origin",
            given=origin,
            allowed=(0, 1),
            remedy="give 1 where the center of the first pixel is (1, 1), as in DS9 and "
            "SExtractor; 0 where it is (0, 0), as in numpy and photutils",
            code="origin=1",
        )
    usual, writer = ORIGINS.get(str(names[0]).lower(), (origin, ""))
    if usual != origin:
        warnings.warn(
            f"{label}: {names[0]} is what {writer} writes, which counts pixels from {usual}, but "
            f"the origin is told as {origin}, which is used",
            PraesepeWarning,
            stacklevel=3,
        )
    positions = []
    check_precision(table, [*map(str, names)], label)
    for name in map(str, names):
        unit = str(getattr(table[name], "unit", None) or "")
        if unit.lower() not in ("", "pix", "pixel", "pixels"):
            raise InputError(
                f"{label}: column {name} is in {unit}, not in pixels",
                given=unit,
                allowed="pix",
                remedy="name columns of pixel positions, or take the unit away if it is wrong",
            )
        pixels = numbers(table, name, label) - origin
        positions.append(np.where(np.isfinite(pixels), pixels, np.nan))
    return positions[0], positions[1]


def _warn_without(one: FloatArray, other: FloatArray, label: str) -> None:
    """Say where no row has a position."""
    if not np.isfinite([one, other]).all(axis=0).any():
        warnings.warn(
            f"{label}: none of its {len(one)} rows has a position", PraesepeWarning, stacklevel=3
        )


def _rounding_arcsec(ra_deg: FloatArray, dec_deg: FloatArray) -> float:
    """How far positions may be off because they were written with few digits; 0 for few rows."""
    largest = 0.0
    for degrees, steps in ((ra_deg, RA_STEPS_DEG), (dec_deg, DEC_STEPS_DEG)):
        values = degrees[np.isfinite(degrees)]
        if len(values) < ROUNDED_ROWS:
            return 0.0
        multiples = (s for s in steps if np.allclose(values / s, np.rint(values / s), 0, 1e-5))
        narrow = np.cos(np.radians(np.nanmedian(dec_deg))) if degrees is ra_deg else 1.0
        largest = max(largest, 1800 * next(multiples, 0.0) * float(narrow))
    return largest


def _columns(table: Table, most: int = 8) -> str:
    """The columns of a table in a few words."""
    names, rest = table.colnames[:most], len(table.colnames) - most
    return f"columns {listed([*names, f'{rest} more'] if rest > 0 else names)}"
