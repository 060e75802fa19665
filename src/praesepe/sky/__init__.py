"""The simulator: stars become clusters, clusters and star fields become images.

`simulator` joins what `population`, `clusters`, `fields` and `instrument` do.
"""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Mocks": f"{__name__}.stamps",
        "Simulator": f"{__name__}.simulator",
        "SurveyTables": f"{__name__}.tables",
        "check_survey": f"{__name__}.check",
    },
)
