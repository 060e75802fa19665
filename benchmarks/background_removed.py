"""How much light a network does not see, as it takes a constant off every stamp and band.

    python benchmarks/background_removed.py [--size 64] [--scale 0.05]

Of smooth clusters without a field, EFF profiles without an end and with one at ten half-light
radii: the share of the light that lies within the stamp, and the share that the constant takes.
Of the unresolved light of a field all is taken: it is the constant.
"""

from __future__ import annotations

import argparse

import torch

from praesepe.network.transform import background_of
from praesepe.sky.clusters.profiles import EFF, SpatialProfile, even_positions

N_POINTS = 400_000


def shares(rh_arcsec: float, gamma: float, ends_at: float, size: int, scale: float) -> list[float]:
    """Of a cluster's light: within the stamp, and taken."""
    one = torch.ones(1)
    profile = SpatialProfile(
        half_light_radius=one * rh_arcsec / scale,
        kind=torch.full((1,), EFF),
        gamma=one * gamma,
        tidal_radius=one * ends_at * rh_arcsec / scale,
        concentration=one,
        ellipticity=0 * one,
        angle_rad=0 * one,
        segregation=0 * one,
    )
    x, y = even_positions(profile, N_POINTS)
    edges = torch.arange(size + 1) - size / 2
    light, _ = torch.histogramdd(torch.stack((y, x), 1), [edges, edges])
    stamp = (light / N_POINTS)[None, None].float()
    return [float(stamp.sum()), float(background_of(stamp)) * size**2]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--scale", type=float, default=0.05)
    options = parser.parse_args()
    print("| r_h [arcsec] | gamma | end [r_h] | in the stamp | taken |\n|---|---|---|---|---|")
    for rh in (0.1, 0.2, 0.4, 0.8):
        for gamma, ends_at in ((2.3, torch.inf), (2.3, 10.0), (3.0, torch.inf), (3.0, 10.0)):
            inside, taken = shares(rh, gamma, ends_at, options.size, options.scale)
            print(f"| {rh} | {gamma} | {ends_at:g} | {inside:.2f} | {taken:.2f} |")


if __name__ == "__main__":
    main()
