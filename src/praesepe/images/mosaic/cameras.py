"""Which band of a channel an image is of: its header names the camera."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from praesepe.errors import InputError, listed
from praesepe.images.mosaic.band_images import other_camera
from praesepe.images.reading.source import open_image
from praesepe.images.units.headers import Headers
from praesepe.survey import Band, Survey


def with_cameras(survey: Survey, images: Any, hdu: Any = None) -> Survey:
    """A survey without the bands of other cameras than those that took the images.

    Parameters
    ----------
    survey : Survey
        Of a channel with several bands that of the image's camera is kept, where there is one.
    images : mapping of str to image
        By the name of the band, or of the channel. Anything else is left to those who read it.
    hdu : str, int or mapping, optional
        As for `Mosaic.read`.

    Raises
    ------
    InputError
        Where an image is of a camera that the channel does not know, or of another than the band
        that it is given for; where nothing tells the camera; for two images of one channel.
    """
    if not survey.has_alternatives or not isinstance(images, Mapping):
        return survey
    given: list[str] = []
    for name, image in images.items():
        bands = survey.called(name)
        if bands and any(band.channel for band in bands):
            own_hdu = hdu.get(name) if isinstance(hdu, Mapping) else hdu
            source = open_image(image, name, own_hdu)
            headers = Headers(source.headers, source.label)
            bands = (_of_camera(name, bands, headers, survey.telescope),)
        given += [band.name for band in bands]
    survey.refuse_alternatives(given)
    dropped = {
        band.name
        for bands in survey.channels.values()
        if any(band.name in given for band in bands)
        for band in bands
        if band.name not in given
    }
    kept = tuple(band for band in survey.bands if band.name not in dropped)
    return survey.with_values(observation={"bands": kept})


def _of_camera(name: str, bands: tuple[Band, ...], headers: Headers, telescope: str) -> Band:
    """The band that an image is of, among those that its name may mean."""
    fits = [band for band in bands if not any(other_camera(band, headers, telescope))]
    if len(fits) == 1:
        return fits[0]
    names = tuple(band.name for band in bands)
    cameras = listed(band.instrument for band in bands)
    if fits:
        raise InputError(
            f"{headers.label}: given for {name!r}, which is of {cameras}; its header does not say "
            "which camera took it",
            given=name,
            allowed=names,
            remedy=f"add INSTRUME to its header, or name the band: {listed(names)}",
        )
    taken, _ = other_camera(bands[0], headers, telescope)
    raise InputError(
        f"{headers.label}: given for {name!r}, which is of {cameras}, but its header says {taken}",
        given=taken,
        allowed=tuple(band.instrument for band in bands),
        remedy="give it for a band of its camera, or leave it out",
    )
