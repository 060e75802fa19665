"""What fine-tuning on a few labelled clusters does to a model's calibration.

    python benchmarks/fine_tuning.py [--model phat] [--labelled 200] [--steps 200] [--n 2000]
        [--kinds offset no-dust same]

"Real" clusters are simulated with something that the model does not know: zero points that are off
(`offset`), no dust (`no-dust`), or nothing (`same`). Some are labelled and tuned on; of others, and
of the model's own mocks, each line has bias, scatter (dex) and coverage of the 68 % interval of
age, mass and size, before and after. The coverage must stay within 0.62 to 0.74 where it was.
"""

from __future__ import annotations

import argparse

import numpy as np

from praesepe import Estimator, Labelled, Simulator, Survey, load_survey, statistics, train

OFFSET_MAG = (0.15, 0.0, -0.1)
"""By band; more bands have none."""


def stamps(survey: Survey, n: int, seed: int, offset_mag: tuple[float, ...] = ()) -> Labelled:
    """Stamps and what the survey infers of them."""
    mocks = Simulator(survey, seed=seed).draw(n)
    mag = np.zeros(len(survey.bands))
    mag[: len(offset_mag)] = offset_mag
    images = mocks.images.numpy() * 10 ** (-0.4 * mag[:, None, None])
    return Labelled(images, mocks.values(survey.network.infers).numpy())


def figures(model: Estimator, known: Labelled) -> str:
    """Bias, scatter and coverage of each quantity."""
    draws = model.predict(known.images).samples
    residual = np.median(draws, 1) - known.labels
    pit = statistics.probability_integral_transform(draws, known.labels)
    rows = (
        statistics.bias(residual),
        statistics.robust_scatter(residual),
        statistics.coverage(pit, statistics.CENTRAL_68),
    )
    texts = ["/".join(f"{x:.3f}" for x in row) for row in rows]
    return f"bias {texts[0]}  scatter {texts[1]}  coverage {texts[2]}"


def main() -> None:
    """Tune, and print two lines for each kind of clusters before, and two after."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="phat")
    parser.add_argument("--labelled", type=int, default=200)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=501)
    parser.add_argument("--kinds", nargs="+", default=["offset", "no-dust", "same"])
    options = parser.parse_args()
    model = Estimator.load(options.model)
    own = stamps(model.survey, options.n, options.seed)
    for kind in options.kinds:
        survey = load_survey("phat-nodust") if kind == "no-dust" else model.survey
        offset = OFFSET_MAG if kind == "offset" else ()
        labelled = stamps(survey, options.labelled, options.seed + 1, offset)
        fresh = stamps(survey, options.n, options.seed + 2, offset)
        tuned = train(
            model.survey,
            initial=model,
            labelled=labelled,
            steps=options.steps,
            seed=options.seed + 3,
        ).estimator
        tuning = tuned.card.runs[-1].tuning
        print(f"{kind}: step {tuning['kept_step']} of {tuning['steps']} is kept")
        for name, some in (("real", fresh), ("mocks", own)):
            print(f"  {name:5} before  {figures(model, some)}")
            print(f"  {name:5} after   {figures(tuned, some)}", flush=True)


if __name__ == "__main__":
    main()
