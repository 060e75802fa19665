"""What the telescope and the galaxy are: one TOML file, checked and frozen."""

from praesepe.survey.models import (
    LOG_AGES,
    METALLICITIES,
    PSF,
    Band,
    DetectorErrors,
    MassFunction,
    Nuisance,
    Prior,
    Settings,
    StarField,
    Stars,
    Survey,
    Tides,
    as_range,
)
from praesepe.survey.toml import load_survey, parse_survey, survey_names, survey_text

__all__ = [
    "LOG_AGES",
    "METALLICITIES",
    "PSF",
    "Band",
    "DetectorErrors",
    "MassFunction",
    "Nuisance",
    "Prior",
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
]
