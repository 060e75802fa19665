"""What differs from image to image: zero points, blur, registration, the PSF's place and focus."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from praesepe.survey import Survey


def draw_nuisances(
    survey: Survey,
    n: int,
    *,
    n_psfs: Sequence[int],
    generator: torch.Generator,
    imperfect: bool = True,
) -> dict[str, Tensor]:
    """Draw what the telescope does to stamps, for `Renderer.convolve`.

    Parameters
    ----------
    survey : Survey
    n : int
        Number of stamps.
    n_psfs : sequence of int
        Number of PSFs of each band.
    generator : torch.Generator
        Source of randomness; its device is that of the result.
    imperfect : bool
        Whether zero points, blur, registration and focus vary.

    Returns
    -------
    dict of str to Tensor
        ``gain`` (n, band), ``blur_px`` (n, band), ``shift_px`` (n, band, 2), where they vary;
        ``halo_share`` (n, band), where the survey has any;
        ``psf`` (n, band), where a band has several.
    """
    if not imperfect:
        return _psfs(survey, n, n_psfs, generator, imperfect)
    settings, shape = survey.observation.nuisance, (n, len(survey.bands))
    low, high = settings.blur_px
    device = generator.device

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    u = torch.rand(shape, generator=generator, device=device)
    drawn = {
        "gain": 10 ** (-0.4 * settings.zero_point_mag * normal(*shape)),
        "blur_px": low + (high - low) * u,
        "shift_px": settings.registration_px * normal(*shape, 2),
        **_psfs(survey, n, n_psfs, generator, imperfect),
    }
    if settings.flux_mag > 0:
        drawn["gain"] = drawn["gain"] * 10 ** (-0.4 * settings.flux_mag * normal(n, 1))
    least, most = settings.halo_share
    if least < most or most != 0:
        u = torch.rand(shape, generator=generator, device=device)
        drawn["halo_share"] = least + (most - least) * u
    return drawn


def _psfs(
    survey: Survey, n: int, n_psfs: Sequence[int], generator: torch.Generator, imperfect: bool
) -> dict[str, Tensor]:
    """Which of its PSFs each band sees: one place on the detector and one focus a stamp.

    The place is where the cluster happens to lie, and always varies. The focus is a nuisance:
    without these, every band has its first, the sharpest.
    """
    device = generator.device
    counts = torch.tensor(n_psfs, device=device)
    if bool((counts == 1).all()):
        return {}
    from_file = [band.psf.file is not None for band in survey.bands]
    place, focus = torch.rand((2, n, 1), generator=generator, device=device)
    if not imperfect:
        focus = torch.zeros_like(focus)
    u = torch.where(torch.tensor(from_file, device=device), place, focus)
    return {"psf": (u * counts).long()}
