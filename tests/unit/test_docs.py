"""The documents agree with the code: every key and flag is explained, links lead on.

Their examples run in `tests/e2e/test_documents.py`.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from praesepe.sky.check import check_survey
from praesepe.survey import (
    PSF,
    Band,
    ClusterPrior,
    Contaminants,
    ContaminantShares,
    DetectorErrors,
    EvaluationSettings,
    Galaxy,
    MassFunction,
    NetworkSettings,
    Nuisance,
    Observation,
    StarField,
    Stars,
    Survey,
    SurveySettings,
    Tides,
    parse_survey,
)

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    path.relative_to(ROOT).as_posix()
    for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))
]


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text("utf-8"), re.M | re.S)


def test_the_example_survey_is_one(repository: Path) -> None:
    (example,) = blocks(repository / "docs/surveys.md", "toml")
    survey = parse_survey(tomllib.loads(example), source="docs/surveys.md")
    assert survey.band_names == ("F336W", "F475W", "F814W")
    check_survey(survey)


@pytest.mark.parametrize(
    "model",
    [
        Survey,
        Observation,
        Band,
        PSF,
        Nuisance,
        DetectorErrors,
        Galaxy,
        Tides,
        StarField,
        ClusterPrior,
        Stars,
        MassFunction,
        Contaminants,
        ContaminantShares,
        NetworkSettings,
        EvaluationSettings,
    ],
)
def test_every_key_of_a_survey_is_explained(repository: Path, model: type[SurveySettings]) -> None:
    text = (repository / "docs/surveys.md").read_text("utf-8")
    rows = "\n".join(line for line in text.splitlines() if line.startswith("| `"))
    tables = {"observation", "galaxy", "clusters", "network", "evaluation", "nuisance", "detector"}
    tables |= {"contaminants", "field", "stars", "tides"}
    missing = [name for name in model.model_fields if f"`{name}`" not in rows]
    assert set(missing) <= tables


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(repository: Path, document: str) -> None:
    path = repository / document
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text("utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (path.parent / link).exists()] == []


def test_every_flag_is_explained(repository: Path) -> None:
    from praesepe.flags import Flag

    text = (repository / "docs/images.md").read_text("utf-8")
    rows = [f"| {int(flag)} | `{flag.name}` | {flag.description} |" for flag in Flag]
    assert [row for row in rows if row not in text] == []
