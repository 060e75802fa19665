"""What is told about simulated clusters beside the quantities that were asked for."""

from __future__ import annotations

import torch
from torch import Tensor

from praesepe import quantities
from praesepe.sky.cluster_stars import ClusterStars
from praesepe.sky.clusters.parameters import Clusters
from praesepe.sky.contaminants import ARTEFACT, EMPTY, NONE, OFF_CENTER, PointSources, kind_of
from praesepe.survey import Survey

NO_QUANTITIES = {
    "model": ("", "which of the survey's stellar models, counted from 0"),
    "x": ("pixel", "x of the center: pixels of the stamp, the first is 0"),
    "y": ("pixel", "y of the center: pixels of the stamp, the first is 0"),
    "n_stars": ("", "number of stars drawn, companions not counted"),
    "n_living": ("", "number of living stars, companions included"),
    "rh_realised_arcsec": ("arcsec", "half-light radius of the stars drawn"),
    "field_density": ("solMass / pc2", "initial mass of the field stars per area"),
    "distance_pc": ("pc", "distance of the galaxy"),
    "foreground_a_v": ("mag", "extinction by the Milky Way, in front of the galaxy"),
    "r_v": ("", "A_V / E(B-V) of the dust inside the galaxy"),
    "a_v_scatter": ("mag", "standard deviation of the extinction from star to star"),
    "binary_fraction": ("", "fraction of the stars with a companion"),
}
"""Unit and description of what the truth tells beside the quantities of the registry."""

BY_BAND = {
    "mag_": ("mag", "AB magnitude of the cluster in"),
    "brightest_": ("mag", "AB magnitude of the brightest star in"),
    "exposure_": ("s", "exposure time in"),
    "fwhm_": ("pixel", "full width at half maximum of the PSF in"),
    "depth_": ("mag", "AB magnitude of the noise of an empty pixel in"),
}
"""The same of what it tells for each band, by the beginning of the name."""


def describe(name: str) -> tuple[str, str]:
    """Unit, as tables write it, and description of a column of the truth."""
    for prefix, (unit, words) in BY_BAND.items():
        if name.startswith(prefix):
            return unit, f"{words} {name.removeprefix(prefix)}"
    if name in NO_QUANTITIES:
        return NO_QUANTITIES[name]
    quantity = quantities.get(name)
    categories = ", ".join(f"{i}: {word}" for i, word in enumerate(quantity.categories))
    return quantity.unit, quantity.description + (f"; {categories}" if categories else "")


def truth_of(
    clusters: Clusters,
    center: Tensor,
    drawn: ClusterStars,
    others: PointSources | None,
    survey: Survey,
    *,
    compute_truth: bool,
) -> dict[str, Tensor]:
    """All that is known of the n stamps of a population, each of shape (n,).

    `center` is (2, n); with `compute_truth` also what the stars drawn show.
    """
    light = drawn.stars.light
    if others is not None:
        light = light + others.light(len(light))
    truth = varying_parameters(clusters, survey) | {
        "log_mass": drawn.stars.mass.log10(),
        "x": center[0],
        "y": center[1],
        "n_stars": drawn.n_stars,
        **magnitudes(light, survey, "mag"),
    }
    if set(quantities.OFFSETS) & set(survey.network.infers):
        offset = center - survey.stamp_size // 2
        truth |= dict(zip(quantities.OFFSETS, offset.unbind(), strict=True))
    if compute_truth:
        truth |= what_stars_show(drawn, survey)
    kind = kind_of(clusters)
    return truth if kind is None else known_of(truth, kind)


def observed_truth(
    survey: Survey,
    *,
    fwhm_px: Tensor,
    exposure_s: Tensor | None,
    noise: Tensor | None,
) -> dict[str, Tensor]:
    """Columns of what is known of the observation.

    Parameters
    ----------
    survey : Survey
    fwhm_px, exposure_s, noise : Tensor, each of shape (n, band)
        Width of the PSF; exposure time, where it varies; noise of an empty pixel, e-/s.

    Returns
    -------
    dict of str to Tensor, each of shape (n,)
    """
    columns: dict[str, Tensor] = {}
    for beginning, values in (("fwhm", fwhm_px), ("exposure", exposure_s)):
        if values is not None:
            names = (f"{beginning}_{band}" for band in survey.band_names)
            columns |= dict(zip(names, values.unbind(1), strict=True))
    return columns if noise is None else columns | magnitudes(noise, survey, "depth")


def magnitudes(light: Tensor, survey: Survey, prefix: str) -> dict[str, Tensor]:
    """AB magnitudes by band, named ``PREFIX_BAND``, from e-/s of shape (n, band)."""
    return {
        f"{prefix}_{band.name}": band.zero_point_ab - 2.5 * light[:, i].log10()
        for i, band in enumerate(survey.bands)
    }


def varying_parameters(clusters: Clusters, survey: Survey) -> dict[str, Tensor]:
    """Those of the clusters' parameters that the survey does not leave at a fixed default."""
    prior, tides = survey.clusters, survey.galaxy.tides
    values = clusters.parameters() | {"tidal_radius": clusters.tidal_radius}
    told = {q.name: not prior.is_default(q) for q in quantities.drawn()} | {
        "angle": not prior.is_default(quantities.ELLIPTICITY),
        "tidal_radius": tides is not None,
        "distance_pc": survey.varies_in_distance,
        "foreground_a_v": survey.galaxy.foreground_a_v != 0,
        "r_v": isinstance(prior.stars.r_v, tuple),
        "a_v_scatter": isinstance(prior.a_v_scatter, tuple),
        "binary_fraction": isinstance(prior.stars.binary_fraction, tuple),
        "model": len(prior.stars.models) > 1,
    }
    told |= {
        q.name: False
        for q in quantities.registered()
        if q.profile and q.profile not in prior.profiles
    }
    return {name: values[name] for name in values if told.get(name)}


def what_stars_show(drawn: ClusterStars, survey: Survey) -> dict[str, Tensor]:
    """What the stars drawn are, apart from their sum.

    Parameters
    ----------
    drawn : ClusterStars
        Drawn with all that can be told of them.
    survey : Survey

    Returns
    -------
    dict of str to Tensor, each of shape (n,)
        Present-day mass, number of living stars, half-light radius in the middle band, magnitude
        of the brightest star in every band.
    """
    stars = drawn.stars
    assert stars.present_mass is not None
    assert stars.n_living is not None
    assert stars.brightest is not None
    radius_px = drawn.half_light_radius(len(survey.bands) // 2)
    return {
        "log_present_mass": stars.present_mass.log10(),
        "n_living": stars.n_living,
        "rh_realised_arcsec": radius_px * survey.pixel_scale_arcsec,
        **magnitudes(stars.brightest, survey, "brightest"),
    }


def known_of(truth: dict[str, Tensor], kind: Tensor) -> dict[str, Tensor]:
    """What is known of stamps of these kinds: nothing of clusters that are not in the middle.

    Places and magnitudes of what lies there stay, where there is anything, and offsets of clusters.
    """
    middle, anything = kind == NONE, (kind != EMPTY) & (kind != ARTEFACT)
    known = {}
    for name, values in truth.items():
        if name not in ("distance_pc", "foreground_a_v"):
            seen = anything if name in ("x", "y") or name.startswith("mag_") else middle
            if name in quantities.OFFSETS:
                seen = middle | (kind == OFF_CENTER)
            values = torch.where(seen, values, torch.nan)
        known[name] = values
    return known | {quantities.CONTAMINANT.name: kind, quantities.OBJECT_CLASS.name: middle.long()}
