"""What a model says of faulty stamps: how many are not to be believed, and of good ones.

    python benchmarks/faults.py [MODEL] [--n 600] [--seed 8101]

Not to be believed is a stamp that is flagged `OUT_OF_DOMAIN`, or whose probability of a cluster is
below one half. Faults are laid on good clusters (signal over noise above 10 in two bands, within
the half-light radius), in a band with a signal above 10. A believed answer is wrong where age, mass
or size is off by more than three times the half-width of the 68 % interval.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift

from praesepe import Estimator, Simulator, Survey
from praesepe.sky.instrument.artefacts import add_cosmic_rays
from praesepe.sky.stamps import Mocks
from praesepe.training.telling import Habits, tell

TOLD = Habits(all_bands=1.0, not_told=0.0)
GOOD_SN = 10.0
NEARER = 5.0
RAY_LENGTH_PX = 2.5
Images = NDArray[np.float32]


@dataclass
class Sample:
    """Stamps, what the model is told of them, and what is true."""

    images: Images
    conditions: torch.Tensor | None
    truth: dict[str, NDArray[Any]]

    def part(self, which: NDArray[Any]) -> Sample:
        """Some of the stamps."""
        told = None if self.conditions is None else self.conditions[torch.from_numpy(which)]
        return Sample(self.images[which], told, {k: v[which] for k, v in self.truth.items()})

    def like(self, images: Images) -> Sample:
        """The same with other images."""
        return Sample(images.astype(np.float32), self.conditions, self.truth)


class Stamps:
    """Good clusters of a model's survey, and faulty ones."""

    def __init__(self, model: Estimator, n: int, seed: int) -> None:
        self.model, self.survey, self.n, self.seed = model, model.survey, n, seed
        self.simulator = self._simulator(self.survey)
        self.all = self._sample(self.simulator.draw(2 * n, compute_truth=False))
        self.sn = self.signal_to_noise(self.all)
        self.is_good = (self.sn > GOOD_SN).sum(1) >= 2
        chosen = np.flatnonzero(self.is_good)[:n]
        self.good, self.rng = self.all.part(chosen), np.random.default_rng(seed)
        u = self.rng.random(self.sn[chosen].shape)
        self.band = np.where(self.sn[chosen] > GOOD_SN, u, -1).argmax(1)
        self.time = np.array([np.max(band.exposure_s) for band in self.survey.bands])

    def _simulator(self, survey: Survey) -> Simulator:
        fields = max(self.n // 12, 4)
        return Simulator(survey, seed=self.seed, n_fields=fields, contaminants=False)

    def _sample(self, mocks: Mocks, nearer: float = 1.0) -> Sample:
        truth = dict(mocks.truth)
        if "distance_pc" in truth:
            truth["distance_pc"] = truth["distance_pc"] * nearer
        names = tuple(condition.name for condition in self.model.card.conditions)
        seed = (self.seed, 1)
        told = tell(names, self.survey, truth, len(mocks), seed=seed, habits=TOLD)
        arrays = {name: values.numpy() for name, values in truth.items()}
        return Sample(mocks.images.numpy(), told, arrays)

    def _by_band(self, sample: Sample, prefix: str) -> NDArray[Any]:
        return np.stack([sample.truth[prefix + name] for name in self.survey.band_names], 1)

    def noise(self, sample: Sample) -> NDArray[Any]:
        """Of an empty pixel, e-/s, (n, band)."""
        zero_points = np.array([band.zero_point_ab for band in self.survey.bands])
        return 10 ** (-0.4 * (self._by_band(sample, "depth_") - zero_points))

    def signal_to_noise(self, sample: Sample) -> NDArray[Any]:
        """Of the light within the half-light radius, or 1.5 px, (n, band)."""
        zero_points = np.array([band.zero_point_ab for band in self.survey.bands])
        light = 0.5 * 10 ** (-0.4 * (self._by_band(sample, "mag_") - zero_points))
        radius = np.maximum(10 ** sample.truth["log_rh"] / self.survey.pixel_scale_arcsec, 1.5)
        time = np.array([np.max(band.exposure_s) for band in self.survey.bands])
        sky = np.pi * radius[:, None] ** 2 * self.noise(sample) ** 2
        return light / np.sqrt(sky + light / time)

    def in_band(self, change: Callable[[Images, int], Any]) -> Sample:
        """Change the chosen band of every good stamp, by its image and number."""
        images = self.good.images.copy()
        for k, band in enumerate(self.band):
            images[k, band] = change(images[k, band], k)
        return self.good.like(images)

    def white(self) -> Images:
        """Noise alone."""
        noise = self.noise(self.good)[..., None, None]
        return (self.rng.normal(size=self.good.images.shape) * noise).astype(np.float32)

    def rays(self, share: float) -> Images:
        """Good stamps with cosmic rays over a share of the pixels."""
        images = torch.from_numpy(self.good.images.copy())
        time = torch.from_numpy(self.time).float().view(-1, 1, 1)
        generator = torch.Generator().manual_seed(self.seed)
        rate = share / RAY_LENGTH_PX * 1e4
        add_cosmic_rays(images, rate, (50.0, 5000.0), time, generator=generator)
        return images.numpy()

    def rendered(self, nearer: float = 1.0, wider: float = 1.0) -> Sample:
        """Good clusters of a nearer galaxy, or through a wider PSF."""
        changes: dict[str, Any] = {}
        if nearer > 1:
            distance, (low, high) = self.survey.galaxy.distance_pc, self.survey.rh_arcsec
            near = np.asarray(distance) / nearer
            largest = self.survey.stamp_size * self.survey.pixel_scale_arcsec / 2 * 0.97
            changes["galaxy"] = {"distance_pc": tuple(near) if near.ndim else float(near)}
            sizes = (low * nearer, min(high * nearer, largest))
            changes["clusters"] = {"rh_pc": None, "rh_arcsec": sizes}
        if wider > 1:
            fwhm = float(np.mean(self._by_band(self.all, "fwhm_")))
            blur_px = fwhm * np.sqrt(wider**2 - 1) / 2.3548
            changes["observation"] = {"nuisance": {"blur_px": (blur_px, blur_px + 0.1)}}
        mocks = self._simulator(self.survey.with_values(**changes)).draw(
            self.n, compute_truth=False
        )
        sample = self._sample(mocks, nearer)
        if wider > 1 and sample.conditions is not None:  # told is what should be there
            sample.conditions = self.all.conditions[: self.n]
        return sample.part((self.signal_to_noise(sample) > GOOD_SN).sum(1) >= 2)

    def of_kind(self, kind: str) -> Sample:
        """Stamps without a cluster."""
        return self._sample(self.simulator.observe({"contaminant": kind}, n=self.n))

    def globulars(self) -> Sample:
        """Old clusters of 10^6 Msun."""
        sizes = np.log10(self.survey.rh_arcsec)
        log_rh = self.rng.uniform(max(sizes[0], -0.8), sizes[1] - 0.01, self.n)
        old = {"log_mass": 6.0, "log_age": 10.05, "log_rh": log_rh.astype(np.float32)}
        return self._sample(self.simulator.observe(old, n=self.n))

    def sersic(self) -> Sample:
        """Galaxies by GalSim on empty fields."""
        import galsim

        sample, scale = self.of_kind("empty"), self.survey.pixel_scale_arcsec
        pivot = np.linspace(0, 1, len(self.survey.bands))
        images = sample.images.copy()
        for k, stamp in enumerate(images):
            magnitude, slope = self.rng.uniform(18, 22), self.rng.uniform(0.5, 3.0)
            galaxy = galsim.Sersic(
                n=self.rng.uniform(0.8, 4), half_light_radius=self.rng.uniform(0.2, 0.9)
            ).shear(g=self.rng.uniform(0, 0.4), beta=self.rng.uniform(0, 180) * galsim.degrees)
            for b, band in enumerate(self.survey.bands):
                flux = 10 ** (-0.4 * (magnitude - slope * pivot[b] + slope - band.zero_point_ab))
                fwhm = scale * float(sample.truth[f"fwhm_{band.name}"][k])
                seen = galsim.Convolve(galaxy.withFlux(flux), galsim.Gaussian(fwhm=fwhm))
                light = seen.drawImage(
                    nx=stamp.shape[-1], ny=stamp.shape[-1], scale=scale, offset=(0.5, 0.5)
                ).array
                electrons = self.rng.poisson(np.maximum(light, 0) * self.time[b])
                stamp[b] += electrons / self.time[b]
        return sample.like(images)

    def saturated(self) -> Sample:
        """Single stars, thirty times brighter and cut at the full well."""
        sample = self.of_kind("star")
        full = 6e4 / self.time[:, None, None]
        return sample.like(np.minimum(sample.images * 30, full))

    def faults(self) -> Iterator[tuple[str, Sample]]:
        """Every fault, by its name."""
        names, good = self.survey.band_names, self.good
        for i, one in enumerate(names):
            for j, other in enumerate(names[i + 1 :], i + 1):
                order = list(range(len(names)))
                order[i], order[j] = j, i
                yield f"{one} and {other} swapped", good.like(good.images[:, order])
        angle = self.rng.uniform(0, 2 * np.pi, len(good.images))
        steps = 1.5 * np.stack((np.sin(angle), np.cos(angle)), 1)
        yield (
            "one band shifted by 1.5 px",
            self.in_band(lambda image, k: shift(image, steps[k], order=3, mode="nearest")),
        )
        yield "PSF twice as wide", self.rendered(wider=2)
        yield (
            "blurred by 2 px",
            good.like(gaussian_filter(good.images, (0, 0, 2, 2))),
        )
        yield "galaxy five times nearer", self.rendered(nearer=NEARER)
        yield "one band ten times too bright", self.in_band(lambda image, _: 10 * image)
        yield "one band zero", self.in_band(lambda image, _: 0 * image)
        white = self.white()
        yield "one band of noise", self.in_band(lambda _, k: white[k, self.band[k]])
        rays = self.rays(0.05)
        yield (
            "cosmic rays over 5 % of one band",
            self.in_band(lambda _, k: rays[k, self.band[k]]),
        )
        yield "cosmic rays over 5 % of all bands", good.like(rays)
        yield "globular cluster of 10^6 Msun", self.globulars()
        yield "Sersic galaxy (GalSim)", self.sersic()
        yield "galaxy (the simulator's)", self.of_kind("galaxy")
        yield "saturated star", self.saturated()
        yield "stamp of noise", good.like(white)


def line(model: Estimator, name: str, sample: Sample) -> str:
    """Number, shares flagged, called no cluster, either; wrong among the believed; the kinds."""
    posterior = model.predict(sample.images, conditions=sample.conditions, n_samples=200)
    flagged = posterior.out_of_domain > 1
    none = np.zeros(len(flagged), bool)
    if "object_class" in posterior.names:
        none = posterior.shares("object_class")[:, 1] < 0.5
    doubted = flagged | none
    wrong = np.zeros(len(flagged), bool)
    low, middle, high = posterior.percentile((16, 50, 84))
    for k, quantity in enumerate(posterior.names):
        if quantity in ("log_age", "log_mass", "log_rh") and quantity in sample.truth:
            width = np.maximum((high - low)[:, k] / 2, 0.03)
            wrong |= np.abs(middle[:, k] - sample.truth[quantity]) > 3 * width
    believed = ~doubted
    share = 100 * wrong[believed].mean() if believed.any() and wrong.any() else 0.0
    kinds = ", ".join(
        f"{kind} {100 * (doubt > 1).mean():.0f}" for kind, doubt in posterior.doubts.items()
    )
    cells = (100 * flagged.mean(), 100 * none.mean(), 100 * doubted.mean(), share)
    return f"| {name} | {len(flagged)} | " + " | ".join(f"{c:.1f}" for c in cells) + f" | {kinds} |"


def main() -> None:
    """Print one line for good clusters by signal, and one for each fault."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?", default="phat")
    parser.add_argument("--n", type=int, default=600)
    parser.add_argument("--seed", type=int, default=8101)
    options = parser.parse_args()
    model = Estimator.load(options.model)
    stamps = Stamps(model, options.n, options.seed)
    print("| stamps | n | flagged % | no cluster % | either % | wrong if believed % | doubts % |")
    print("|---|---|---|---|---|---|---|", flush=True)
    second = np.sort(stamps.sn, axis=1)[:, -2]
    for low, high in ((0, 3), (3, 10), (10, 30), (30, 100), (100, np.inf)):
        which = np.flatnonzero((second >= low) & (second < high))
        if which.size:
            name = f"good, S/N {low:g} to {high:g} in two bands"
            print(line(model, name, stamps.all.part(which)), flush=True)
    print(line(model, "good, S/N above 10 in two bands", stamps.all.part(stamps.is_good)))
    for name, sample in stamps.faults():
        print(line(model, name, sample), flush=True)


if __name__ == "__main__":
    main()
