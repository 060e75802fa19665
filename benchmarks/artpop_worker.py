"""Times ArtPop on one job; benchmarks/against_artpop.py runs it with ArtPop's own interpreter.

    python benchmarks/artpop_worker.py JOB.npz

Prints one JSON list. Needs only what ArtPop needs: neither praesepe nor torch.
"""

from __future__ import annotations

import json
import sys
import time

import artpop
import numpy as np
from artpop.log import logger
from astropy import units as u

logger.setLevel("ERROR")  # it warns of every star outside the image


def stamp(job: dict, isochrone: artpop.Isochrone, factor: int, rng: np.random.RandomState):
    """Sample, place, convolve and expose one cluster; electrons/s, (band, side, side)."""
    side = int(job["side"])
    population = artpop.SSP(
        isochrone,
        num_stars=int(job["n_stars"]),
        distance=float(job["distance_pc"]) * u.pc,
        random_state=rng,
    )
    source = artpop.PlummerSP(
        population,
        scale_radius=float(job["radius_pc"]) * u.pc,
        xy_dim=factor * side,
        pixel_scale=float(job["pixel_scale"]) / factor,
    )
    imager = artpop.IdealImager()
    images = []
    for i, band in enumerate(job["bands"]):
        observed = imager.observe(
            source, str(band), psf=job[f"psf_{factor}_{i}"], zpt=float(job["zero_point"][i])
        )
        # Fine pixels to real ones, and then the noise as ArtPop's ArtImager adds it.
        binned = observed.image.reshape(side, factor, side, factor).sum(axis=(1, 3))
        exposure, sky = job["exposure"][i], job["sky"][i]
        electrons = rng.poisson(np.maximum(binned + sky, 0) * exposure)
        electrons = electrons + rng.normal(scale=job["read_noise"][i], size=electrons.shape)
        images.append(electrons / exposure - sky)
    return np.stack(images)


def main() -> None:
    """Time every oversampling of the job."""
    with np.load(sys.argv[1]) as file:
        job = dict(file)
    magnitudes = {str(band): job["magnitude"][:, i] for i, band in enumerate(job["bands"])}
    isochrone = artpop.Isochrone(mini=job["initial"], mact=job["present"], mags=magnitudes)
    rng = np.random.RandomState(1)
    results = []
    for factor, repeats in zip(job["factors"].tolist(), job["repeats"].tolist(), strict=True):
        if repeats > 1:
            stamp(job, isochrone, factor, rng)  # warm up
        seconds, light = [], []
        for _ in range(repeats):
            start = time.process_time()
            image = stamp(job, isochrone, factor, rng)
            seconds.append(time.process_time() - start)
            light.append(image.sum(axis=(1, 2)).tolist())
        results.append(
            {
                "factor": factor,
                "stamps": repeats,
                "seconds": float(np.median(seconds)),
                "light": np.mean(light, axis=0).tolist(),
            }
        )
    print(json.dumps(results))


if __name__ == "__main__":
    main()
