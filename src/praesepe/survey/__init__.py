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
    from praesepe.survey.old_form import upgrade
    from praesepe.survey.psf import PSF
    from praesepe.survey.schema import Survey
    from praesepe.survey.settings import LOG_AGES, METALLICITIES, SurveySettings, as_range
    from praesepe.survey.toml import load_survey, parse_survey, survey_names, survey_text

__all__ = [
    "LOG_AGES",
    "METALLICITIES",
    "PSF",
    "Band",
    "ClusterPrior",
    "DetectorErrors",
    "EvaluationSettings",
    "Galaxy",
    "MassFunction",
    "NetworkSettings",
    "Nuisance",
    "Observation",
    "StarField",
    "Stars",
    "Survey",
    "SurveySettings",
    "Tides",
    "as_range",
    "init_survey",
    "load_survey",
    "parse_survey",
    "survey_names",
    "survey_text",
    "upgrade",
    "upgrade_survey",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "LOG_AGES": "praesepe.survey.settings",
        "METALLICITIES": "praesepe.survey.settings",
        "PSF": "praesepe.survey.psf",
        "Band": "praesepe.survey.bands",
        "ClusterPrior": "praesepe.survey.clusters",
        "DetectorErrors": "praesepe.survey.observation",
        "EvaluationSettings": "praesepe.survey.evaluation",
        "Galaxy": "praesepe.survey.galaxy",
        "MassFunction": "praesepe.survey.clusters",
        "NetworkSettings": "praesepe.survey.network",
        "Nuisance": "praesepe.survey.observation",
        "Observation": "praesepe.survey.observation",
        "SurveySettings": "praesepe.survey.settings",
        "StarField": "praesepe.survey.galaxy",
        "Stars": "praesepe.survey.clusters",
        "Survey": "praesepe.survey.schema",
        "Tides": "praesepe.survey.galaxy",
        "as_range": "praesepe.survey.settings",
        "init_survey": "praesepe.survey.editing",
        "load_survey": "praesepe.survey.toml",
        "parse_survey": "praesepe.survey.toml",
        "survey_names": "praesepe.survey.toml",
        "survey_text": "praesepe.survey.toml",
        "upgrade": "praesepe.survey.old_form",
        "upgrade_survey": "praesepe.survey.editing",
    },
)
