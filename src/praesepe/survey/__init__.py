"""What the telescope, the galaxy, its clusters and the network are: one TOML file.

It is checked when it is read, and frozen. `praesepe.survey.schema` joins the four parts.
"""

from typing import TYPE_CHECKING

from praesepe.lazy import lazy_names

if TYPE_CHECKING:
    from praesepe.survey.bands import Band
    from praesepe.survey.clusters import ClusterPrior, MassFunction, Stars
    from praesepe.survey.editing import init_survey, upgrade_survey
    from praesepe.survey.evaluation import EvaluationSettings
    from praesepe.survey.galaxy import Galaxy, StarField, Tides
    from praesepe.survey.network import NetworkSettings
    from praesepe.survey.observation import DetectorErrors, Nuisance, Observation
    from praesepe.survey.psf import PSF
    from praesepe.survey.schema import Survey
    from praesepe.survey.settings import LOG_AGES, METALLICITIES, SurveySettings, as_range
    from praesepe.survey.toml import load_survey, parse_survey, survey_names, survey_text

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "bands": "Band",
        "clusters": "ClusterPrior MassFunction Stars",
        "editing": "init_survey upgrade_survey",
        "evaluation": "EvaluationSettings",
        "galaxy": "Galaxy StarField Tides",
        "network": "NetworkSettings",
        "observation": "DetectorErrors Nuisance Observation",
        "psf": "PSF",
        "schema": "Survey",
        "settings": "LOG_AGES METALLICITIES SurveySettings as_range",
        "toml": "load_survey parse_survey survey_names survey_text",
    },
)
