"""Train the release model `phat` of six bands: the recipe, and what goes into the package.

    python tools/train_phat.py --out RUN --minutes 480 --isochrones FOLDER [--from MODEL]
        [--seed 1302] [--stars sse parsec basti padova] [--set views=4 …]

The survey is `phat6` with the stars of other isochrones beside the embedded ones: FOLDER holds the
files `fsps_NAME_isoc_z*.dat` of the FSPS repository, NAME in lower case, for each of `--stars`;
without it they must have been imported by these names. FSPS's Geneva set is left to the tests. A
run goes on from the weights of another (`--from`), so that runs add up, and from its own checkpoint
where it was stopped. The weights are written with 16 bits to RUN/release, a model of which a commit
can hold every copy. `--stars` without `parsec` is for a test on its stars.

The head alone, from the features of a model, learns at about twice the stamps a second:
`--set fixed_encoder=true learning_rate=1e-3`.

On a GPU, where steps cost little and every cluster can be a new one:

    python tools/train_phat.py … --device cuda --set views=2 batch_size=512 learning_rate=1e-3
        workers=4
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from pathlib import Path

import praesepe
from praesepe.stars.store import import_isochrones

STARS = ("sse", "parsec", "basti", "padova")
"""Isochrones that clusters are drawn from, evenly."""

RECIPE = {"views": 4, "learning_rate": 3e-4, "valid_size": 1024, "freeze_bn_after": 0.5}
"""Settings of a training on one thread."""


def main() -> None:
    """Train, and write the weights."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--isochrones", type=Path, help="folder with PARSEC's")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--from", dest="start", default="phat6", help="model to go on from")
    parser.add_argument("--seed", type=int, default=1302)
    parser.add_argument("--stars", nargs="+", default=STARS)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=NUMBER", help="settings")
    options = parser.parse_args()
    given = dict(pair.split("=") for pair in options.set)
    settings = RECIPE | {name: json.loads(number) for name, number in given.items()}
    logging.basicConfig(level=logging.INFO)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.isochrones is not None:
        os.environ["PRAESEPE_DATA"] = str(options.out / "data")  # not into the user's own models
        for name in sorted(set(options.stars) - {"sse"}):
            files = sorted(options.isochrones.glob(f"fsps_{name}_isoc_z*.dat"))
            import_isochrones(files, name=name, overwrite=True)
    survey = praesepe.load_survey("phat6").with_values(
        clusters={"stars": {"isochrones": tuple(options.stars)}}
    )
    run = options.out / "run"
    training = praesepe.train(
        survey,
        out=run,
        initial=options.start,
        minutes=options.minutes,
        seed=options.seed,
        device=options.device,
        resume=(run / "checkpoint.safetensors").is_file(),
        name="phat6",
        report=lambda line: print(line, flush=True),
        **settings,
    )
    training.estimator.save(options.out / "release", overwrite=True, float16=True)


if __name__ == "__main__":
    main()
