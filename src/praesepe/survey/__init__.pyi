# The public names of `praesepe.survey`: see `praesepe.lazy.names_of_stub`.

from praesepe.survey.bands import Band as Band
from praesepe.survey.clusters import ClusterPrior as ClusterPrior
from praesepe.survey.clusters import MassFunction as MassFunction
from praesepe.survey.clusters import Stars as Stars
from praesepe.survey.contaminants import Contaminants as Contaminants
from praesepe.survey.contaminants import ContaminantShares as ContaminantShares
from praesepe.survey.editing import init_survey as init_survey
from praesepe.survey.editing import upgrade_survey as upgrade_survey
from praesepe.survey.evaluation import EvaluationSettings as EvaluationSettings
from praesepe.survey.galaxy import Galaxy as Galaxy
from praesepe.survey.galaxy import StarField as StarField
from praesepe.survey.galaxy import Tides as Tides
from praesepe.survey.network import NetworkSettings as NetworkSettings
from praesepe.survey.observation import DetectorErrors as DetectorErrors
from praesepe.survey.observation import Nuisance as Nuisance
from praesepe.survey.observation import Observation as Observation
from praesepe.survey.psf import PSF as PSF
from praesepe.survey.schema import Survey as Survey
from praesepe.survey.settings import LOG_AGES as LOG_AGES
from praesepe.survey.settings import METALLICITIES as METALLICITIES
from praesepe.survey.settings import SurveySettings as SurveySettings
from praesepe.survey.settings import as_range as as_range
from praesepe.survey.toml import load_survey as load_survey
from praesepe.survey.toml import parse_survey as parse_survey
from praesepe.survey.toml import survey_names as survey_names
from praesepe.survey.toml import survey_text as survey_text
