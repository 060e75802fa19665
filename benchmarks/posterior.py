"""What bands, conditions and unknowns do to a posterior, on artificial clusters of its own survey.

    python benchmarks/posterior.py MODEL [--n 2000] [--seed 131] [--parts bands conditions unknowns]
        [--out TABLES.md]

- bands: the same clusters measured in eight subsets of the bands, in all with A_V known, and in
  those of `phat` likewise: bias, scatter and coverage for ages up to 3 Gyr and 250 to 4000 Msun,
  then the coverage of all clusters.
- conditions: how far the medians move where what is told is off by its error: mean and standard
  deviation of the shift.
- unknowns: the scatter where one thing that a training draws for every stamp is held at its middle,
  and the scatter where all are: what each adds. The model is the same, and does not know that it is
  held.

Tables are Markdown. 2000 clusters of six bands take about a quarter of an hour of one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from praesepe import Estimator, Simulator, Survey
from praesepe.blocks import blocks_of
from praesepe.evaluation.asking import Asking, make_asking
from praesepe.evaluation.bins import usable
from praesepe.evaluation.metrics import metrics_of
from praesepe.evaluation.recovery import Recovery, recover
from praesepe.network.conditions import KINDS
from praesepe.sky.contents import without_missing_stars

UVIS, ACS, IR = ("F275W", "F336W"), ("F475W", "F814W"), ("F110W", "F160W")
SUBSETS = (
    (*UVIS, *ACS, *IR),
    (*UVIS, *ACS),
    ("F336W", *ACS),
    (*ACS, *IR),
    (*ACS, "F160W"),
    ACS,
    UVIS,
    IR,
)

CHANGES: dict[str, tuple[float, str]] = {
    "depth": (0.1, "0.1 mag deeper"),
    "psf_fwhm_px": (0.05, "stars 5 % wider"),
    "foreground_a_v": (0.05, "0.05 mag more in front"),
    "log_distance": (np.log10(1.05), "5 % farther"),
}
"""What is told in another way: by how much, in words; widths by a factor."""

UNKNOWNS: dict[str, dict[str, Any]] = {
    "zero points and flux": {"nuisance": {"zero_point_mag": 0.0, "flux_mag": 0.0}},
    "registration": {"nuisance": {"registration_px": 0.0}},
    "blur, focus and halo": {
        "nuisance": {"blur_px": (0.0, 0.0), "halo_share": (0.0, 0.0), "focus_nm": 0.0}
    },
    "colors of stellar models": {"stars": {"color_error_mag": 0.0, "isochrones": ("sse",)}},
    "metallicity": {"clusters": {"metallicity": 0.018}},
    "binaries": {"stars": {"binary_fraction": 0.4}},
    "R_V": {"stars": {"r_v": 3.1}},
    "dust from star to star": {"clusters": {"a_v_scatter": 0.0}},
    "nebular light": {"clusters": {"nebular": 0.5}},
    "profile and ellipticity": {
        "clusters": {"profile": ("eff",), "gamma": 3.0, "ellipticity": 0.0, "segregation": 0.0}
    },
}
"""What is held at its middle, by sections of the survey."""


@dataclass
class Question:
    """How a model is asked, and what came out."""

    label: str
    asking: Asking
    changed: tuple[str, float] | None = None
    parts: list[Recovery] = field(default_factory=list)

    @property
    def found(self) -> Recovery:
        """All clusters."""
        return Recovery.joined(self.parts)


class _Changed(Asking):
    """An asking that is told one condition in another way."""

    change: tuple[str, float] = ("", 0.0)

    def conditions(self, mocks: Any, seed: tuple[int, ...]) -> Tensor | None:
        told = super().conditions(mocks, seed)
        assert told is not None
        at, n_bands = 0, len(self.estimator.card.bands)
        for name in (condition.name for condition in self.estimator.card.conditions):
            width = n_bands if KINDS[name].per_band else 1
            if name == self.change[0]:
                part = told[:, at : at + width]
                part.copy_(part * 1.05 if name == "psf_fwhm_px" else part + self.change[1])
            at += width
        return told


def asked(model: Estimator, survey: Survey | None = None, **settings: Any) -> Asking:
    """The model's own clusters, or those of a survey."""
    given = {"bands": None, "told": {}, "prior": {}, "n_samples": 500, **settings}
    return make_asking(model, survey=survey, **given)


def measure(questions: list[Question], survey: Survey, n: int, seed: int) -> None:
    """Ask all questions about the same clusters."""
    simulator = Simulator(survey, seed=seed, contaminants=False)
    for block in blocks_of(n):
        mocks = simulator.draw_block(block.number, block.n)
        for question in questions:
            question.parts.append(recover(question.asking, mocks, first=block.first, seed=seed))


def cells(model: Estimator, found: Recovery) -> Iterator[str]:
    """Bias, scatter and coverage of each number in the seed range; coverage of all clusters."""
    bins = usable(model.survey.evaluation.bins, model.infers)
    metrics = metrics_of(found, model.card.priors, bins)
    for name in numbers(model):
        some, every = metrics["seed_range"][name], metrics["all"][name]
        yield (
            f"{some['median']:+.3f} / {some['mad_sigma']:.3f} / {some['coverage68']:.2f}; "
            f"{every['coverage68']:.3f}"
        )


def numbers(model: Estimator) -> list[str]:
    """The clusters' own quantities."""
    return [n for n in ("log_age", "log_mass", "log_rh", "a_v") if n in model.infers]


def table(first: str, model: Estimator, rows: Mapping[str, Any]) -> str:
    """Markdown."""
    head = f"| {first} | {' | '.join(numbers(model))} |"
    rule = "|---" * (1 + len(numbers(model))) + "|"
    return "\n".join([head, rule, *(f"| {k} | {' | '.join(v)} |" for k, v in rows.items())])


def of_bands(model: Estimator, n: int, seed: int) -> str:
    """Subsets of the bands."""
    survey = without_missing_stars(model.survey)
    known = {"told": {"a_v": 0.0}} if model.leading == "a_v" else None
    questions = [Question(", ".join(b), asked(model, bands=b)) for b in SUBSETS]
    if known is not None:
        for bands in (SUBSETS[0], SUBSETS[2]):
            label = f"{', '.join(bands)}; A_V known"
            questions.append(Question(label, asked(model, bands=bands, **known)))
    measure(questions, survey, n, seed)
    return table("bands", model, {q.label: cells(model, q.found) for q in questions})


def of_conditions(model: Estimator, n: int, seed: int) -> str:
    """Conditions that are off by their error."""
    usual = asked(model)
    told = [condition.name for condition in model.card.conditions]
    questions = [Question("", usual)]
    for name, (by, words) in CHANGES.items():
        if name in told:
            asking = _Changed(**{k: getattr(usual, k) for k in usual.__dataclass_fields__})
            object.__setattr__(asking, "change", (name, by))
            questions.append(Question(words, asking))
    measure(questions, without_missing_stars(model.survey), n, seed)
    before = questions[0].found.percentiles[1]
    rows = {}
    for question in questions[1:]:
        places = [model.infers.index(name) for name in numbers(model)]
        shifts = (question.found.percentiles[1] - before)[:, places].T
        rows[question.label] = [f"{one.mean():+.3f} ± {one.std():.3f}" for one in shifts]
    return table("what is told", model, rows)


def held(survey: Survey, *settings: Mapping[str, Any]) -> Survey:
    """The survey with some of what is drawn at its middle."""
    for one in settings:
        if "nuisance" in one:
            survey = survey.with_values(observation={"nuisance": one["nuisance"]})
        if "stars" in one:
            survey = survey.with_values(clusters={"stars": one["stars"]})
        if "clusters" in one:
            survey = survey.with_values(clusters=one["clusters"])
    return survey


def of_unknowns(model: Estimator, n: int, seed: int) -> str:
    """One unknown after the other is held, then all."""
    survey = without_missing_stars(model.survey)
    surveys = {"all drawn": survey}
    surveys |= {f"{name} held": held(survey, one) for name, one in UNKNOWNS.items()}
    surveys["all of these held"] = held(survey, *UNKNOWNS.values())
    rows = {}
    for label, one in surveys.items():
        question = Question(label, asked(model, one))
        measure([question], one, n, seed)
        rows[label] = list(cells(model, question.found))
        print(label, rows[label], flush=True)
    return table("clusters", model, rows)


PARTS = {"bands": of_bands, "conditions": of_conditions, "unknowns": of_unknowns}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=131)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    model = Estimator.load(options.model)
    tables = []
    for part in options.parts:
        tables.append(PARTS[part](model, options.n, options.seed))
        print(f"\n{tables[-1]}\n", flush=True)
    if options.out is not None:
        options.out.write_text("\n\n".join(tables) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
