"""Artificial clusters on real images: what an artificial-cluster test injects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from praesepe.arrays import rates
from praesepe.errors import InputError, check_type, must_be
from praesepe.files import atomic, check_output
from praesepe.mocks.mosaics import check_places
from praesepe.mocks.stamps import FITS_SUFFIXES, simulated_by, truth_hdu
from praesepe.provenance import add_cards, cards, now
from praesepe.rng import check_seed
from praesepe.sky.clusters.parameters import Clusters
from praesepe.sky.clusters.validation import validate_clusters
from praesepe.sky.instrument.render import Renderer
from praesepe.sky.simulator import Simulator

CLUSTERS_AT_ONCE = 16


@dataclass(frozen=True, repr=False)
class Injected:
    """Images with artificial clusters, and what is known of these.

    Attributes
    ----------
    images : ndarray of float32, of the shape that was given
        e-/s.
    truth : dict of str to ndarray, each of shape (n,)
        Quantities, places (``x``, ``y``) and magnitudes of the clusters, as in `Mocks`; magnitudes
        are those before the nuisances of a band.
    record : dict of str to object
        What made them: survey, seed, nuisances.
    """

    images: NDArray[np.float32]
    truth: dict[str, NDArray[np.float32]]
    record: dict[str, Any]

    def __repr__(self) -> str:
        shape = " × ".join(map(str, self.images.shape))
        return f"<Injected: {len(self.truth['x'])} clusters on images of {shape}>"

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write a FITS file: IMAGES as they are, e-/s, and the table TRUTH.

        Parameters
        ----------
        path : str or Path
            Ends in ``.fits`` or ``.fit``. It appears complete or not at all.
        overwrite : bool
            Whether an existing file may be replaced.

        Returns
        -------
        Path
            The file that was written.
        """
        from astropy.io import fits

        path = check_output(path, FITS_SUFFIXES, overwrite=overwrite)
        image = fits.ImageHDU(self.images, name="IMAGES")
        image.header["BUNIT"] = "electron/s"
        add_cards(image.header, cards({**self.record, "date": now()}))
        with atomic(path) as part:
            fits.HDUList([fits.PrimaryHDU(), image, truth_hdu(self.truth)]).writeto(part)
        return path


def inject(
    simulator: Simulator,
    images: ArrayLike,
    clusters: Clusters,
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    *,
    seed: int | tuple[int, ...] = 0,
    exposure_s: ArrayLike | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
) -> Injected:
    """Lay artificial clusters on real images: on stamps, one on each, or into a mosaic.

    A cluster brings its light and the photon noise of that light; the images keep their sky, noise
    and artefacts.

    Parameters
    ----------
    simulator : Simulator
        Of the survey; made with ``n_fields=0`` it starts faster. With nuisances, each image and
        band has a zero point, blur and registration of its own.
    images : array_like, shape (n, band, y, x) or (band, y, x)
        n stamps of any size, or one mosaic, e-/s; missing pixels (NaN, masked) are NaN.
    clusters : Clusters
        n of them, as from ``simulator.sample``.
    x, y : array_like, shape (n,), optional
        Centers, pixels; the center of the first pixel is (0, 0). A mosaic needs them; on stamps
        they are by default the middle pixel and the clusters' own offsets, which they replace.
    seed : int or tuple of int
        Of stars, nuisances and photons: the same seed gives the same images. Give each of several
        passes one of its own, such as ``(seed, number)``. The simulator's stream is left as it is.
    exposure_s : array_like, shape (band,) or (n, band), optional
        Exposure times of the mosaic, or of each stamp; by default the survey's.
    out : path, optional
        FITS file to write; see `Injected.save`.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    Injected

    Raises
    ------
    InputError
        For a file that cannot be written, shapes that do not fit together, a center outside the
        image, and clusters that the simulator cannot make.

    Notes
    -----
    Stars are drawn, and images changed, up to a stamp and a half from a cluster's center in x and
    y. Memory beside the copy of the images does not grow with their size.
    """
    if not isinstance(simulator, Simulator):
        raise InputError(
            f"{simulator!r} is no Simulator", given=simulator, remedy="give Simulator(survey)"
        )
    check_type("clusters", clusters, Clusters, "Clusters, as from sample")
    if out is not None:
        check_output(out, FITS_SUFFIXES, overwrite=overwrite)
    stack = np.array(rates(images, "images"))
    mosaic = stack.ndim == 3
    stack = stack[None] if mosaic else stack
    survey = simulator.survey
    n = len(clusters)
    _check_shape(stack, n, len(survey.bands), mosaic=mosaic)
    place = _places(stack.shape[-2:], clusters, x, y, mosaic=mosaic)
    validate_clusters(clusters, survey, simulator.tables.cluster)
    pixel = np.floor(place + 0.5).astype(int)  # (2, n)
    clusters = clusters.with_values(x_offset=place[0] - pixel[0], y_offset=place[1] - pixel[1])
    image = np.zeros(n, int) if mosaic else np.arange(n)  # that each cluster lies on
    kept = simulator.generator
    try:
        simulator.seed(*map(check_seed, seed if isinstance(seed, tuple) else (seed,)))
        times = _exposures(simulator, stack, exposure_s)
        truth = _add(simulator, stack, clusters, pixel, image, times)
        if times is not None:
            names = (f"exposure_{name}" for name in survey.band_names)
            truth |= dict(zip(names, times.cpu().numpy()[image].T, strict=True))
    finally:
        simulator.generator = kept
    truth |= {"x": place[0].astype(np.float32), "y": place[1].astype(np.float32)}
    record = simulated_by(survey, seed=_told(seed), nuisances=simulator.nuisances)
    injected = Injected(stack[0] if mosaic else stack, truth, record)
    if out is not None:
        injected.save(out, overwrite=overwrite)
    return injected


def _told(seed: int | tuple[int, ...]) -> int | str:
    """A seed as headers can hold it."""
    return " ".join(map(str, seed)) if isinstance(seed, tuple) else int(seed)


def _add(
    simulator: Simulator,
    stack: NDArray[np.float32],
    clusters: Clusters,
    pixel: NDArray[np.int64],
    image: NDArray[np.int64],
    exposure_s: torch.Tensor | None,
) -> dict[str, NDArray[np.float32]]:
    """Add clusters to the images in place, one after the other; return what is known of them."""
    stamp, device = simulator.survey.stamp_size, simulator.device
    renderer = Renderer(simulator.survey, size=3 * stamp, pad=stamp // 2, device=device)
    middle = renderer.size // 2
    _open_gaps(stack, pixel, image, renderer.size)
    nuisances = simulator.draw_nuisances(len(stack))
    parts: dict[str, list[NDArray[np.float32]]] = {}
    for start in range(0, len(clusters), CLUSTERS_AT_ONCE):
        some = slice(start, start + CLUSTERS_AT_ONCE)
        on = torch.as_tensor(image[some], device=device)
        population = simulator.populate(
            clusters.part(some),
            exposure_s=None if exposure_s is None else exposure_s[on],
            renderer=renderer,
        )
        for name, values in population.truth.items():
            parts.setdefault(name, []).append(values.cpu().numpy().astype(np.float32))
        there = replace(population, center=population.center + middle - stamp // 2)
        grids = simulator.spread(there, renderer=renderer)
        light = renderer.convolve(grids, **{k: values[on] for k, values in nuisances.items()})
        for one, number, column, row in zip(light, image[some], *pixel[:, some], strict=True):
            rows, columns = (
                _overlap(at - middle, renderer.size, side)
                for at, side in zip((row, column), stack.shape[-2:], strict=True)
            )
            here = stack[number, :, rows[0], columns[0]]
            exposed = simulator.expose(
                one[None, :, rows[1], columns[1]],
                background=torch.as_tensor(here, device=device)[None],
                exposure_s=None if exposure_s is None else exposure_s[number : number + 1],
            )
            here[:] = exposed[0].cpu().numpy()
    return {name: np.concatenate(values) for name, values in parts.items()}


def _open_gaps(
    stack: NDArray[np.float32], pixel: NDArray[np.int64], image: NDArray[np.int64], size: int
) -> None:
    """Make gaps NaN where clusters will lie: light on them would look observed.

    A band that is one constant everywhere is an empty canvas, not a gap.
    """
    from praesepe.images.reading.gaps import find_gaps

    low, high = np.nanmin(stack, axis=(0, 2, 3)), np.nanmax(stack, axis=(0, 2, 3))
    for band in np.flatnonzero(low < high):
        for number, column, row in zip(image, *pixel, strict=True):
            rows, columns = (
                _overlap(at - size // 2, size, side)[0]
                for at, side in zip((row, column), stack.shape[-2:], strict=True)
            )
            here = stack[number, band, rows, columns]
            here[find_gaps(here).missing] = np.nan


def _overlap(first: int, size: int, side: int) -> tuple[slice, slice]:
    """Pixels that a piece from `first` on shares with an image: in the image, and in the piece."""
    low, high = max(first, 0), min(first + size, side)
    return slice(low, high), slice(low - first, high - first)


def _exposures(
    simulator: Simulator, stack: NDArray[np.float32], exposure_s: ArrayLike | None
) -> torch.Tensor | None:
    """Exposure times (image, band) in s: given, or drawn where the survey has a range."""
    shape = stack.shape[:2]
    if exposure_s is None:
        return simulator.detector.draw_exposures(shape[0], generator=simulator.generator)
    times = np.asarray(exposure_s, np.float32)
    if times.shape not in (shape, shape[1:]) or not (np.isfinite(times) & (times > 0)).all():
        allowed = "positive times, one for each band, or for each stamp and band"
        raise must_be("exposure_s", exposure_s, allowed)
    return torch.as_tensor(np.broadcast_to(times, shape).copy(), device=simulator.device)


def _check_shape(stack: NDArray[np.float32], n: int, n_bands: int, *, mosaic: bool) -> None:
    if stack.ndim != 4 or stack.shape[1] != n_bands:
        allowed = f"(band, y, x) for a mosaic, (n, band, y, x) for stamps, of {n_bands} bands"
        raise must_be("shape of images", stack.shape[int(mosaic) :], allowed)
    if not mosaic and len(stack) != n:
        raise must_be("the number of clusters", n, f"{len(stack)}, one for each stamp")


def _places(
    shape: tuple[int, ...],
    clusters: Clusters,
    x: ArrayLike | None,
    y: ArrayLike | None,
    *,
    mosaic: bool,
) -> NDArray[np.float64]:
    """Centers x, y on the images, (2, n)."""
    height, width = shape
    if x is None and y is None and not mosaic:
        offset = torch.stack((clusters.x_offset, clusters.y_offset)).cpu().double().numpy()
        x_px, y_px = offset + np.array([[width // 2], [height // 2]])
    elif x is None or y is None:
        raise InputError(
            "x or y is not given",
            given=(x, y),
            remedy="give both, the centers of the clusters in pixels",
        )
    else:
        x_px, y_px = (np.asarray(values, np.float64) for values in (x, y))
    check_places(x_px, y_px, len(clusters), (height, width))
    return np.stack((x_px, y_px))
