# The public names, by the modules that define them: what `praesepe.lazy` loads when first used.

from praesepe.evaluation.assessment import Evaluation as Evaluation
from praesepe.evaluation.assessment import evaluate as evaluate
from praesepe.flags import Flag as Flag
from praesepe.images.catalog.catalogs import Catalog as Catalog
from praesepe.images.mosaic.mosaic import Mosaic as Mosaic
from praesepe.inference.check.checking import Check as Check
from praesepe.inference.draws import Samples as Samples
from praesepe.inference.draws import read_samples as read_samples
from praesepe.inference.prediction import predict as predict
from praesepe.inference.result import Result as Result
from praesepe.mocks.fields import StarFields as StarFields
from praesepe.mocks.fields import build_fields as build_fields
from praesepe.mocks.injection import Injected as Injected
from praesepe.mocks.injection import inject as inject
from praesepe.mocks.mosaic_files import (
    SimulatedMosaic as SimulatedMosaic,
)
from praesepe.mocks.mosaic_files import (
    simulate_mosaic as simulate_mosaic,
)
from praesepe.mocks.sets import SimulatedStamps as SimulatedStamps
from praesepe.mocks.sets import simulate as simulate
from praesepe.network.estimator import Estimator as Estimator
from praesepe.network.estimator import model_names as model_names
from praesepe.network.posterior import Posterior as Posterior
from praesepe.plots.stars import figure_stellar_model as figure_stellar_model
from praesepe.report.checks import check as check
from praesepe.report.demo import Demonstration as Demonstration
from praesepe.report.demo import run_demo as run_demo
from praesepe.sky.check import check_survey as check_survey
from praesepe.sky.simulator import Simulator as Simulator
from praesepe.stars.curves import load_passband as load_passband
from praesepe.stars.store import (
    ImportedIsochrones as ImportedIsochrones,
)
from praesepe.stars.store import (
    import_isochrones as import_isochrones,
)
from praesepe.stars.store import (
    isochrone_names as isochrone_names,
)
from praesepe.stars.store import (
    load_isochrones as load_isochrones,
)
from praesepe.survey import (
    Survey as Survey,
)
from praesepe.survey import (
    init_survey as init_survey,
)
from praesepe.survey import (
    load_survey as load_survey,
)
from praesepe.survey import (
    survey_names as survey_names,
)
from praesepe.survey import (
    upgrade_survey as upgrade_survey,
)
from praesepe.training.labelled import Labelled as Labelled
from praesepe.training.labelled import read_labelled as read_labelled
from praesepe.training.loop import Training as Training
from praesepe.training.loop import train as train
from praesepe.version import __version__ as __version__
