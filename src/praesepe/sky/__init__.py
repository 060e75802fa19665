"""The simulator: stars become clusters, clusters and star fields become images.

`simulator` joins what `population`, `clusters`, `fields` and `instrument` do.
"""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "check": "check_survey",
        "simulator": "Simulator",
        "stamps": "Mocks",
        "tables": "SurveyTables",
    },
)
