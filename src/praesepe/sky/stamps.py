"""What the simulator's stages hand on: stars of clusters, then stamps, and the truth of both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from praesepe import quantities
from praesepe.errors import InputError, listed
from praesepe.sky.cluster_stars import ClusterStars
from praesepe.sky.contaminants import PointSources
from praesepe.sky.population.points import Stars
from praesepe.survey.schema import ARCSEC


@dataclass(frozen=True, repr=False)
class Population:
    """Stars of clusters on their stamps.

    Attributes
    ----------
    drawn : ClusterStars
        Light in e-/s, and its places.
    center : Tensor, shape (2, n)
        x and y of the clusters on their stamps, pixels.
    truth : dict of str to Tensor, each of shape (n,)
        What is known of the clusters.
    others : PointSources, optional
        What stamps hold in place of clusters, about the same centers.
    """

    drawn: ClusterStars
    center: Tensor
    truth: dict[str, Tensor]
    others: PointSources | None = None

    def __len__(self) -> int:
        return self.center.shape[1]

    @property
    def stars(self) -> Stars:
        """Points of light, e-/s; their populations are the clusters."""
        return self.drawn.stars

    @property
    def offset(self) -> Tensor:
        """X and y of each point from the center of its cluster, pixels, (2, point)."""
        return self.drawn.offset

    def __repr__(self) -> str:
        return f"Population: {self.offset.shape[1]} points of light in {len(self)} clusters"


@dataclass(frozen=True)
class TruthContext:
    """What quantities that derive from others may need; see `praesepe.quantities.Context`.

    Attributes
    ----------
    pc_per_arcsec : float or ndarray, shape (n,)
        At the galaxy's distance, or at that of each stamp.
    log_age, present_fraction : ndarray, each of shape (age,)
        Present-day mass per unit of initial mass, at ages; where the metallicity varies, of the
        middle one (others differ by up to 0.02 dex). The truth's own ``log_present_mass`` is that
        of the stars drawn.
    r_v : float or ndarray, shape (n,)
        A_V / E(B-V) of the dust inside the galaxy.
    """

    pc_per_arcsec: float | NDArray[np.float64]
    log_age: NDArray[np.float64]
    present_fraction: NDArray[np.float64]
    r_v: float | NDArray[np.float64] = 3.1

    def present_mass_fraction(self, log_age: ArrayLike) -> NDArray[np.float64]:
        """Present-day mass per unit of initial mass, between the ages that are known."""
        return np.interp(np.asarray(log_age, dtype=float), self.log_age, self.present_fraction)


@dataclass(frozen=True, repr=False)
class Mocks:
    """Simulated stamps and the truth about them.

    Attributes
    ----------
    images : Tensor, shape (n, band, y, x)
        e-/s.
    truth : dict of str to Tensor, each of shape (n,)
        What is known of the clusters: their quantities (``log_age`` in dex(yr), ``log_mass`` in
        dex(Msun), initial, of the stars drawn, ``log_rh`` in dex(arcsec)), profile, place,
        magnitudes.
    context : TruthContext, optional
        What quantities that derive from the truth need.
    """

    images: Tensor
    truth: dict[str, Tensor] = field(default_factory=dict)
    context: TruthContext | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        n, n_bands, height, width = self.images.shape
        return (
            f"<Mocks: {n} stamps of {width} × {height} px in {n_bands} bands; truth: "
            f"{', '.join(self.truth) or 'none'}>"
        )

    def part(self, which: slice) -> Mocks:
        """Some of the stamps."""
        truth = {name: values[which] for name, values in self.truth.items()}
        return Mocks(self.images[which], truth, self.context)

    @property
    def labels(self) -> Tensor:
        """Log age, log initial mass and log r_h, shape (n, 3): what a model infers by default."""
        return self.values(quantities.DEFAULT_INFERRED)

    def values(self, names: Iterable[str]) -> Tensor:
        """The true values of quantities.

        Parameters
        ----------
        names : iterable of str
            Columns of the truth, or quantities that derive from them.

        Returns
        -------
        Tensor, shape (n, len(names))

        Raises
        ------
        InputError
            Where one is neither in the truth nor derives from it.
        """
        return torch.stack([self._value(name) for name in names], dim=1)

    def _value(self, name: str) -> Tensor:
        if name in self.truth:
            return self.truth[name]
        quantity = quantities.get(name)
        if not quantity.sources or self.context is None:
            raise InputError(
                f"the truth of these stamps does not tell {name!r}",
                given=name,
                allowed=tuple(self.truth),
                remedy=f"it has {listed(self.truth)}",
            )
        context = self.context
        if "distance_pc" in self.truth:
            distance_pc = self.truth["distance_pc"].cpu().numpy().astype(float)
            context = replace(context, pc_per_arcsec=ARCSEC * distance_pc)
        if "r_v" in self.truth:
            context = replace(context, r_v=self.truth["r_v"].cpu().numpy().astype(float))
        sources = {source: self._value(source).cpu().numpy() for source in quantity.sources}
        derived = quantity.derived(sources, context)
        return torch.from_numpy(derived).to(self.images)


def joined(parts: list[Mocks]) -> Mocks:
    """Sets of stamps as one."""
    if len(parts) == 1:
        return parts[0]
    return Mocks(
        torch.cat([part.images for part in parts]),
        {name: torch.cat([part.truth[name] for part in parts]) for name in parts[0].truth},
        parts[0].context,
    )
