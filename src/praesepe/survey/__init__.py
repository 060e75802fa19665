"""What the telescope, the galaxy, its clusters and the network are: one TOML file.

It is checked when it is read, and frozen. `praesepe.survey.schema` joins the four parts.
"""

from praesepe.survey.bands import Band
from praesepe.survey.clusters import ClusterPrior, MassFunction, Stars
from praesepe.survey.evaluation import EvaluationSettings
from praesepe.survey.galaxy import Galaxy, StarField, Tides
from praesepe.survey.network import NetworkSettings
from praesepe.survey.observation import DetectorErrors, Nuisance, Observation
from praesepe.survey.psf import PSF
from praesepe.survey.schema import Survey
from praesepe.survey.settings import LOG_AGES, METALLICITIES, Settings, as_range
from praesepe.survey.toml import load_survey, parse_survey, survey_names, survey_text, upgrade

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
    "Settings",
    "StarField",
    "Stars",
    "Survey",
    "Tides",
    "as_range",
    "load_survey",
    "parse_survey",
    "survey_names",
    "survey_text",
    "upgrade",
]
