"""Surface-brightness profiles of star clusters, sampled star by star."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from praesepe.quantities import PROFILE
from praesepe.sky.clusters.king import king_radius

PROFILES = PROFILE.categories
"""Names of the profiles; `SpatialProfile.kind` holds indices into them."""

EFF, KING, PLUMMER = range(len(PROFILES))

_PLUMMER_GAMMA = 4.0
"""A Plummer sphere is an EFF profile of this slope, in projection and in space."""

MIN_TIDAL_RADIUS = 1.5
"""Smallest tidal radius in half-light radii; an even disc, the flattest profile, has 2^1/2."""

_MAX_EXPONENT = 60.0
"""Largest radius, as ln(1 + r²/a²): far outside every image, and finite in single precision."""

# Bins of `realized_half_light_radius`: powers of two of r², each cut into 64 by its leading bits.
_BIN_BITS = 6
_MIN_POWER, _MAX_POWER = -24, 28
_FLOAT_BITS, _FLOAT_BIAS = 23, 127


@dataclass(frozen=True)
class SpatialProfile:
    """How the stars of a batch of clusters are distributed.

    Attributes
    ----------
    half_light_radius : Tensor, shape (cluster,)
        Projected half-light radius r_h of the profile, any unit.
    kind : Tensor of int64, shape (cluster,)
        Index into `PROFILES`.
    gamma : Tensor, shape (cluster,)
        Slope of an EFF profile, > 2; not used for the others.
    tidal_radius : Tensor, shape (cluster,)
        Truncation radius of an EFF profile, in the unit of r_h and at least `MIN_TIDAL_RADIUS` r_h;
        infinite for one that is not truncated. Not used for the others.
    concentration : Tensor, shape (cluster,)
        log10 of tidal over core radius of a King profile, 0.1 to 3.5; not used for the others.
    ellipticity : Tensor, shape (cluster,)
        1 - b/a.
    angle_rad : Tensor, shape (cluster,)
        Direction of the long axis, from x towards y.
    segregation : Tensor, shape (cluster,)
        Radii scale as (m / m_light)^-segregation, with the mass of the stars that give the light.
    """

    half_light_radius: Tensor
    kind: Tensor
    gamma: Tensor
    tidal_radius: Tensor
    concentration: Tensor
    ellipticity: Tensor
    angle_rad: Tensor
    segregation: Tensor

    def part(self, which: slice | Tensor) -> SpatialProfile:
        """Some of the clusters, by a slice or their indices."""
        some = copy(self)
        # What has been computed need not be computed again.
        vars(some).update({name: values[which] for name, values in vars(self).items()})
        return some

    @cached_property
    def slope(self) -> Tensor:
        """Slope of EFF profiles and of Plummer's."""
        return torch.where(self.kind == PLUMMER, _PLUMMER_GAMMA, self.gamma)

    @cached_property
    def truncation_radius(self) -> Tensor:
        """Truncation radius of EFF profiles; infinite for the others."""
        return self.tidal_radius.masked_fill(self.kind != EFF, math.inf)

    @cached_property
    def scale_radius(self) -> Tensor:
        """Scale radii of EFF and Plummer profiles."""
        return eff_scale_radius(self.half_light_radius, self.slope, self.truncation_radius)

    @cached_property
    def truncated_fraction(self) -> Tensor:
        """Survival fraction of the untruncated profile at the truncation radius."""
        return torch.exp(
            (1 - 0.5 * self.slope) * torch.log1p((self.truncation_radius / self.scale_radius) ** 2)
        )


_MAX_LOG_SCALE = 15.0
"""A truncated profile has a scale radius within e^±15 r_h; truncation makes it flatter: a grows."""

_CUTS, _STEPS = 16, 7
"""Search for a: an interval of e^30 at most, cut at 16 places 7 times, shrinks below 1e-7."""


def eff_scale_radius(
    half_light_radius: Tensor, gamma: Tensor, tidal_radius: Tensor | None = None
) -> Tensor:
    """Scale radius *a* of an EFF profile.

    Parameters
    ----------
    half_light_radius : Tensor
        Projected half-light radius r_h, any unit.
    gamma : Tensor
        Slope of the profile's outskirts, > 2.
    tidal_radius : Tensor, optional
        Truncation radius, in the unit of r_h, at least `MIN_TIDAL_RADIUS` r_h; by default, and
        where it is infinite, the profile is not truncated.

    Returns
    -------
    Tensor
        In the unit of r_h; untruncated ``r_h / sqrt(2**(2 / (gamma - 2)) - 1)``.

    Notes
    -----
    Elson, Fall & Freeman (1987, ApJ 323, 54): Σ(r) ∝ (1 + r²/a²)^(-γ/2). The light inside r is
    ∝ 1 - (1 + r²/a²)^(1-γ/2). Half of the light inside the tidal radius r_t lies inside r_h, which
    gives a by cutting the interval of ln a again and again.
    """
    untruncated = half_light_radius / torch.sqrt(torch.exp2(2.0 / (gamma - 2.0)) - 1.0)
    if tidal_radius is None or bool(torch.isinf(tidal_radius).all()):
        return untruncated
    power = 1.0 - 0.5 * gamma.double()
    ratio = (tidal_radius.double() / half_light_radius).clamp(min=MIN_TIDAL_RADIUS)
    low = (untruncated.double() / half_light_radius).log().clamp(min=-_MAX_LOG_SCALE)
    width = _MAX_LOG_SCALE - low
    low, power, square = low[..., None], power[..., None], ratio[..., None] ** 2
    cuts = torch.arange(1, _CUTS + 1, device=low.device, dtype=low.dtype)
    for _ in range(_STEPS):
        width = width / (_CUTS + 1)
        core = torch.exp(-2 * (low + width[..., None] * cuts))  # (r_h / a)^2
        inside = torch.expm1(power * torch.log1p(core))  # minus the light, as `total`
        total = torch.expm1(power * torch.log1p(core * square))
        too_small = 2 * inside < total  # more than half of the light inside r_h
        low = low + (width * too_small.sum(-1))[..., None]
    middle = low[..., 0] + 0.5 * width
    truncated = half_light_radius * torch.exp(middle).to(half_light_radius.dtype)
    return torch.where(torch.isinf(tidal_radius), untruncated, truncated)


def sample_plummer(half_light_radius: Tensor, *, generator: torch.Generator) -> Tensor:
    """Draw projected positions from Plummer spheres centered on the origin.

    Parameters
    ----------
    half_light_radius : Tensor, shape (n,)
        Of each star's sphere.
    generator : torch.Generator
        Source of randomness, on the device of the tensor.

    Returns
    -------
    Tensor, shape (2, n)
        x and y in the unit of `half_light_radius`, which is also the scale radius.
    """
    survival = torch.rand(half_light_radius.shape, generator=generator, device=generator.device)
    exponent = torch.tensor(2 / (_PLUMMER_GAMMA - 2), device=generator.device)
    radius = _eff_radius(half_light_radius, exponent, survival)
    return _in_random_directions(radius, generator=generator)


def sample_positions(
    profile: SpatialProfile,
    cluster_index: Tensor,
    *,
    generator: torch.Generator,
    relative_mass: Tensor | None = None,
    fractions: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Draw projected positions of stars about the centers of their clusters.

    Parameters
    ----------
    profile : SpatialProfile
        The clusters.
    cluster_index : Tensor of int64, shape (star,)
        Cluster of each star.
    generator : torch.Generator
        Source of randomness, on the device of the tensors.
    relative_mass : Tensor, shape (star,), optional
        Mass of each star over that of the stars that give the light; without it there is no
        segregation.
    fractions : tuple of Tensor, shape (star,), optional
        Each star lies between the radii that have these fractions of the light inside (before
        segregation moves it).

    Returns
    -------
    Tensor, shape (2, star)
        x and y in the unit of r_h. A flattened cluster has the axes r_h / sqrt(1 - e) and
        r_h * sqrt(1 - e): the area within the ellipse of half the light stays.
    """
    king = profile.kind == KING
    device = profile.half_light_radius.device

    def uniform(stars: slice | Tensor = slice(None)) -> Tensor:
        """Survival fraction of each star: the light outside its radius."""
        u = torch.rand(cluster_index[stars].shape, generator=generator, device=device)
        if fractions is None:
            return u
        low, high = (values[stars] for values in fractions)
        return u.mul_(high - low).add_(1 - high)

    if bool(king.all()):
        radius = _king_radius(profile, cluster_index, uniform())
    else:
        scale = profile.scale_radius.index_select(0, cluster_index)
        exponent = (2.0 / (profile.slope - 2.0)).index_select(0, cluster_index)
        survival = uniform()
        if bool((profile.truncated_fraction > 0).any()):
            least = profile.truncated_fraction.index_select(0, cluster_index)
            survival.mul_(1 - least).add_(least)
        radius = _eff_radius(scale, exponent, survival)
        if bool(king.any()):
            chosen = king[cluster_index].nonzero()[:, 0]
            radius[chosen] = _king_radius(profile, cluster_index[chosen], uniform(chosen))
    if relative_mass is not None and bool((profile.segregation != 0).any()):
        radius *= relative_mass ** -profile.segregation[cluster_index]
    return _flatten(profile, cluster_index, _in_random_directions(radius, generator=generator))


def even_positions(
    profile: SpatialProfile,
    n_points: int,
    *,
    relative_mass: Tensor | None = None,
    fractions: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Positions that share a profile's light evenly: what a cluster of endlessly many stars gives.

    Parameters
    ----------
    profile : SpatialProfile
        The clusters.
    n_points : int
        Points of each cluster.
    relative_mass : Tensor, shape (cluster, n_points), optional
        Mass of the stars that give a point's light over that of those which give all of it;
        without it there is no segregation.
    fractions : tuple of Tensor, shape (cluster,), optional
        The points share the light between the radii that have these fractions of it inside.

    Returns
    -------
    Tensor, shape (2, cluster * n_points)
        x and y in the unit of r_h, cluster after cluster. The k-th point stands where
        (k + 1/2) / n_points of this light lie inside, a golden angle on from the one before.
    """
    n, device = len(profile.kind), profile.half_light_radius.device
    step = torch.arange(n_points, device=device)
    survival = (1 - (step + 0.5) / n_points).expand(n, n_points)
    if fractions is not None:
        low, high = (values.float()[:, None] for values in fractions)
        survival = survival * (high - low) + (1 - high)
    radius = _radii(profile, survival)
    if relative_mass is not None and bool((profile.segregation != 0).any()):
        radius *= relative_mass ** -profile.segregation[:, None]
    turns = step.double() * (0.5 * (3 - math.sqrt(5.0)))
    angle = (2 * math.pi * turns.frac()).float()
    position = (torch.stack((torch.cos(angle), torch.sin(angle)))[:, None] * radius).flatten(1)
    cluster_index = torch.arange(n, device=device).repeat_interleave(n_points)
    return _flatten(profile, cluster_index, position)


def light_inside(profile: SpatialProfile, radius: Tensor) -> Tensor:
    """Fraction of the light inside some radii, without segregation; good to 0.1 per cent.

    Parameters
    ----------
    profile : SpatialProfile
        The clusters.
    radius : Tensor, shape (radius,)
        Ascending, in the unit of r_h.

    Returns
    -------
    Tensor of float64, shape (cluster, radius)
    """
    device = radius.device
    tail = torch.logspace(-1, -6, 256, device=device, dtype=torch.float64)
    survival = torch.cat(
        (torch.linspace(1, 0.1, 256, device=device, dtype=torch.float64), tail[1:])
    )
    edges = _radii(profile, survival.float().expand(len(profile.kind), -1)).contiguous()
    wanted = radius.float().expand(len(edges), -1).contiguous()
    last = len(survival) - 1
    right = torch.searchsorted(edges, wanted).clamp(1, last)
    start, end = edges.gather(1, right - 1), edges.gather(1, right)
    step = ((wanted - start) / (end - start).clamp_min(1e-30)).clamp(0, 1).double()
    outside = torch.lerp(survival[right - 1], survival[right], step)
    return torch.where(wanted > edges[:, -1:], 1.0, 1 - outside)


def realized_half_light_radius(
    cluster_index: Tensor, offset: Tensor, light: Tensor, n: int
) -> Tensor:
    """Radius about the true center within which half of the light of the drawn stars lies.

    Parameters
    ----------
    cluster_index : Tensor of int64, shape (star,)
        Cluster of each star, 0 to n - 1, in any order.
    offset : Tensor of float32, shape (2, star)
        x and y from the true center of the cluster.
    light : Tensor, shape (star,)
        Light of each star, not negative.
    n : int
        Number of clusters.

    Returns
    -------
    Tensor, shape (n,)
        In the unit of `offset`; NaN for a cluster without light.

    Notes
    -----
    A histogram of r² in bins of 0.8 to 1.6 %, which are the leading bits of the floating-point
    number, interpolated within the bin: r is right to 0.8 %. Radii between 2^-12 and 2^14 units are
    told apart, which holds for pixels and arcsec alike.
    """
    square = offset[0] * offset[0]
    square.addcmul_(offset[1], offset[1])
    low = (_MIN_POWER + _FLOAT_BIAS) << _BIN_BITS
    n_bins = (_MAX_POWER - _MIN_POWER) << _BIN_BITS
    index = square.view(torch.int32) >> (_FLOAT_BITS - _BIN_BITS)
    index = index.sub_(low).clamp_(0, n_bins - 1)
    index = cluster_index * n_bins + index
    histogram = torch.zeros(n * n_bins, device=light.device, dtype=light.dtype)
    histogram.index_add_(0, index, light)
    inside = histogram.view(n, n_bins).cumsum(1)
    half = 0.5 * inside[:, -1:]
    bin_ = torch.searchsorted(inside, half)  # first bin where half of the light is reached
    above = inside.gather(1, bin_)
    below = inside.gather(1, (bin_ - 1).clamp_(min=0)).masked_fill(bin_ == 0, 0.0)
    fraction = ((half - below) / (above - below))[:, 0]
    edges = [
        ((bin_[:, 0] + low + step) << (_FLOAT_BITS - _BIN_BITS)).int().view(torch.float32)
        for step in (0, 1)
    ]
    return torch.sqrt(edges[0] + fraction * (edges[1] - edges[0]))


def _king_radius(profile: SpatialProfile, cluster_index: Tensor, survival: Tensor) -> Tensor:
    radius, concentration = profile.half_light_radius, profile.concentration
    return king_radius(radius, concentration, cluster_index, survival)


def _radii(profile: SpatialProfile, survival: Tensor) -> Tensor:
    """Projected radii (cluster, point) with the fractions `survival` of the light outside."""
    truncated, exponent = profile.truncated_fraction[:, None], 2.0 / (profile.slope[:, None] - 2.0)
    untruncated = torch.lerp(truncated, torch.ones_like(truncated), survival)
    radius = _eff_radius(profile.scale_radius[:, None], exponent, untruncated)
    king = torch.nonzero(profile.kind == KING).flatten()
    if len(king):
        n_points = survival.shape[1]
        cluster_index = king.repeat_interleave(n_points)
        of_king = _king_radius(profile, cluster_index, survival[king].flatten())
        radius[king] = of_king.view(-1, n_points)
    return radius


def _eff_radius(scale: Tensor, exponent: Tensor, survival: Tensor) -> Tensor:
    """Projected radii of EFF profiles of scale a, `exponent` = 2 / (γ - 2).

    `survival`, which is overwritten, is the fraction of the light outside each radius.
    """
    depth = survival.log_().mul_(exponent).neg_().clamp_(max=_MAX_EXPONENT)  # ln(1 + r²/a²)
    return torch.expm1(depth, out=depth).sqrt_().mul_(scale)


def _in_random_directions(radius: Tensor, *, generator: torch.Generator) -> Tensor:
    """Positions (2, n) at the given radii in random directions."""
    angle = torch.rand(
        radius.shape, generator=generator, device=radius.device, dtype=radius.dtype
    ).mul_(2 * math.pi)
    position = torch.empty((2, *radius.shape), device=radius.device, dtype=radius.dtype)
    torch.cos(angle, out=position[0])
    torch.sin(angle, out=position[1])
    return position.mul_(radius)


def _flatten(profile: SpatialProfile, cluster_index: Tensor, position: Tensor) -> Tensor:
    """Squeeze circles to ellipses of the same area and turn them; round clusters stay."""
    if not bool((profile.ellipticity != 0).any()):
        return position
    squeeze = torch.sqrt(1 - profile.ellipticity)
    cos, sin = torch.cos(profile.angle_rad), torch.sin(profile.angle_rad)
    rows = torch.stack((cos / squeeze, -sin * squeeze, sin / squeeze, cos * squeeze)).index_select(
        1, cluster_index
    )  # (4, star)
    x, y = position
    return torch.stack((rows[0] * x + rows[1] * y, rows[2] * x + rows[3] * y))
