"""Teach a trained model when not to believe it, without training it again.

    python tools/teach_critic.py MODEL OUT [--seed 3]

MODEL is a name or a folder, OUT the folder to write, which may be the same. Weights, answers and
version stay what they are. Every training does this at its end; the tool is for older models.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from safetensors.torch import load, save

from praesepe import Estimator, Simulator
from praesepe.network.critic import prefixed
from praesepe.network.estimator import INCLUDED
from praesepe.network.storage import read_model, write_model
from praesepe.training.critic import STAMPS, learn_critic


def add_critic(model: Estimator, folder: Path, out: Path) -> None:
    """Write the model of a folder with the critic that was taught."""
    assert model.critic is not None
    assert model.card.critic is not None
    content, blob = read_model(folder)
    entry = model.card.critic
    kept = {k: v for k, v in load(blob).items() if not k.startswith(f"{entry.tensors}.")}
    critic = prefixed(entry.tensors, model.critic.state_dict())
    content = {**content, "critic": entry.model_dump(mode="json")}
    write_model(out, save(kept | critic), content)


def main() -> None:
    """Load, teach, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--n", type=int, default=STAMPS)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    folder = Path(options.model) if Path(options.model).is_dir() else INCLUDED / options.model
    model = Estimator.load(folder, device=options.device)
    simulator = Simulator(model.survey, seed=options.seed, n_fields=1, device=options.device)
    learn_critic(model, simulator, seed=options.seed, n=options.n)
    add_critic(model, folder, options.out)


if __name__ == "__main__":
    main()
