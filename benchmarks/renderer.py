"""How fast the renderer and the simulator are, and how much faster than GalSim star by star.

    python benchmarks/renderer.py [--quick] [--out renderer.json]

One run measures, on the same stars of clusters drawn from the built-in `phat` survey:

1. Praesepe: stars already drawn become noiseless stamps (scatter + convolve), per stamp.
2. GalSim: the same stars drawn one by one onto 64×64 stamps in three bands with a pre-computed
   interpolated PSF (its default interpolant, and no pixel convolution: the cheapest way that keeps
   sub-pixel positions). Every star covers the whole stamp and costs the same, so a few stars of
   each of a few stamps are drawn and the time is scaled by the stamps' numbers of stars.
3. `Simulator.draw`: stamps per second, and where the time goes.
4. The floor: operations and bytes that the transforms cannot do without.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import galsim
import numpy as np
import torch

from praesepe.sky.instrument.psf import band_psf
from praesepe.sky.instrument.render import Renderer
from praesepe.sky.population.points import Stars
from praesepe.sky.simulator import Simulator

PIXEL_TOLERANCE = 5e-3
"""Share of the peak by which the two renderers' pixels may differ."""


def best_seconds(function: Any, repeats: int) -> float:
    """Shortest of several runs: the others were disturbed."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def draw_clusters(simulator: Simulator, n: int) -> tuple[Stars, torch.Tensor]:
    """Stars of `n` clusters of the survey's prior, and their positions in the stamps."""
    population = simulator.populate(simulator.sample(n), compute_truth=False)
    return population.stars, population.offset + simulator.survey.stamp_size // 2


def galsim_psfs(renderer: Renderer, simulator: Simulator) -> list[galsim.InterpolatedImage]:
    """One pre-computed PSF per band, sampled at a quarter of a pixel."""
    scale = simulator.survey.pixel_scale_arcsec
    profiles = []
    for band in simulator.survey.bands:
        image = band_psf(
            band,
            grid_scale_arcsec=scale / 4,
            half_size_px=4 * ((renderer.grid // 2 - 1) // 2),
            pixel_scale_arcsec=scale,
        )
        profiles.append(galsim.InterpolatedImage(galsim.Image(image), scale=scale / 4))
    return profiles


def galsim_draw(profiles: list, position: np.ndarray, flux: np.ndarray, size: int, scale: float):
    """Draw stars one by one in every band; (band, size, size)."""
    stamp = np.empty((len(profiles), size, size))
    for band, profile in enumerate(profiles):
        image = galsim.ImageD(size, size, scale=scale)
        for (x, y), light in zip(position.T, flux[band], strict=True):
            profile.withFlux(float(light) * profile.flux).drawImage(
                image,
                method="no_pixel",
                center=galsim.PositionD(float(x) + 1, float(y) + 1),
                add_to_image=True,
            )
        stamp[band] = image.array
    return stamp


def compare_with_galsim(simulator: Simulator, n: int, n_galsim: int, n_stars: int) -> dict:
    """Time both renderers on the same stars and check that their pixels agree."""
    survey, renderer = simulator.survey, simulator.renderer
    stars, position = draw_clusters(simulator, n)
    grids = renderer.empty(n)

    def praesepe() -> torch.Tensor:
        renderer.scatter(grids.zero_(), stars.population, position, stars.flux)
        return renderer.convolve(grids)

    seconds = best_seconds(praesepe, 5) / n
    inside = ((position > 0) & (position < survey.stamp_size - 1)).all(0) & (stars.flux > 0).all(0)
    counts = torch.bincount(stars.population[inside], minlength=n)
    profiles = galsim_psfs(renderer, simulator)
    order = counts.argsort()
    chosen = order[torch.linspace(0.1 * n, 0.9 * n, n_galsim).long()]
    per_star, worst = [], 0.0
    for k in chosen.tolist():
        members = torch.nonzero(inside & (stars.population == k)).flatten()[:n_stars]
        where, light = position[:, members], stars.flux[:, members]
        given = where.numpy(), light.numpy(), survey.stamp_size, survey.pixel_scale_arcsec
        galsim_draw(profiles, given[0][:, :1], given[1][:, :1], *given[2:])  # warm up
        start = time.perf_counter()
        reference = galsim_draw(profiles, *given)
        per_star.append((time.perf_counter() - start) / len(members))
        grid = renderer.empty(1)
        renderer.scatter(grid, torch.zeros(len(members), dtype=torch.int64), where, light)
        image = renderer.convolve(grid)[0].numpy()
        off = np.abs(image - reference).max((1, 2)) / reference.max((1, 2))
        worst = max(worst, float(off.max()))
    galsim_seconds = float(np.median(per_star)) * counts.double().numpy()
    return {
        "stamps": n,
        "points_per_stamp_mean": float(counts.double().mean()),
        "points_per_stamp_median": float(counts.double().median()),
        "praesepe_ms_per_stamp": 1e3 * seconds,
        "galsim_ms_per_star": 1e3 * float(np.median(per_star)),
        "galsim_stars_timed": int(sum(min(n_stars, int(counts[k])) for k in chosen)),
        "galsim_ms_per_stamp": 1e3 * float(galsim_seconds.mean()),
        "galsim_ms_per_median_stamp": 1e3 * float(np.median(galsim_seconds)),
        "ratio_mean_stamp": float(galsim_seconds.mean() / seconds),
        "ratio_median_stamp": float(np.median(galsim_seconds) / seconds),
        "largest_pixel_difference": worst,
    }


def time_stages(simulator: Simulator, n: int, batches: int) -> dict:
    """Milliseconds per stamp of `Simulator.draw`, and of its parts."""
    simulator.draw(n, batch_size=n)
    whole = best_seconds(lambda: simulator.draw(n, batch_size=n), batches)
    drawn: list = []

    def draw() -> None:
        drawn[:] = draw_clusters(simulator, n)

    stages = {"draw stars": best_seconds(draw, batches)}
    stars, position = drawn
    renderer, generator = simulator.renderer, simulator.generator
    grids = renderer.empty(n)
    stages["scatter"] = best_seconds(
        lambda: renderer.scatter(grids, stars.population, position, stars.flux), batches
    )
    pool = simulator.field_pool
    if pool is not None:
        refresh, pool.refresh = pool.refresh, 0
        assert len(pool.fields)  # all are drawn, so that only adding is timed
        stages["add field"] = best_seconds(lambda: pool.add_to(grids, generator=generator), batches)
        pool.refresh = refresh
        once = best_seconds(lambda: pool._draw(0), 2)
        stages["renew fields"] = once / refresh if refresh else 0.0
    nuisances = simulator.draw_nuisances(n)
    images = renderer.convolve(grids, **nuisances)
    stages["convolve"] = best_seconds(lambda: renderer.convolve(grids, **nuisances), batches)
    stages["expose"] = best_seconds(
        lambda: simulator.detector.expose(images, generator=generator), batches
    )
    return {
        "batch": n,
        "stamps_per_second": n / whole,
        "ms_per_stamp": 1e3 * whole / n,
        "points_per_stamp": stars.population.numel() / n,
        "stages_ms_per_stamp": {name: 1e3 * value / n for name, value in stages.items()},
    }


def floor(renderer: Renderer, points: float) -> dict:
    """Operations and bytes per stamp that remain however well the code is written.

    A real transform of N points takes 2.5 N log2 N operations, a complex one 5 N log2 N. Forward:
    the whole grid. Back: columns of half the length (the rows not needed are folded away), then the
    rows that are kept. A star adds a product of weights and a sum to 16 points in every band.
    """
    grid, bands, size = renderer.grid, renderer.n_bands, renderer.size
    half, columns = grid // 2, grid // 2 + 1
    forward = 2.5 * grid**2 * math.log2(grid**2)
    back = 5 * columns * half * math.log2(half) + 2.5 * size * grid * math.log2(grid)
    scatter = 16 * 2 * points
    # Grid: written by the stars, read by the transform; spectrum: written, read; stamp: written.
    moved = 2 * 4 * grid**2 + 2 * 8 * grid * columns + 4 * size**2
    return {
        "transform_mflop": bands * (forward + back) / 1e6,
        "scatter_mflop": bands * scatter / 1e6,
        "mbyte": bands * moved / 1e6,
        "ms_at_10_gflop_per_s": bands * (forward + back + scatter) / 1e10 * 1e3,
        "ms_at_10_gbyte_per_s": bands * moved / 1e10 * 1e3,
    }


def report(result: dict) -> None:
    """Print the tables."""
    g, s, f = result["galsim"], result["simulator"], result["floor"]
    print(
        f"{result['threads']} thread(s), torch {torch.__version__}, GalSim {galsim.__version__}\n"
    )
    print(f"Renderer, {g['stamps']} stamps of 3 bands, the same points of light in both")
    print(f"  points per stamp      mean {g['points_per_stamp_mean']:8.0f}", end="")
    print(f"   median {g['points_per_stamp_median']:8.0f}")
    print(f"  Praesepe              {g['praesepe_ms_per_stamp']:10.3f} ms per stamp")
    print(
        f"  GalSim                {g['galsim_ms_per_star']:10.3f} ms per star, three bands", end=""
    )
    print(f" ({g['galsim_stars_timed']} stars timed)")
    print(f"  GalSim                {g['galsim_ms_per_stamp']:10.1f} ms per mean stamp", end="")
    print(f"   {g['galsim_ms_per_median_stamp']:.1f} ms per median stamp")
    print(f"  ratio                 {g['ratio_mean_stamp']:10.0f} mean", end="")
    print(f"   {g['ratio_median_stamp']:.0f} with GalSim's median stamp (must reach 100)")
    off, limit = g["largest_pixel_difference"], PIXEL_TOLERANCE
    print(f"  largest difference    {100 * off:10.2f} % of the peak (allowed {100 * limit} %)\n")
    print(
        f"Simulator.draw, batches of {s['batch']}: {s['stamps_per_second']:.0f} stamps/s, ", end=""
    )
    print(f"{s['ms_per_stamp']:.3f} ms per stamp, {s['points_per_stamp']:.0f} points each")
    stages = s["stages_ms_per_stamp"]
    for name, value in stages.items():
        print(f"  {name:20s}  {value:10.3f} ms  {100 * value / sum(stages.values()):5.1f} %")
    print(f"  {'together':20s}  {sum(stages.values()):10.3f} ms\n")
    print("Floor of scatter + convolve per stamp")
    print(f"  transforms            {f['transform_mflop']:10.1f} Mflop")
    print(f"  spreading the stars   {f['scatter_mflop']:10.2f} Mflop")
    print(f"  memory                {f['mbyte']:10.1f} MB")
    print(f"  at 10 Gflop/s         {f['ms_at_10_gflop_per_s']:10.3f} ms")
    print(f"  at 10 GB/s            {f['ms_at_10_gbyte_per_s']:10.3f} ms")


def main() -> None:
    """Read the options, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a fifth of the stamps and stars")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of the processor")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    simulator = Simulator("phat-nodust", seed=options.seed, n_fields=4)
    n, n_galsim, n_stars, repeats = (64, 3, 20, 2) if options.quick else (256, 9, 50, 5)
    with torch.inference_mode():
        result = {"threads": options.threads, "seed": options.seed, "quick": options.quick}
        result["galsim"] = compare_with_galsim(simulator, n, n_galsim, n_stars)
        result["simulator"] = time_stages(simulator, n, repeats)
        result["floor"] = floor(simulator.renderer, result["simulator"]["points_per_stamp"])
    report(result)
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
