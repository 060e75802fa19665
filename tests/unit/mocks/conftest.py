"""One band of the built-in survey in small stamps, and its stars."""

from __future__ import annotations

import pytest

from praesepe.sky.tables import SurveyTables
from praesepe.survey import Survey, load_survey


@pytest.fixture(scope="session")
def survey() -> Survey:
    phat = load_survey("phat-nodust")
    return phat.with_values(observation={"bands": phat.bands[1:2]}, network={"stamp_size": 32})


@pytest.fixture(scope="session")
def tables(survey: Survey) -> SurveyTables:
    return SurveyTables.build(survey)
