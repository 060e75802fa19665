"""How a model is asked about artificial clusters: of which survey, in which bands, told what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from praesepe.errors import InputError, check_number, listed
from praesepe.inference.priors import Prior, Reweighting, make_reweighting
from praesepe.network.conditions import PRESENT
from praesepe.network.estimator import Estimator
from praesepe.quantities import CONTAMINANT, OBJECT_CLASS, OFFSETS, get
from praesepe.rng import stream
from praesepe.sky.contents import check_contents, without_missing_stars
from praesepe.survey import Survey, load_survey
from praesepe.training.telling import Habits, tell

if TYPE_CHECKING:
    from praesepe.sky.stamps import Mocks

WITHOUT_CONTAMINANTS = {
    OBJECT_CLASS.name: OBJECT_CLASS.categories.index("cluster"),
    CONTAMINANT.name: CONTAMINANT.categories.index("none"),
}
"""What is true of all stamps of a survey that has no contaminants."""


@dataclass(frozen=True, eq=False)
class Asking:
    """How a model is asked about artificial clusters.

    Attributes
    ----------
    estimator : Estimator
    survey : Survey
        What the clusters are drawn from: the model's own survey, or one whose bands are two or
        more of the model's.
    bands : tuple of str
        The bands that the model is told to be there.
    told : dict of str to float
        What is known of each cluster, the truth, with this standard error: of the model's leading
        quantity.
    weighting : Reweighting, optional
        Priors that the draws are weighted by.
    n_samples : int
        Posterior draws for each cluster.
    """

    estimator: Estimator
    survey: Survey
    bands: tuple[str, ...]
    told: dict[str, float] = field(default_factory=dict)
    weighting: Reweighting | None = None
    n_samples: int = 500

    def conditions(self, mocks: Mocks, seed: tuple[int, ...]) -> Tensor | None:
        """What the model is told beside the stamps, (n, value)."""
        return tell(
            tuple(condition.name for condition in self.estimator.card.conditions),
            self.survey,
            mocks.truth,
            len(mocks),
            seed=seed,
            bands=self.estimator.survey.band_names,
            habits=Habits(bands=self.bands, not_told=0.0),
        )

    def known(self, mocks: Mocks, seed: tuple[int, ...]) -> tuple[Tensor, float] | None:
        """Value (n,) and error of what is known of each cluster; NaN of what is none."""
        for name, error in self.told.items():
            true = self.truth(mocks, name).cpu()
            off = torch.randn(len(mocks), generator=stream(seed, torch.device("cpu")))
            return true + error * off, error
        return None

    def images(self, mocks: Mocks) -> Tensor:
        """Stamps in the bands and at the zero points of the model; zero where there is no band."""
        model, n = self.estimator.survey, len(mocks)
        images = mocks.images.new_zeros((n, len(model.bands), *mocks.images.shape[2:]))
        for stamps, band in zip(mocks.images.unbind(1), self.survey.bands, strict=True):
            off = model.band(band.name).zero_point_ab - band.zero_point_ab
            images[:, model.band_names.index(band.name)] = stamps * 10 ** (0.4 * off)
        return images

    def truth(self, mocks: Mocks, name: str) -> Tensor:
        """The true values of a quantity (n,): also of one that the survey leaves at one value."""
        quantity = get(name)
        if name in mocks.truth or quantity.sources:
            return mocks.values([name])[:, 0]
        if name in OFFSETS:
            return mocks.truth[name.split("_")[1]] - self.survey.stamp_size // 2
        if name in WITHOUT_CONTAMINANTS:
            return mocks.images.new_full((len(mocks),), WITHOUT_CONTAMINANTS[name])
        low, high = self.survey.drawn_range(quantity) if quantity.prior else (0.0, 1.0)
        if low < high:
            return mocks.values([name])[:, 0]  # which says that it is not known
        return mocks.images.new_full((len(mocks),), low)


def make_asking(
    estimator: Estimator,
    *,
    survey: Survey | str | Path | None,
    bands: Sequence[str] | None,
    told: Mapping[str, float],
    prior: Prior,
    n_samples: int,
) -> Asking:
    """Check how a model is to be asked; see `praesepe.evaluate`.

    Raises
    ------
    InputError
        For a survey that the model cannot measure, bands that it does not have, and what it
        cannot be told.
    """
    clusters_of = _survey_of(estimator, survey)
    return Asking(
        estimator,
        clusters_of,
        _checked_bands(estimator, bands, clusters_of),
        _checked_told(estimator, told),
        make_reweighting(estimator, prior) if prior else None,
        n_samples,
    )


def _survey_of(estimator: Estimator, given: Survey | str | Path | None) -> Survey:
    """The survey that the clusters are drawn from: one whose stamps the model can take."""
    if given is None:
        own = without_missing_stars(estimator.survey)
        check_contents(own, estimator.card.hashes.model_dump(), model=estimator.name)
        return own
    survey, model = load_survey(given), estimator.survey
    ours = (survey.stamp_size, survey.pixel_scale_arcsec)
    if ours != (model.stamp_size, model.pixel_scale_arcsec):
        raise InputError(
            f"survey {survey.name!r} has stamps of {ours[0]} px of {ours[1]:g} arcsec, which model "
            f"{estimator.name!r} cannot measure",
            given=ours,
            allowed=(model.stamp_size, model.pixel_scale_arcsec),
            remedy="give the survey the model's stamp_size and pixel_scale_arcsec",
        )
    return survey


def _checked_bands(
    model: Estimator, bands: Sequence[str] | None, survey: Survey
) -> tuple[str, ...]:
    """Bands that the model is told to be there, in its order.

    By default all of the survey's, of each of the model's channels the first.
    """
    of_survey = survey.band_names
    channels = model.survey.channels.values()
    alternatives = {band.name for channel in channels for band in channel[1:]}
    asked = bands or tuple(name for name in of_survey if name not in alternatives)
    model.survey.refuse_alternatives(asked)
    wanted = {model.survey.band(name).name for name in asked}
    if others := sorted(wanted - set(of_survey)):
        raise InputError(
            f"the clusters' survey has no {listed(others)}", given=tuple(others), allowed=of_survey,
            remedy="leave it out",
        )  # fmt: skip
    if wanted == set(model.survey.band_names):
        return model.survey.band_names
    if not any(condition.name == PRESENT for condition in model.card.conditions):
        raise InputError(
            f"model {model.name!r} needs all of its bands",
            given=tuple(bands or of_survey),
            allowed=model.survey.band_names,
            remedy="leave out the choice of bands" if bands else "give a survey that has them",
        )
    if len(wanted) < 2:
        raise InputError(
            f"{listed(wanted)} alone: one color at least is needed",
            given=tuple(bands or of_survey),
            allowed=model.survey.band_names,
            remedy="give two bands or more",
        )
    return tuple(name for name in model.survey.band_names if name in wanted)


def _checked_told(model: Estimator, told: Mapping[str, float]) -> dict[str, float]:
    """Standard errors of what is told; refuse what answers cannot be conditioned on."""
    can = () if model.leading is None else (model.leading,)
    for name in told:
        if name not in can:
            raise InputError(
                f"model {model.name!r} is not told {name!r} of a cluster",
                given=name,
                allowed=can,
                remedy="leave it out",
            )
    return {
        name: float(check_number(f"error of {name}", error, 0, whole=False))
        for name, error in told.items()
    }
