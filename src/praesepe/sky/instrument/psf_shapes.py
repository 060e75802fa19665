"""The shape of a PSF, and whether that of a file can be what the survey says it is."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from praesepe.errors import InputError, PraesepeWarning, listed, must_be
from praesepe.survey.observation import MIRRORS_M

if TYPE_CHECKING:
    from praesepe.sky.instrument.psf_files import PSFFile
    from praesepe.survey import PSF, Band

Array = NDArray[np.floating[Any]]

COARSEST_PIXELS = 2.0
"""A PSF sampled more coarsely than this many pixels is a mistake in the sampling."""

RADII_ARCSEC = (0.1, 0.2)
LIKE_HUBBLE = ((0.7, 1.6), (0.7, 1.3), (0.8, 1.15), (0.8, 1.1))
"""Width, light within `RADII_ARCSEC` and light told for the box, over those of the optical model.

TinyTim's PSFs of ACS and the STDPSF of UVIS (F336W, F438W, F814W, all positions) have 0.83 to 1.12,
0.94 to 1.10 and 0.98 to 1.06; squared ones 1.34 to 1.43 of the light within 0.1 arcsec. Drizzled
onto 0.06 arcsec, a star of ACS is up to 1.5 times as wide.
"""

NOT_DRIZZLED = ((0.7, 1.25), (0.82, 1.3))
"""The first two of these where the survey drizzles the file's star (`pixfrac`) itself.

A drizzled star is 1.3 times as wide as before: its file needs ``pixfrac = 0``.
"""

SHARPEST = 0.57
"""Of the width of Hubble's star; half the true sampling makes 0.42 to 0.53."""

SHARPEST_OPTICS = 0.7
"""Of wavelength over mirror, which is the width of a star by diffraction alone, nearly."""

WIDEST_OPTICS = 2.0
"""Of the width that mirror and pixel give together."""

MOST_ENERGY = 1.02
"""Light within a circle over that of the box; 1.000 in PSFs as above."""

ROUNDEST, LEAST_ROUND = 1.5, 0.83
"""Short over long axis of the light under a Gaussian whose sigma is the width over the first: at
least 0.88 in PSFs as above."""

LONE = ((2.0, 0.05), (3.0, 0.02))
"""Beyond so many of its widths a star differs from itself turned round by less of its peak.

PSFs as above by less than 0.026 and 0.003.
"""


def encircled_energy(psf: ArrayLike, scale_arcsec: float, radii_arcsec: ArrayLike) -> Array:
    """Light within circles about the middle element, with the exact overlap of circle and cell.

    Parameters
    ----------
    psf : array_like, shape (2k + 1, 2k + 1)
        Light per cell.
    scale_arcsec : float
        Side of a cell, arcsec.
    radii_arcsec : array_like, shape (R,)
        Radii of the circles, arcsec.

    Returns
    -------
    ndarray, shape (R,)
    """
    from photutils.aperture import CircularAperture

    image = np.asarray(psf, dtype=float)
    center = (image.shape[1] // 2, image.shape[0] // 2)
    radii = np.atleast_1d(np.asarray(radii_arcsec, dtype=float)) / scale_arcsec
    return np.array([CircularAperture(center, r).do_photometry(image)[0][0] for r in radii])


def full_width(psf: ArrayLike, scale_arcsec: float) -> float:
    """Full width at half maximum, arcsec: the mean of the four cuts from the middle element.

    Parameters
    ----------
    psf : array_like, shape (2k + 1, 2k + 1)
        Brightest in its middle.
    scale_arcsec : float
        Side of a cell, arcsec.

    Raises
    ------
    InputError
        Where it does not fall to half of its peak.
    """
    image = np.asarray(psf, dtype=float)
    y, x = image.shape[0] // 2, image.shape[1] // 2
    half_widths = []
    for cut in (image[y, x:], image[y, x::-1], image[y:, x], image[y::-1, x]):
        beyond = int(np.argmax(cut < image[y, x] / 2))  # first element below half
        if beyond == 0:
            raise InputError(
                "a star whose light does not fall to half of its peak within "
                f"{len(cut) * scale_arcsec:.2g} arcsec",
                given=scale_arcsec,
                remedy="give psf.file the light of a star, not its logarithm, and its sampling",
            )
        high, low = cut[beyond - 1 : beyond + 1] / image[y, x]
        half_widths.append(beyond - 1 + (high - 0.5) / (high - low))
    return 2 * scale_arcsec * float(np.mean(half_widths))


def check_sampling(psf: PSF, file: PSFFile, *, pixel_scale_arcsec: float | None = None) -> None:
    """Refuse a sampling that cannot be that of the file, before it is resampled.

    One coarser than two pixels, or so fine that the whole image of the file is smaller than two
    pixels: of the mosaic, by default of the detector.
    """
    if pixel_scale_arcsec is None:
        pixel, name = psf.native_pixel_arcsec, "the detector's pixel (native_pixel_arcsec)"
    else:
        pixel, name = pixel_scale_arcsec, "the mosaic's pixel"
    source = "psf.file_scale_arcsec" if psf.file_scale_arcsec else "its header"
    scale, box = file.scale_arcsec, min(file.planes.shape[1:]) * file.scale_arcsec
    if scale > COARSEST_PIXELS * pixel * (1 + 1e-9):
        wrong = f"{name} is {pixel:g} arcsec; allowed are {COARSEST_PIXELS:g} pixels at most"
    elif box < COARSEST_PIXELS * pixel:
        wrong = (
            f"so that all of it spans {box:.3g} arcsec, and {name} is {pixel:g} arcsec; it must "
            f"hold {COARSEST_PIXELS:g} pixels at least"
        )
    else:
        return
    raise InputError(
        f"{psf.file} is sampled every {scale:g} arcsec ({source}), {wrong}",
        given=scale,
        remedy="set psf.file_scale_arcsec to the sampling of the file",
    )


def chosen_position(psf: PSF, n_planes: int, position: int | None) -> int | None:
    """Plane to use of a file with `n_planes`, None for the mean of all.

    `position` is one of the variants of `praesepe.sky.instrument.psf.psf_variants`: a plane of a
    file whose position is "random"; where the survey has settled the plane, only 0 or None is
    possible.
    """
    fixed = psf.file_position
    if isinstance(fixed, int) and fixed >= n_planes:
        allowed = f'0 to {n_planes - 1} in {psf.file}, or "mean" or "random"'
        raise must_be("psf.file_position", fixed, allowed)
    n_variants = n_planes if fixed == "random" else 1
    if position is not None and not 0 <= position < n_variants:
        of = f"{psf.file} with psf.file_position = {fixed!r}"
        raise must_be("position", position, f"0 to {n_variants - 1} in {of}")
    if isinstance(fixed, int):
        return fixed
    return position if fixed == "random" else None


def check_origin(band: Band, file: PSFFile) -> None:
    """Warn of a file that is of another filter or camera by its header."""
    from praesepe.stars.curves import FILTER, other_camera

    of_file, of_band = (
        {*FILTER.findall(text.upper().replace("_", " "))}
        for text in (file.filters, f"{band.name} {band.filter}")
    )
    wrong = [other_camera(band, file.camera)]
    if of_file and of_band and not of_file & of_band:
        wrong.append((listed(sorted(of_file)), listed(sorted(of_band))))
    for by_header, by_survey in filter(None, wrong):
        _warn(
            f"{band.psf.file} is the PSF of {by_header} by its header, and that of {by_survey} by "
            f"the survey's band {band.name!r}"
        )


def check_star(psf: PSF, star: Array, step: float) -> None:
    """Refuse energies above one and a brighter star, warn of a trail, another star, a hot pixel.

    The last two have no like opposite of the star. `star` is of unit sum, sampled every `step`
    arcsec, its middle element the star's, shape (2k + 1, 2k + 1).
    """
    half = len(star) // 2
    offset = np.arange(-half, half + 1) * step
    distance = np.hypot(offset[:, None], offset)
    outwards = np.argsort(distance, axis=None)
    energy = np.cumsum(star.flat[outwards])
    top = int(energy.argmax())
    if energy[top] > MOST_ENERGY:
        within = distance.flat[outwards[top]]
        raise InputError(
            f"{psf.file}: within {within:.2f} arcsec of its star lie {energy[top]:.3f} of the "
            "light of its box, so that what is beyond is negative",
            given=float(energy[top]),
            allowed=1,
            remedy="subtract less sky from it, or crop it to where it is positive",
        )
    width = full_width(star, step)
    core = star * np.exp(-0.5 * (distance * ROUNDEST / width) ** 2)
    along_x, along_y = core @ offset**2, (core.T @ offset**2)
    cross = float(offset @ core @ offset)
    axes = np.linalg.eigvalsh([[along_x.sum(), cross], [cross, along_y.sum()]])
    short, long = np.maximum(axes, 0) ** 0.5
    if short < LEAST_ROUND * long:
        _warn(
            f"{psf.file}: its star is {short / long:.2f} times as long one way as the other; is it "
            "trailed, or another one beside it?"
        )
    radius = distance / width
    excess = (star - star[::-1, ::-1]) / star[half, half]
    for beyond, most in LONE:
        found = np.where(radius > beyond, excess, 0.0)
        y, x = np.unravel_index(int(found.argmax()), found.shape)
        if found[y, x] > most:
            here, there = (value[y, x] / star[half, half] for value in (star, star[::-1, ::-1]))
            if here > 1:
                where = f"{offset[x]:+.2f}, {offset[y]:+.2f} arcsec (x, y)"
                raise InputError(
                    f"{psf.file}: {where} from its star stand {here:.3g} of the star's peak",
                    given=float(here),
                    allowed=1,
                    remedy="give a file with the star alone, and not a damaged one",
                )
            _warn(
                f"{psf.file}: {offset[x]:+.2f}, {offset[y]:+.2f} arcsec (x, y) from its star stand "
                f"{here:.2f} of the star's peak, and {there:.2f} opposite; another star, or a hot "
                "pixel, is drawn beside every star"
            )
            return


def check_against_hubble(
    psf: PSF, file: PSFFile, star: Array, model: Array, model_inside: float, step: float
) -> None:
    """Refuse a star that is sharper than Hubble's can be, warn of one that differs from them.

    Parameters
    ----------
    psf, file
        The file, and what the survey says about it.
    star, model : ndarray, shape (2k + 1, 2k + 1)
        Of the file, of unit sum, and of the optical model, both with the detector's pixel.
    model_inside : float
        The model's light inside the file's box.
    step : float
        Sampling of both, arcsec.
    """
    told = 1.0 if psf.file_energy_fraction is None else psf.file_energy_fraction / model_inside
    radii = [radius for radius in RADII_ARCSEC if radius < file.reach_arcsec]
    light = encircled_energy(star, step, radii), encircled_energy(model, step, radii) / model_inside
    limits = LIKE_HUBBLE if psf.pixfrac == 0 else (*NOT_DRIZZLED, *LIKE_HUBBLE[2:])
    rows = [
        ("FWHM", full_width(star, step), full_width(model, step), limits[0]),
        *(
            (f"light within {radius:g} arcsec", *values, within)
            for radius, *values, within in zip(radii, *light, limits[1:], strict=False)
        ),
        ("psf.file_energy_fraction", told * model_inside, model_inside, LIKE_HUBBLE[-1]),
    ]
    wrong = [
        f"{what} {of_file:.3g} (Hubble's {of_model:.3g})"
        for what, of_file, of_model, (low, high) in rows
        if not low * of_model <= of_file <= high * of_model
    ]
    if not wrong:
        return
    told_by = "psf.file_scale_arcsec" if psf.file_scale_arcsec else "its header"
    said = f"{psf.file}, sampled every {file.scale_arcsec:g} arcsec by {told_by}: {listed(wrong)}"
    if rows[0][1] < SHARPEST * rows[0][2]:
        raise _too_sharp(psf, said, rows[0][1], rows[0][2])
    asked = "is this the light of one of its stars, and this its sampling?"
    if psf.pixfrac > 0:
        asked += " Of a star that is drizzled already set psf.pixfrac = 0"
    _warn(f"{said}; {asked}")


def check_against_mirror(
    psf: PSF, file: PSFFile, star: Array, wavelength: float, telescope: str, step: float
) -> None:
    """Hold a star, without the pixel where the file has none, against another mirror's diffraction.

    Wavelength in Angstrom.
    """
    width = full_width(star, step)
    diffraction = float(np.degrees(wavelength * 1e-10 / MIRRORS_M[telescope]) * 3600)
    said = (
        f"{psf.file}, sampled every {file.scale_arcsec:g} arcsec: FWHM {width:.3g} arcsec, where "
        f"{telescope}'s diffraction has {diffraction:.3g}"
    )
    if width < SHARPEST_OPTICS * diffraction:
        raise _too_sharp(psf, said, width, diffraction)
    if width > WIDEST_OPTICS * float(np.hypot(diffraction, psf.native_pixel_arcsec)):
        pixel = f"{psf.native_pixel_arcsec:g} arcsec (psf.native_pixel_arcsec)"
        _warn(f"{said} and the pixel {pixel}; is this its sampling?")


def _too_sharp(psf: PSF, said: str, width: float, least: float) -> InputError:
    remedy = "set psf.file_scale_arcsec to the sampling of the file"
    if psf.file_has_pixel is None:
        remedy += ", or psf.file_has_pixel = false where it is of the optics alone"
    return InputError(f"{said}: no mirror is as sharp", given=width, allowed=least, remedy=remedy)


def _warn(text: str) -> None:
    """Warn in this place, so that Python shows it once, however many read the file."""
    warnings.warn(text, PraesepeWarning, stacklevel=1)
