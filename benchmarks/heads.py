"""The flow and the grid of paper II side by side: both trained anew on one encoder's features.

    python benchmarks/heads.py [--model phat] [--clusters 40000] [--epochs 40] [--n 2000]
        [--seed 701]

The encoder of a model stays as it is; its features of so many new clusters are computed once, and
each head learns from them, in the same batches, for the same number of steps. Then both are
measured on the same artificial clusters. Each line: bias, scatter and coverage of the 68 %
interval, for ages up to 3 Gyr and 250 to 4000 Msun, and for the grid the standard deviation of a
value within one of its bins, below which no scatter of it can fall; above them the mean log-density
at the truth of the clusters held out from the features.
"""

from __future__ import annotations

import argparse
import time

import torch

from praesepe import Estimator, evaluate
from praesepe.blocks import blocks_of
from praesepe.network.heads.registry import HEADS
from praesepe.quantities import DEFAULT_INFERRED, get
from praesepe.sky.simulator import Simulator
from praesepe.training.config import TrainingSettings
from praesepe.training.telling import tell

BATCH = 256
LEARNING_RATE = 1e-3
HELD_OUT = 0.1
"""Share of the clusters that tell when a head is at its best."""


def main() -> None:
    """Train both heads, and print a line for each quantity and head."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="phat")
    parser.add_argument("--clusters", type=int, default=40_000)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=701)
    options = parser.parse_args()
    model = Estimator.load(options.model)
    features, labels = features_of(model, options.clusters, options.seed)
    for head in HEADS:
        began = time.process_time()
        other, loss = with_head(model, head, features, labels, options.epochs, options.seed)
        seconds = time.process_time() - began
        found = evaluate(other, n=options.n, seed=options.seed + 1)
        print(f"{head}: log-density {-loss:.3f}; trained in {seconds:.0f} s")
        for name in DEFAULT_INFERRED:
            at = found["seed_range"][name]
            low, high = model.card.priors[name]
            bins = get(name).bins
            width = f"; bins {(high - low) / bins / 12**0.5:.3f}" if head == "grid" and bins else ""
            print(
                f"  {name:9} {at['median']:+.3f} / {at['mad_sigma']:.3f} / "
                f"{at['coverage68']:.2f}{width}",
                flush=True,
            )


@torch.inference_mode()
def features_of(model: Estimator, n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (n, feature) of new clusters and their labels (n, quantity)."""
    simulator = Simulator(model.survey, seed=seed)
    conditions = tuple(condition.name for condition in model.card.conditions)
    net = model.net.eval().for_inference()
    features, labels = [], []
    for block in blocks_of(n):
        mocks = simulator.draw_block(block.number, block.n, compute_truth=False)
        told = tell(conditions, model.survey, mocks.truth, len(mocks), seed=(seed, block.number))
        features.append(net.context(mocks.images, told))
        labels.append(mocks.values(model.infers).float())
    return torch.cat(features).clone(), torch.cat(labels).clone()


def with_head(
    model: Estimator,
    head: str,
    features: torch.Tensor,
    labels: torch.Tensor,
    epochs: int,
    seed: int,
) -> tuple[Estimator, float]:
    """A model with the encoder of another and a new head, and its loss on clusters held out."""
    new = Estimator.untrained(
        model.survey,
        encoder=model.card.encoder.name,
        head=head,
        infers=model.infers,
        background=model.card.background,
        seed=seed,
    )
    kept = {k: v for k, v in model.net.state_dict().items() if not k.startswith("head.")}
    new.net.load_state_dict(kept, strict=False)
    net, generator = new.net.eval(), torch.Generator().manual_seed(seed)
    held_out = int(HELD_OUT * len(features))
    valid, trained = torch.arange(held_out), torch.arange(held_out, len(features))
    optimiser = torch.optim.AdamW(net.head.parameters(), LEARNING_RATE, weight_decay=0.01)
    steps = epochs * (len(trained) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, steps)
    best, best_loss = {}, torch.inf
    for step in range(steps):
        rows = trained[torch.randint(len(trained), (BATCH,), generator=generator)]
        loss = net.loss(labels[rows], features[rows])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.head.parameters(), TrainingSettings.defaults()["clip"])
        optimiser.step()
        schedule.step()
        if step % 200 == 0 or step == steps - 1:
            with torch.inference_mode():
                now = float(net.loss(labels[valid], features[valid]))
            if now < best_loss:
                best = {key: value.clone() for key, value in net.head.state_dict().items()}
                best_loss = now
    net.head.load_state_dict(best)
    return new, best_loss


if __name__ == "__main__":
    main()
