"""What a GPU has to do for the simulator's stamps, and how fast it is where there is one.

    python benchmarks/gpu.py

The simulator runs on the processor in the steps in which it runs on a GPU, and every operation that
would launch a kernel there is counted, with the bytes of its tensors. Divided by what a kernel's
launch costs and by a GPU's memory bandwidth this gives an upper limit of the speed, and says which
of the two will set it. Where PyTorch finds a GPU, the speed itself is measured as well.
"""

from __future__ import annotations

import argparse
import collections
import sys
import time
import traceback
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from praesepe.sky import simulator
from praesepe.sky.fields import crops, pool
from praesepe.sky.instrument import detector, render
from praesepe.sky.population import individual

LAUNCH_US = 8.0
"""Time of Python and PyTorch for one operation, microseconds."""

BANDWIDTH_TB_S = 2.0
"""What kernels of this kind reach of the 3.35 TB/s of an H100's memory."""

ATOMICS_PER_S = 2e10
"""Additions to random places in memory per second: a cautious guess for a data-centre GPU."""

WANTED = 20_000
"""Stamps per second that are asked for."""

NO_KERNEL = {
    *("view", "as_strided", "select", "slice", "unsqueeze", "expand", "reshape", "t", "transpose"),
    *("permute", "squeeze", "detach", "alias", "unbind", "split", "split_with_sizes", "diagonal"),
    *("_unsafe_view", "_reshape_alias", "lift_fresh", "view_as_real", "view_as_complex"),
    *("empty", "empty_strided", "empty_like", "new_empty"),
}
"""Operations that only look at memory in another way, or reserve it."""

WAITS = ("_local_scalar_dense", "nonzero", "repeat_interleave", "_unique2")
"""Operations after which the processor waits for the GPU."""


class Count(TorchDispatchMode):
    """Counts operations and the bytes of their tensors, by the function that asks for them."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels: collections.Counter[str] = collections.Counter()
        self.bytes: collections.Counter[str] = collections.Counter()
        self.atomics = self.waits = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in NO_KERNEL:
            return out
        frames = traceback.extract_stack(limit=16)
        own = [frame for frame in frames if "praesepe" in frame.filename]
        place = f"{own[-1].filename.rsplit('/', 1)[-1]}: {own[-1].name}" if own else "other"
        tensors = [x for x in tree_leaves((args, kwargs, out)) if isinstance(x, torch.Tensor)]
        self.kernels[place] += 1
        self.bytes[place] += sum(x.numel() * x.element_size() for x in tensors)
        self.waits += name in WAITS
        if name in ("scatter_add_", "index_add_"):
            self.atomics += tensors[-2].numel()
        return out


def as_on_a_gpu() -> None:
    """Let the processor take the steps that a GPU would."""
    for steps in (
        simulator.STAMPS_AT_ONCE,
        individual.CHUNK,
        render.STARS_PER_CHUNK,
        render.STAMPS_PER_PASS,
        render.GRIDS_PER_PASS,
        detector.PIXELS_PER_CHUNK,
    ):
        steps["cpu"] = steps["cuda"]

    def add_crops(light: torch.Tensor, fields: torch.Tensor, choice: torch.Tensor) -> None:
        light += crops.gather(fields, choice, light.shape[-1])

    pool.add_crops = add_crops  # type: ignore[attr-defined]


def measure(survey: str, n: int, batches: int = 20) -> float:
    """Stamps per second on the GPU, everything on the device, after two batches to warm up."""
    source = simulator.Simulator(survey, seed=1, device="cuda")
    for k in range(batches + 2):
        if k == 2:
            torch.cuda.synchronize()
            start = time.perf_counter()
        source.draw(n, batch_size=n, compute_truth=False)
    torch.cuda.synchronize()
    return n * batches / (time.perf_counter() - start)


def main() -> int:
    """Count, print, and measure where that is possible."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--survey", default="phat-nodust")
    args = parser.parse_args()
    as_on_a_gpu()
    n = simulator.STAMPS_AT_ONCE["cuda"]
    source = simulator.Simulator(args.survey, seed=1)
    source.draw(n, batch_size=n, compute_truth=False)
    with Count() as count:
        source.draw(n, batch_size=n, compute_truth=False)
    kernels, moved = count.kernels.total(), count.bytes.total()
    print(f"{n} stamps at once, as in a training\n")
    print(f"{'':36s}{'kernels':>8s}{'MB a stamp':>12s}")
    for place, number in count.bytes.most_common(12):
        print(f"  {place:34s}{count.kernels[place]:8d}{number / n / 1e6:12.3f}")
    print(f"  {'together':34s}{kernels:8d}{moved / n / 1e6:12.3f}\n")
    launches = kernels * LAUNCH_US * 1e-6 / n
    memory = moved / n / (BANDWIDTH_TB_S * 1e12)
    atomics = count.atomics / n / ATOMICS_PER_S
    print(f"waits for the GPU                {count.waits:8d}")
    print(f"atomic additions                 {count.atomics / n:8.0f} a stamp")
    print(f"launches at {LAUNCH_US:g} us each         {launches * 1e6:10.1f} us a stamp")
    print(f"memory at {BANDWIDTH_TB_S:g} TB/s               {memory * 1e6:10.1f} us a stamp")
    print(f"atomics at {ATOMICS_PER_S:.0e} a second    {atomics * 1e6:10.1f} us a stamp")
    slowest = max(launches, memory + atomics)  # launches run ahead of the kernels
    print(f"limits: {1 / slowest:.0f} stamps/s (asked for: {WANTED}); one after another: ", end="")
    print(f"{1 / (launches + memory + atomics):.0f}")
    if torch.cuda.is_available():
        speed = measure(args.survey, n)
        print(f"measured on {torch.cuda.get_device_name()}: {speed:.0f} stamps/s")
    else:
        print("no GPU here: not measured")
    return 0


if __name__ == "__main__":
    sys.exit(main())
