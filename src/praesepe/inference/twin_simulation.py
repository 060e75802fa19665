"""Draws clusters from a posterior, and sees them as the real one was seen."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from praesepe import quantities
from praesepe.errors import InputError, PraesepeWarning, check_number, must_be
from praesepe.inference.twins import Twins
from praesepe.progress import Counter, Progress, Setup
from praesepe.provenance import now, provenance_of
from praesepe.rng import check_seed, on_cpu
from praesepe.sky.clusters.parameters import PARAMETERS
from praesepe.sky.clusters.validation import validate_clusters
from praesepe.sky.contents import check_contents, without_missing_stars
from praesepe.sky.instrument.detector import Sky
from praesepe.sky.neighbors import with_neighbors
from praesepe.sky.simulator import Simulator
from praesepe.statistics.twins import background_level, background_scatter
from praesepe.survey import as_range

if TYPE_CHECKING:
    from pathlib import Path

    from praesepe.images.catalog.catalogs import Catalog
    from praesepe.images.mosaic.cutouts import Stamps
    from praesepe.images.mosaic.mosaic import Mosaic
    from praesepe.inference.check.measured import Measured
    from praesepe.inference.told import Told
    from praesepe.network.estimator import Estimator

N_FIELDS = 12
CANDIDATES = 8
"""Star fields on which each twin is laid; the one that is most like the real one's is kept."""

AT_ONCE = 8
"""Twins that are made together, each on all of its fields."""

MOST_STAMPS = 20_000
"""Twins that are held in memory: 2 GB in six bands of 64 × 64 pixels."""

FWHM_OF_SIGMA = 8 * np.log(2)
"""Square of the full width at half maximum of a Gaussian over that of its sigma."""

SHARPEST_PX = -0.6
"""Of the blurs that surveys may have."""

Array = NDArray[np.float32]

_MADE: dict[str, Simulator] = {}


class _Answer(Protocol):
    """What twins need of a `praesepe.inference.result.Result`, which describes it."""

    @property
    def model(self) -> Estimator: ...
    @property
    def observation(self) -> Mosaic: ...
    @property
    def catalog(self) -> Catalog: ...
    @property
    def told(self) -> Told: ...
    @property
    def measured(self) -> Measured | None: ...
    @property
    def infers(self) -> tuple[str, ...]: ...
    @property
    def inputs(self) -> tuple[Path, ...]: ...
    def __len__(self) -> int: ...
    def draws(self, row: int) -> Array: ...
    def stamp(self, row: int) -> Stamps: ...


def simulate_twins(
    result: _Answer,
    k: int,
    *,
    rows: Sequence[int] | None,
    seed: int,
    progress: Progress | None,
    setup: Setup | None,
) -> Twins:
    """Draw twins of measured clusters; see `praesepe.inference.result.Result.simulate`."""
    k, seed = check_number("k", k, 1), check_seed(seed)
    chosen = np.arange(len(result)) if rows is None else _numbers(rows, len(result))
    if len(chosen) * k > MOST_STAMPS:
        raise must_be(
            "the number of twins", len(chosen) * k, f"at most {MOST_STAMPS:,} together",
            "give fewer rows, or twins of each",
        )  # fmt: skip
    posteriors = {int(row): _of_clusters(result, int(row)) for row in chosen}
    without = [row for row, draws in posteriors.items() if not len(draws)]
    if len(without) == len(posteriors):
        raise InputError(
            "none of the rows has a posterior of a cluster to draw from",
            given=[int(row) for row in chosen],
            remedy="choose rows that were measured, and are not background for certain",
        )
    if without and rows is not None:
        warnings.warn(
            f"rows without a posterior of a cluster have no twins: {without}",
            PraesepeWarning,
            stacklevel=3,
        )
    chosen = np.array([row for row in posteriors if len(posteriors[row])])
    scene = _Scene.of(result, setup)
    survey = scene.simulator.survey
    count = Counter(len(chosen), progress)
    real, images, parameters = [], [], []
    for row in chosen.tolist():
        scene.simulator.seed(seed, row)
        stamp = _real(result, row)
        twins, known = _twins_of(scene, row, stamp, posteriors[row], k)
        real.append(stamp)
        images.append(twins)
        parameters.append(known)
        count.add()
    column = result.catalog.id_column
    ids = chosen if column is None else np.asarray(result.catalog.table[column])[chosen]
    return Twins(
        survey,
        chosen,
        ids,
        np.stack(real),
        np.stack(images),
        {name: np.stack([one[name] for one in parameters]) for name in parameters[0]},
        np.array([_rh_px(result, posteriors[row]) for row in chosen.tolist()]),
        provenance_of(result.model.survey, model=result.model, seed=seed, date=now()),
        result.inputs,
    )


def _numbers(rows: Sequence[int], n: int) -> NDArray[np.int64]:
    """Numbers of rows from 0, each once; they may be given from the end."""
    numbers = [check_number("row", row, -n, n - 1) % n for row in np.atleast_1d(rows).tolist()]
    return np.array(list(dict.fromkeys(numbers)), np.int64)


def _of_clusters(result: _Answer, row: int) -> Array:
    """Draws of a row in which there is a cluster, (m, quantity)."""
    draws = result.draws(row)
    good = np.isfinite(draws).all(axis=-1)
    name = quantities.OBJECT_CLASS.name
    if name in result.infers:
        cluster = quantities.OBJECT_CLASS.categories.index("cluster")
        good &= draws[:, result.infers.index(name)] == cluster
    return draws[good]


def _real(result: _Answer, row: int) -> Array:
    """The stamp of a row, NaN where a pixel or a band is missing."""
    stamps = result.stamp(row)
    there = stamps.has_band[0][:, None, None] & ~stamps.holes[0]
    return np.where(there, stamps.images[0], np.nan).astype(np.float32)


def _rh_px(result: _Answer, draws: Array) -> float:
    """Median half-light radius, pixels; NaN where the model does not infer it."""
    if quantities.LOG_RH.name not in result.infers:
        return np.nan
    log_rh = np.median(draws[:, result.infers.index(quantities.LOG_RH.name)])
    return float(10**log_rh / result.model.survey.pixel_scale_arcsec)


@dataclass(frozen=True, eq=False)
class _Scene:
    """What simulates, and what is known of the images: depth and width of stars, (band,)."""

    simulator: Simulator
    result: _Answer
    depth: NDArray[np.float64]
    fwhm_px: NDArray[np.float64]

    @classmethod
    def of(cls, result: _Answer, setup: Setup | None) -> _Scene:
        known = (_observed(result, name) for name in ("depth", "psf_fwhm_px"))
        return cls(_simulator_of(result, setup), result, *known)


def _observed(result: _Answer, name: str) -> NDArray[np.float64]:
    """A condition by band, as the model was told, or as the images show; NaN where not known."""
    from praesepe.inference.check.telling import measured_by_band

    mosaic, found = result.observation, {}
    if name in result.told.values:
        found = dict(zip(result.model.survey.band_names, result.told.values[name], strict=True))
    elif result.measured is not None:
        found = measured_by_band(name, mosaic, result.measured)
    return np.array([found.get(band, np.nan) for band in mosaic.band_names])


def _simulator_of(result: _Answer, setup: Setup | None) -> Simulator:
    """The simulator of a model's clusters in the bands of the images; kept for the next call."""
    model = result.model
    survey = without_missing_stars(model.survey)
    check_contents(survey, model.card.hashes.model_dump(), model=model.name)
    names = result.observation.band_names
    distance = result.told.values.get("log_distance")
    galaxy = {}
    if distance is not None and np.ndim(distance) == 0:
        galaxy["distance_pc"] = float(np.clip(10**distance, *survey.distance_range_pc))
    survey = survey.with_values(
        observation={
            "bands": tuple(band for band in survey.bands if band.name in names),
            "detector": {"gaps": 0.0, "bad_pixels": 0.0},  # the real stamp has its own
        },
        galaxy=galaxy,
    )
    key = f"{survey.fingerprint()} {model.device}"
    if key not in _MADE:
        _MADE.clear()
        _MADE[key] = Simulator(
            survey, device=model.device, contaminants=False, n_fields=N_FIELDS, setup=setup
        )
    return _MADE[key]


def _twins_of(
    scene: _Scene, row: int, stamp: Array, draws: Array, k: int
) -> tuple[Array, dict[str, NDArray[np.float64]]]:
    """Twins of a row, (k, band, y, x), and what they are."""
    source = on_cpu(scene.simulator.generator)
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=source)))
    chosen = draws[rng.choice(len(draws), k, replace=len(draws) < k)]
    given = _given(scene, row, chosen, rng)
    images, known = [], []
    for start in range(0, k, AT_ONCE):
        part = {name: values[start : start + AT_ONCE] for name, values in given.items()}
        light, truth = _seen(scene, part, stamp, min(AT_ONCE, k - start))
        images.append(light)
        known.append(truth)
    return np.concatenate(images), {
        name: np.concatenate([one[name] for one in known]) for name in known[0]
    }


def _given(
    scene: _Scene, row: int, draws: Array, rng: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    """Parameters of clusters that the posterior, or who told the model, knows; (k,) each.

    Draws a little beyond the range of the training, where the network puts some, are moved to its
    end.
    """
    survey, result = scene.simulator.survey, scene.result
    drawn = {*PARAMETERS, *(quantity.name for quantity in survey.clusters.drawn_beside())}
    found = {
        name: np.clip(draws[:, i].astype(float), *result.model.card.priors[name])
        for i, name in enumerate(result.infers)
        if name in drawn
    }
    nearest, farthest = survey.distance_range_pc
    limits = {
        "a_v": as_range(survey.clusters.a_v),
        "foreground_a_v": as_range(survey.galaxy.foreground_a_v),
        "log_distance": (math.log10(nearest), math.log10(farthest)),
    }
    for name, (low, high) in limits.items():
        value, error = (_told(result, row, what) for what in (name, f"{name}_error"))
        if name not in found and low < high and np.isfinite(value):
            scatter = np.nan_to_num(error) * rng.standard_normal(len(draws))
            found[name] = np.clip(value + scatter, low, high)
    if "log_distance" in found:
        found["distance_pc"] = 10 ** found.pop("log_distance")
    return found


def _told(result: _Answer, row: int, name: str) -> float:
    """What the model was told of a row that is one number; NaN where nothing."""
    value = np.asarray(result.told.values.get(name, np.nan), float)
    return float(value[row] if value.ndim else value)


def _seen(
    scene: _Scene, given: dict[str, NDArray[np.float64]], stamp: Array, k: int
) -> tuple[Array, dict[str, NDArray[np.float64]]]:
    """Clusters under the observation of a stamp, each on the field that is most like its own."""
    simulator = scene.simulator
    survey, detector, source = simulator.survey, simulator.detector, simulator.generator
    clusters = simulator.complete(given, k)
    validate_clusters(clusters, survey, simulator.tables.cluster)
    population = simulator.populate(clusters, compute_truth=False)
    crowd = with_neighbors(population, clusters, survey, generator=source)
    sky = detector.draw_sky(k, generator=source)
    exposure_s = detector.draw_exposures(k, generator=source)
    if exposure_s is None:
        exposure_s = detector.exposure.flatten().expand(k, -1)
    zero_points = np.array([band.zero_point_ab for band in survey.bands])
    noise = torch.as_tensor(10 ** (-0.4 * (scene.depth - zero_points))).to(exposure_s)
    known = torch.isfinite(noise)
    exposure_s = torch.where(known, detector.exposure_for(noise, sky.level), exposure_s)
    nuisances = simulator.draw_nuisances(k)
    if "blur_px" in nuisances:
        nuisances["blur_px"] = _blurred(simulator, nuisances, scene.fwhm_px)
    again = torch.arange(k).repeat_interleave(CANDIDATES).to(exposure_s.device)
    images, _ = simulator.image(
        simulator.spread(crowd)[again],
        clusters.distance_pc[again],
        exposure_s[again],
        foreground_a_v=clusters.foreground_a_v[again],
        nuisances={name: values[again] for name, values in nuisances.items()},
        sky=Sky(sky.level[again], sky.left[again]),
    )
    twins = _most_alike(images.cpu().numpy().reshape(k, CANDIDATES, *stamp.shape), stamp)
    truth = {name: values.double().cpu().numpy() for name, values in population.truth.items()}
    names = [name for name in truth if name in scene.result.infers or name.startswith("mag_")]
    return twins, {name: truth[name] for name in names}


def _blurred(
    simulator: Simulator, nuisances: Mapping[str, Tensor], fwhm_px: NDArray[np.float64]
) -> Tensor:
    """Blurs with which stars are as wide as was measured; as drawn where that is not known."""
    drawn = nuisances["blur_px"]
    own = simulator.renderer.widths(len(drawn), psf=nuisances.get("psf"))
    square = (torch.as_tensor(fwhm_px).to(drawn) ** 2 - own**2) / FWHM_OF_SIGMA
    wanted = (square.sign() * square.abs().sqrt()).clamp_min(SHARPEST_PX)
    return torch.where(torch.isfinite(wanted), wanted, drawn)


def _most_alike(candidates: Array, stamp: Array) -> Array:
    """Of (k, candidate, band, y, x) those on the field most like a stamp's, on its level."""
    there = np.isfinite(stamp)
    twins = np.where(there.any(axis=(-2, -1), keepdims=True), candidates, np.nan)
    seen = np.where(there, candidates, np.nan)
    wanted, found = (background_scatter(stamps) for stamps in (stamp, seen))
    unlike = np.nansum(np.log(found / wanted) ** 2, axis=-1)  # (k, candidate)
    each, best = np.arange(len(twins)), unlike.argmin(axis=1)
    shift = background_level(stamp) - background_level(seen[each, best])
    return (twins[each, best] + shift[..., None, None]).astype(np.float32)
