"""What the simulated clusters are: drawn from the survey's prior, or given."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from praesepe import quantities
from praesepe.errors import InputError, listed, must_be, unknown
from praesepe.quantities import Quantity
from praesepe.sky.clusters.profiles import EFF, SpatialProfile
from praesepe.survey import Survey, as_range
from praesepe.survey.schema import ARCSEC
from praesepe.survey.settings import ValueOrRange

LEAST_TIDAL_RADIUS = 2.0
"""In half-light radii. A cluster that fills its tidal radius further is about to dissolve."""

GRAVITY = 4.30091e-3
"""G in pc (km/s)² / Msun."""


@dataclass(frozen=True, repr=False)
class Clusters:
    """The parameters of clusters, before any star is drawn; every tensor is of shape (n,).

    Attributes
    ----------
    log_age : Tensor
        dex(yr).
    log_mass : Tensor
        Initial mass aimed at, dex(Msun); what the stars drawn weigh together scatters about it.
    log_rh : Tensor
        Projected half-light radius of the profile, dex(arcsec).
    log_z : Tensor
        log10 of the mass fraction of metals.
    a_v : Tensor
        Extinction, mag.
    model : Tensor of int64
        Which of the survey's stellar models the cluster follows.
    profile : Tensor of int64
        Index into `praesepe.sky.clusters.profiles.PROFILES`.
    gamma, concentration : Tensor
        Slope of an EFF profile; log10 of tidal over core radius of a King profile.
    tidal_scale : Tensor
        Tidal radius of a cluster of one solar mass, arcsec; that of others grows as the cube root
        of their mass. Infinite where EFF profiles are not truncated.
    ellipticity, angle : Tensor
        1 - b/a, and the angle of the long axis from x to y, rad.
    segregation : Tensor
        Exponent s of the mass segregation: radii are multiplied by (m/m_light)^-s.
    x_offset, y_offset : Tensor
        Center from the middle pixel of the stamp, pixels.
    distance_pc : Tensor
        Of the galaxy, pc: that of the star field that the cluster lies on.
    foreground_a_v : Tensor
        Extinction by the Milky Way, in front of the galaxy, mag.
    r_v : Tensor
        A_V / E(B-V) of the dust inside the galaxy.
    a_v_scatter : Tensor
        Standard deviation of the extinction from star to star, mag.
    binary_fraction : Tensor
        Fraction of the stars with a companion.
    nebular : Tensor
        Share of the ionising light that gas around a young cluster takes.
    more : dict of str to Tensor
        Other registered quantities that the survey draws, by name; those of a category as int64.
    """

    log_age: Tensor
    log_mass: Tensor
    log_rh: Tensor
    log_z: Tensor
    a_v: Tensor
    model: Tensor
    profile: Tensor
    gamma: Tensor
    concentration: Tensor
    tidal_scale: Tensor
    ellipticity: Tensor
    angle: Tensor
    segregation: Tensor
    x_offset: Tensor
    y_offset: Tensor
    distance_pc: Tensor
    foreground_a_v: Tensor
    r_v: Tensor
    a_v_scatter: Tensor
    binary_fraction: Tensor
    nebular: Tensor
    more: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.log_age)

    def __repr__(self) -> str:
        return f"Clusters: {len(self)}, with {', '.join(self.parameters())}"

    def part(self, which: slice | Tensor) -> Clusters:
        """Some of the clusters, by a slice or their indices."""
        return self._with({name: values[which] for name, values in self.parameters().items()})

    def parameters(self) -> dict[str, Tensor]:
        """All parameters by name, those in `more` too."""
        return {name: values for name, values in vars(self).items() if name != "more"} | self.more

    def _with(self, values: dict[str, Tensor]) -> Clusters:
        """The same with other values of some parameters."""
        more = {name: values.pop(name, old) for name, old in self.more.items()}
        return replace(self, **values, more=more)

    @property
    def tidal_radius(self) -> Tensor:
        """Truncation radius of EFF profiles, arcsec; infinite for others.

        At least `LEAST_TIDAL_RADIUS` half-light radii.
        """
        tidal = self.tidal_scale * 10 ** (self.log_mass / 3)
        tidal = torch.maximum(tidal, LEAST_TIDAL_RADIUS * 10**self.log_rh)
        return tidal.masked_fill(self.profile != EFF, math.inf)

    def spatial_profile(self, arcsec_per_unit: float = 1.0) -> SpatialProfile:
        """How their stars are distributed; radii in units of `arcsec_per_unit`."""
        return SpatialProfile(
            half_light_radius=10**self.log_rh / arcsec_per_unit,
            kind=self.profile,
            gamma=self.gamma,
            tidal_radius=self.tidal_radius / arcsec_per_unit,
            concentration=self.concentration,
            ellipticity=self.ellipticity,
            angle_rad=self.angle,
            segregation=self.segregation,
        )

    def with_values(self, **given: Any) -> Clusters:
        """The same clusters with some parameters put to given values (one, or one for each).

        ``tidal_radius`` [arcsec] may be given in place of ``tidal_scale``, ``rh_arcsec`` or
        ``rh_pc`` in place of ``log_rh``, ``metallicity`` in place of ``log_z``. At another
        ``distance_pc`` the other parameters, which are angles, stay as they are.

        Raises
        ------
        InputError
            For an unknown parameter, one that is given in two ways, a value that is not a finite
            number, a fraction in place of an index, or a wrong number of values.
        """
        known = self.parameters()
        own = {q.linear: q.name for q in quantities.added() if q.linear and q.name in self.more}
        in_place_of = IN_PLACE_OF | own
        known |= {name: known[parameter] for name, parameter in in_place_of.items()}
        for parameter in set(in_place_of.values()):
            same = [name for name in given if in_place_of.get(name, name) == parameter]
            if len(same) > 1:
                raise InputError(f"{listed(same)} are given", given=same, remedy="give one of them")
        changed = {}
        for name, values in given.items():
            if name not in known:
                raise unknown("cluster parameter", name, known)
            like = known[name]
            numbers = _numbers(
                name,
                values,
                whole=not like.is_floating_point(),
                infinite=in_place_of.get(name, name) == "tidal_scale",
            )
            if numbers.ndim > 1 or numbers.numel() not in (1, len(self)):
                allowed = f"() or ({len(self)},), one value or one for each cluster"
                raise must_be(f"the shape of {name}", tuple(numbers.shape), allowed)
            changed[name] = numbers.to(like.device, like.dtype).expand(len(self)).clone()
        others = {name: changed.pop(name) for name in in_place_of if name in changed}
        made = self._with(changed)
        for name, values in others.items():
            if name == "tidal_radius":
                value = values / 10 ** (made.log_mass / 3)
            elif not (values > 0).all():
                raise must_be(name, float(values.min()), "a positive number")
            else:
                pc_per_arcsec = made.distance_pc * ARCSEC
                value = (values / pc_per_arcsec if name == "rh_pc" else values).log10()
            made = made._with({in_place_of[name]: value})
        return made

    def moved(self, distance_pc: Any, survey: Survey) -> Clusters:
        """Clusters of a survey's prior at other distances: what it draws in pc is kept in pc."""
        if distance_pc is None:
            return self
        there = self.with_values(distance_pc=distance_pc)
        ratio = self.distance_pc / there.distance_pc.clamp_min(1.0)  # the impossible: refused later
        in_pc = survey.clusters.rh_pc is not None
        log_rh = self.log_rh + ratio.log10() if in_pc else self.log_rh
        return replace(there, log_rh=log_rh, tidal_scale=self.tidal_scale * ratio)


IN_PLACE_OF = {
    "tidal_radius": "tidal_scale",
    "rh_arcsec": "log_rh",
    "rh_pc": "log_rh",
    "metallicity": "log_z",
}
"""What can be given of clusters in place of a parameter."""

PARAMETERS = (*(f.name for f in fields(Clusters) if f.name != "more"), "tidal_radius")
"""What clusters have: a tidal radius beside its scale."""


def _numbers(name: str, values: Any, *, whole: bool, infinite: bool) -> Tensor:
    """Numbers, `infinite` ones or not, in double precision, from anything that holds numbers."""
    try:
        if isinstance(values, Tensor):
            numbers = values.double()
        else:
            numbers = torch.from_numpy(
                np.ma.filled(np.ma.array(values, dtype=float, copy=True), np.nan)
            )
    except (TypeError, ValueError) as error:
        raise must_be(name, values, "a number, or one for each cluster") from error
    good = torch.isfinite(numbers) | (infinite & torch.isposinf(numbers))
    if not good.all():
        raise must_be(name, float(numbers[~good][0]), "a finite number")
    if whole and not (numbers == numbers.round()).all():
        raise must_be(name, values, "a whole number, which counts from 0")
    return numbers


def draw_clusters(
    survey: Survey,
    n: int,
    *,
    generator: torch.Generator,
    distance_pc: Tensor | None = None,
) -> Clusters:
    """Draw the parameters of clusters from a survey's prior.

    Parameters
    ----------
    survey : Survey
        Its `clusters` and its galaxy's tides give the ranges.
    n : int
        Number of clusters.
    generator : torch.Generator
        Source of randomness; the tensors lie on its device.
    distance_pc : Tensor, shape (n,), optional
        Distances, where the survey has a range of them; by default its typical one.

    Returns
    -------
    Clusters
    """
    prior, tides, device = survey.clusters, survey.galaxy.tides, generator.device

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=generator, device=device)

    def one_of(k: int) -> Tensor:
        return torch.randint(k, (n,), generator=generator, device=device)

    def draw(quantity: Quantity) -> Tensor:
        if not quantity.is_categorical:
            return uniform(*survey.drawn_range(quantity))
        allowed = torch.tensor(prior.categories_of(quantity), device=device)
        return allowed[one_of(len(allowed))]

    def one_value_or(given: ValueOrRange) -> Tensor:
        """One for all, without a random number, or drawn from a range."""
        low, high = as_range(given)
        return torch.full((n,), low, device=device) if low == high else uniform(low, high)

    def tidal_scale() -> Tensor:
        if tides is None:
            return torch.full((n,), math.inf, device=device)
        from_center = 1e3 * uniform(*tides.galactocentric_kpc)
        scale = tidal_scale_pc(tides.circular_speed_km_s, from_center) / pc_per_arcsec
        if tides.endless_share > 0:
            scale[uniform(0.0, 1.0) < tides.endless_share] = math.inf
        return scale

    if distance_pc is None:
        distance_pc = torch.full((n,), survey.distance_pc, device=device)
        pc_per_arcsec: Tensor | float = survey.pc_per_arcsec
    else:
        pc_per_arcsec = distance_pc * ARCSEC
    low, high = (math.log10(r) for r in prior.rh_pc or survey.rh_arcsec)
    if prior.log_rh_normal is None:
        log_rh = uniform(low, high)
    else:
        log_rh = _truncated_normal(*prior.log_rh_normal, low, high, uniform(0.0, 1.0))
    if prior.rh_pc is not None:
        log_rh = log_rh - torch.as_tensor(pc_per_arcsec, device=device).log10()
    reach = prior.center_shift_px
    return Clusters(
        log_age=draw(quantities.LOG_AGE),
        log_mass=draw(quantities.LOG_MASS),
        log_rh=log_rh,
        log_z=draw(quantities.LOG_Z),
        a_v=draw(quantities.A_V),
        model=one_of(len(prior.stars.models)),
        profile=draw(quantities.PROFILE),
        gamma=draw(quantities.GAMMA),
        concentration=draw(quantities.CONCENTRATION),
        ellipticity=draw(quantities.ELLIPTICITY),
        angle=uniform(0.0, math.pi),
        segregation=draw(quantities.SEGREGATION),
        x_offset=uniform(-reach, reach),
        y_offset=uniform(-reach, reach),
        distance_pc=distance_pc,
        tidal_scale=tidal_scale(),
        foreground_a_v=one_value_or(survey.galaxy.foreground_a_v),
        r_v=one_value_or(prior.stars.r_v),
        a_v_scatter=one_value_or(prior.a_v_scatter),
        binary_fraction=one_value_or(prior.stars.binary_fraction),
        nebular=one_value_or(prior.nebular),
        more={quantity.name: draw(quantity) for quantity in prior.drawn_beside()},
    )


def tidal_scale_pc(circular_speed_km_s: float, galactocentric_pc: Tensor) -> Tensor:
    """Tidal radius of a cluster of one solar mass on a circular orbit in a galaxy.

    Parameters
    ----------
    circular_speed_km_s : float
        Of the galaxy, the same at every radius.
    galactocentric_pc : Tensor
        Distance from the galaxy's center.

    Returns
    -------
    Tensor
        pc per Msun^(1/3).

    Notes
    -----
    r_t = (G M / (2 V²))^(1/3) R^(2/3): King (1962, AJ 67, 471) for a flat rotation curve, as in
    Baumgardt et al. (2010, MNRAS 401, 1832), equation 1.
    """
    return (GRAVITY / (2 * circular_speed_km_s**2)) ** (1 / 3) * galactocentric_pc ** (2 / 3)


def _truncated_normal(mean: float, sigma: float, low: float, high: float, u: Tensor) -> Tensor:
    """Normal deviates between `low` and `high`, from uniform ones."""
    ends = torch.tensor([(low - mean) / sigma, (high - mean) / sigma], dtype=torch.float64)
    below, above = torch.special.ndtr(ends).tolist()
    fraction = (below + (above - below) * u.double()).clamp(1e-12, 1 - 1e-12)
    return (mean + sigma * torch.special.ndtri(fraction)).clamp(low, high).to(u.dtype)
