"""The record of what made an output, and its FITS cards."""

from __future__ import annotations

import datetime
import json

import pytest

from praesepe import __version__
from praesepe.provenance import KEYWORDS, cards, now, provenance_of
from praesepe.survey import load_survey


class Model:
    name, version, survey_fingerprint = "m", 3, "as trained"


def test_a_record_says_what_made_an_output() -> None:
    survey = load_survey("phat")
    record = provenance_of(survey, model=Model(), date=now(), seed=3)  # type: ignore[arg-type]
    assert json.loads(json.dumps(record)) == record
    assert record["survey_fingerprint"] == "as trained"
    assert provenance_of(survey)["survey_fingerprint"] == survey.fingerprint()
    assert (record["model"], record["model_version"]) == ("m", "3")
    assert record["praesepe_version"] == __version__
    assert record["seed"] == 3
    age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(record["date"])
    assert 0 <= age.total_seconds() < 60
    assert not {"model", "date", "seed"} & set(provenance_of(survey))


def test_cards_are_what_fits_can_hold() -> None:
    fits = pytest.importorskip("astropy.io.fits")
    record = provenance_of(load_survey("phat"), seed=3, nuisances=True, command="not a card")
    header = fits.Header([fits.Card(*card) for card in cards(record)])
    assert header["SURVHASH"] == record["survey_fingerprint"]
    assert header["SEED"] == 3
    assert header["NUISANCE"] is True
    assert header["PRAESEPE"] == __version__
    assert len(header) == 5
    assert all(len(keyword) <= 8 for keyword, _ in KEYWORDS.values())
