"""Teach a trained model when not to believe it, without training it again.

    python tools/teach_critic.py MODEL OUT [--seed 3]

MODEL is a name or a folder, OUT the folder to write, which may be the same. Answers and version
stay what they are. Every training does this at its end; the tool is for models that are older.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from praesepe import Estimator, Simulator
from praesepe.training.critic import STAMPS, learn_critic


def main() -> None:
    """Load, teach, save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--n", type=int, default=STAMPS)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    model = Estimator.load(options.model, device=options.device)
    simulator = Simulator(model.survey, seed=options.seed, n_fields=1, device=options.device)
    learn_critic(model, simulator, seed=options.seed, n=options.n)
    model.save(options.out, overwrite=True, float16=model.card.weights == "float16")


if __name__ == "__main__":
    main()
