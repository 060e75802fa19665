"""Bands that a model measures: all of them, or those of which there are images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from praesepe.errors import InputError, listed
from praesepe.network.conditions import PRESENT
from praesepe.network.estimator import Estimator
from praesepe.survey import Survey

if TYPE_CHECKING:
    from praesepe.images.mosaic.mosaic import Mosaic

FEWEST_BANDS = 2
"""Of a model that can do without some of its bands."""


def has_choice(model: Estimator) -> bool:
    """Whether a model can do without some of its bands."""
    return any(condition.name == PRESENT for condition in model.card.conditions)


def fewest_bands(model: Estimator) -> int | None:
    """Bands that a stamp must have to be measured; None: all."""
    return FEWEST_BANDS if has_choice(model) else None


def survey_of(model: Estimator, images: Mapping[str, Any] | Mosaic, hdu: Any = None) -> Survey:
    """The model's survey with the bands of which there are images, where it can choose.

    Of a channel with several cameras it is that of the image, as its header says; `hdu` is as for
    `Mosaic.read`.

    Raises
    ------
    InputError
        For fewer than two bands, and cameras that the model does not know.
    """
    from praesepe.images.mosaic.cameras import with_cameras

    survey = model.survey
    if not has_choice(model):
        return survey
    survey = with_cameras(survey, images, hdu)
    given = images if isinstance(images, Mapping) else images.bands
    named = tuple(survey.name_of(name) for name in given)
    bands = tuple(band for band in survey.bands if band.name in named)
    if len(bands) < FEWEST_BANDS:
        fault = (
            f"images in {listed(band.name for band in bands)} alone: one color at least is needed"
        )
        if not bands:
            fault = f"images in {listed(named)}, which are no bands of model {model.name!r}"
        raise InputError(
            fault,
            given=tuple(named),
            allowed=survey.band_names,
            remedy=f"give images of two or more of {listed(survey.band_names)}",
        )
    return survey.with_values(observation={"bands": bands})
