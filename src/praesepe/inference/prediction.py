"""Measure catalogued clusters on mosaics: one row in, one row with percentiles out."""

from __future__ import annotations

import datetime
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from praesepe.errors import InputError, PraesepeError, PraesepeWarning
from praesepe.flags import Flag
from praesepe.inference.draws import SAMPLE_SUFFIXES, open_samples
from praesepe.network.estimator import Estimator, Posterior
from praesepe.network.transform import prior_bounds
from praesepe.quantities import LOG_AGE, LOG_MASS, PARAMETERS
from praesepe.survey import Survey

if TYPE_CHECKING:
    from astropy.table import Table

    from praesepe.images.cutouts import Stamps
    from praesepe.images.mosaic import Mosaic

log = logging.getLogger(__name__)

PERCENTILES = (16, 50, 84)
ROWS_AT_ONCE = 256
"""Rows cut and inferred together: fixed, so that draws do not depend on the batch size."""

EDGE_FRACTION = 0.02
OLDEST_LOG_AGE = 10.05
"""A prior that reaches this log age ends where clusters do."""

Progress = Callable[[int, int], None]
"""Called with the number of rows done and the number of all rows."""


@dataclass(frozen=True)
class Quantity:
    """A measured quantity: it becomes the columns ``<name>_p16``, ``_p50`` and ``_p84``."""

    name: str
    unit: str | None
    description: str
    decimals: int = 4


QUANTITIES = (
    Quantity("log_age", LOG_AGE.unit, LOG_AGE.description),
    Quantity("log_mass", LOG_MASS.unit, LOG_MASS.description),
    Quantity("log_present_mass", LOG_MASS.unit, "log10 of the present mass, stars and remnants"),
    Quantity("rh_arcsec", "arcsec", "projected half-light radius of the profile", 5),
    Quantity("rh_pc", "pc", "projected half-light radius at the survey's distance", 4),
)
PIXEL = "position on the reference band, where the centre of the first pixel is 1 (FITS, DS9)"


def predict(
    model: Estimator | str | Path,
    images: Mapping[str, Any],
    catalog: Table | str | Path,
    *,
    out: str | Path | None = None,
    regions: str | Path | None = None,
    samples: str | Path | None = None,
    overwrite: bool = False,
    n_samples: int = 500,
    seed: int = 0,
    batch_size: int = 256,
    x: str | None = None,
    y: str | None = None,
    origin: int | None = None,
    units: Mapping[str, str] | None = None,
    zero_points: Mapping[str, float] | None = None,
    allow_no_wcs: bool = False,
    reproject: Literal["auto", "never"] = "auto",
    device: str = "cpu",
    progress: Progress | None = None,
    command: str | None = None,
) -> Table:
    """Measure age, mass and size of every cluster of a catalogue.

    Parameters
    ----------
    model : Estimator, str or Path
        A loaded model, the name of one that comes with the package, or a model's folder.
    images : mapping
        Band name to image: a FITS file, an HDU, ``(array, WCS)`` or an `NDData`. A `Mosaic` that
        was read before is taken as it is.
    catalog : Table, str or Path
        Positions: right ascension and declination, or pixel columns named by `x` and `y`.
    out : path, optional
        Table to write: ``.ecsv``, ``.fits``, ``.vot``, ``.csv`` or ``.parquet``.
    regions : path, optional
        DS9 region file to write: a circle of the median half-light radius for every cluster.
    samples : path, optional
        Posterior draws to write: ``.h5`` or ``.parquet``, float32 (N, n_samples, 3).
    overwrite : bool
        Replace output files that exist.
    n_samples : int
        Posterior draws for every cluster.
    seed : int
        Seed of the draws. They depend on it and on the rows of the catalogue, not on `batch_size`.
    batch_size : int
        Stamps that pass through the network at once.
    x, y : str, optional
        Names of the catalogue's pixel columns; `origin` is then needed.
    origin : int, optional
        Pixel coordinate of the centre of the first pixel: 1 (FITS, DS9) or 0 (numpy).
    units, zero_points, allow_no_wcs, reproject
        How the images are read; see `praesepe.images.read_mosaic`.
    device : str
        Where a model given by name runs: ``"cpu"``, ``"cuda"``.
    progress : callable, optional
        Called with (rows done, all rows): first with none done, then after every batch.
    command : str, optional
        The command line, recorded in the table's metadata.

    Returns
    -------
    astropy.table.Table
        The catalogue's rows in order with its columns, then percentiles 16, 50, 84 of every
        quantity, ``flags``, ``missing_fraction`` and pixel positions. Rows without a measurement
        are masked.

    Raises
    ------
    InputError
        Where an input cannot be used or an output exists; before anything is computed.
    PraesepeError
        Where a file cannot be written. Draws that are complete are kept.
    """
    # imported here, so that a bare GPU node can import this module without astropy
    from praesepe.images.catalogs import read_catalog

    outputs = _check_outputs(out, regions, samples, overwrite=overwrite)
    _check_numbers(n_samples=n_samples, seed=seed, batch_size=batch_size)
    estimator = model if isinstance(model, Estimator) else Estimator.load(model, device=device)
    reading = {
        "units": units,
        "zero_points": zero_points,
        "allow_no_wcs": allow_no_wcs,
        "reproject": reproject,
    }
    mosaic = _read(images, estimator.survey, reading)
    table, x_pixel, y_pixel = read_catalog(catalog, mosaic.wcs, x=x, y=y, origin=origin)
    made_by = provenance(
        estimator,
        command=command or "praesepe.predict",
        seed=int(seed),
        n_samples=int(n_samples),
    )
    keep = (
        open_samples(outputs.samples, len(table), n_samples, made_by)
        if outputs.samples is not None
        else nullcontext()
    )
    measured = _empty_measurements(len(table))
    with keep as sample_file:  # closed before the table is written: then the draws are safe
        if progress is not None:
            progress(0, len(table))
        settings = {"n_samples": n_samples, "seed": seed, "batch_size": batch_size}
        for rows, values, draws in measure(estimator, mosaic, x_pixel, y_pixel, **settings):
            for name, column in values.items():
                measured[name][rows] = column
            if sample_file is not None:
                sample_file.append(draws)
            if progress is not None:
                progress(rows.stop, len(table))
    measured["x"], measured["y"] = x_pixel + 1, y_pixel + 1
    result = _with_measurements(table, measured, made_by)
    _write(result, outputs, overwrite=overwrite)
    return result


def measure(
    estimator: Estimator,
    mosaic: Mosaic,
    x: np.ndarray,
    y: np.ndarray,
    *,
    n_samples: int = 500,
    seed: int = 0,
    batch_size: int = 256,
) -> Iterator[tuple[slice, dict[str, np.ndarray], np.ndarray]]:
    """Cut, infer and summarise block by block, so that memory does not grow with the catalogue.

    Parameters
    ----------
    estimator : Estimator
    mosaic : Mosaic
    x, y : (N,) ndarray
        Zero-based pixel positions on the mosaic.
    n_samples, seed, batch_size : int
        See `predict`.

    Yields
    ------
    rows : slice
        The rows of this block.
    values : dict of (n,) ndarray
        Percentile columns, ``flags`` and ``missing_fraction``; NaN where nothing was measured.
    draws : (n, n_samples, 3) ndarray
        Posterior draws, float32; NaN where nothing was measured.
    """
    from praesepe.images.cutouts import iter_stamps

    size = estimator.survey.stamp_size
    start = 0
    for stamps in iter_stamps(mosaic, x, y, size, ROWS_AT_ONCE):
        rows = slice(start, start + len(stamps.flags))
        values, draws = _measure_block(
            estimator,
            stamps,
            n_samples=n_samples,
            seed=seed,
            first=start,
            batch_size=batch_size,
        )
        yield rows, values, draws
        start = rows.stop


def summarise(samples: np.ndarray, estimator: Estimator) -> dict[str, np.ndarray]:
    """Percentiles of every quantity.

    Parameters
    ----------
    samples : (n, n_samples, 3) ndarray
        Posterior draws of log age, log mass and log r_h.
    estimator : Estimator
        Gives the present mass as a fraction of the initial mass, and the distance.

    Returns
    -------
    dict of (n,) ndarray
        Keys ``log_age_p16`` and so on, for all of `QUANTITIES`.
    """
    log_age, log_mass, log_rh = np.moveaxis(np.asarray(samples, dtype=np.float64), -1, 0)
    log_present = log_mass + np.log10(estimator.present_mass_fraction(log_age))
    drawn = np.stack([log_age, log_mass, log_present, log_rh])  # (quantity, n, n_samples)
    age, mass, present, size = np.moveaxis(np.percentile(drawn, PERCENTILES, axis=-1), 1, 0)
    rh_arcsec = 10**size  # (percentile, n); monotonic, so percentiles stay percentiles
    rh_pc = rh_arcsec * estimator.survey.pc_per_arcsec
    quantities = zip(QUANTITIES, (age, mass, present, rh_arcsec, rh_pc), strict=True)
    return {
        f"{quantity.name}_p{percentile}": values[i]
        for quantity, values in quantities
        for i, percentile in enumerate(PERCENTILES)
    }


def at_prior_edge(low: np.ndarray, high: np.ndarray, survey: Survey) -> np.ndarray:
    """Tell which posteriors reach an edge of the prior, so that the truth may lie beyond it.

    Parameters
    ----------
    low, high : (n, 3) ndarray
        Percentiles 16 and 84 of log age, log mass and log r_h.
    survey : Survey

    Returns
    -------
    (n,) ndarray of bool
        True where one of them lies within 2 % of the prior's range from its edge, or beyond. An
        upper edge at the age of the Universe does not count.
    """
    bottom, top = (bound.double().numpy() for bound in prior_bounds(survey))
    margin = EDGE_FRACTION * (top - bottom)
    beyond = high > top - margin
    if top[0] >= OLDEST_LOG_AGE:
        beyond[..., 0] = False
    return ((low < bottom + margin) | beyond).any(axis=-1)


def _measure_block(
    estimator: Estimator,
    stamps: Stamps,
    *,
    n_samples: int,
    seed: int,
    first: int,
    batch_size: int,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Percentiles, flags and draws of one block of stamps; NaN for those that cannot be used."""
    n = len(stamps.flags)
    flags = np.asarray(stamps.flags, dtype=np.int32).copy()
    values = _empty_measurements(n)
    values["missing_fraction"] = np.asarray(stamps.missing_fraction, dtype=np.float64)
    draws = np.full((n, n_samples, len(PARAMETERS)), np.nan, dtype=np.float32)
    used = np.flatnonzero(stamps.usable)
    if used.size:
        posterior = estimator.predict(
            stamps.images[used],
            n_samples=n_samples,
            seed=seed,
            rows=first + used,
        )
        draws[used] = posterior.samples
        for name, column in summarise(posterior.samples, estimator).items():
            values[name][used] = column
        flags[used] |= _posterior_flags(posterior, estimator)
    values["flags"] = flags
    return values, draws


def _posterior_flags(posterior: Posterior, estimator: Estimator) -> np.ndarray:
    """Flags that follow from the posterior."""
    low, high = posterior.percentile([16, 84])
    edge = at_prior_edge(low, high, estimator.survey)
    strange = np.asarray(posterior.out_of_domain) > 1
    bits = np.where(edge, int(Flag.AT_PRIOR_EDGE), 0) | np.where(
        strange, int(Flag.OUT_OF_DOMAIN), 0
    )
    return bits.astype(np.int32)


def _empty_measurements(n: int) -> dict[str, np.ndarray]:
    """Columns of a table in which nothing has been measured yet."""
    names = [f"{quantity.name}_p{p}" for quantity in QUANTITIES for p in PERCENTILES]
    columns = {name: np.full(n, np.nan) for name in names}
    columns["flags"] = np.zeros(n, dtype=np.int32)
    columns["missing_fraction"] = np.full(n, np.nan)
    return columns


def _with_measurements(
    table: Table, measured: dict[str, np.ndarray], provenance: dict[str, Any]
) -> Table:
    """Append the measured columns to the catalogue, with units, descriptions and metadata."""
    result = table.copy()
    if "x" in result.colnames or "y" in result.colnames:
        measured["x_image"], measured["y_image"] = measured.pop("x"), measured.pop("y")
    taken = sorted(set(result.colnames) & set(measured))
    for name in taken:
        result.rename_column(name, _free_name(f"{name}_in", result.colnames))
    if taken:
        warnings.warn(
            f"the catalogue already has columns {', '.join(taken)}; they are kept, renamed with "
            "'_in' at the end",
            PraesepeWarning,
            stacklevel=3,
        )
    for name, values in measured.items():
        result[name] = _column(name, values)
    result.meta.update(provenance)
    return result


def _free_name(name: str, taken: list[str]) -> str:
    while name in taken:
        name += "_in"
    return name


def _column(name: str, values: np.ndarray) -> Any:
    """One output column, masked where there is no value."""
    from astropy.table import Column, MaskedColumn

    what = _describe(name)
    missing = ~np.isfinite(values)
    data = np.round(values, what.decimals)
    if missing.any():
        return MaskedColumn(data, mask=missing, unit=what.unit, description=what.description)
    return Column(data, unit=what.unit, description=what.description)


def _describe(name: str) -> Quantity:
    """Unit, description and decimals of an output column."""
    for quantity in QUANTITIES:
        stem, _, percentile = name.rpartition("_p")
        if stem == quantity.name:
            return replace(quantity, description=f"{quantity.description}; percentile {percentile}")
    if name == "flags":
        bits = ", ".join(f"{int(flag)} {flag.name}" for flag in Flag)
        return Quantity(name, None, f"sum of {bits}")
    if name == "missing_fraction":
        return Quantity(name, None, "share of the stamp's pixels missing in the worst band")
    return Quantity(name, "pixel", PIXEL, 3)


@dataclass(frozen=True)
class _Outputs:
    """Files to write, checked beforehand."""

    out: Path | None
    regions: Path | None
    samples: Path | None


def _check_outputs(
    out: str | Path | None,
    regions: str | Path | None,
    samples: str | Path | None,
    *,
    overwrite: bool,
) -> _Outputs:
    """Refuse output paths that cannot be written, before anything is computed."""
    from praesepe.images.tables import TABLE_SUFFIXES, check_output

    wanted = ((out, TABLE_SUFFIXES), (regions, (".reg",)), (samples, SAMPLE_SUFFIXES))
    paths = [
        None if path is None else check_output(path, suffixes, overwrite=overwrite)
        for path, suffixes in wanted
    ]
    given = [path.resolve() for path in paths if path is not None]
    if len(set(given)) < len(given):
        raise InputError("the table, the regions and the samples need different paths.")
    return _Outputs(*paths)


def _write(result: Table, outputs: _Outputs, *, overwrite: bool) -> None:
    """Write table and regions; an error names what is on the disk already."""
    from praesepe.images.tables import write_regions, write_table

    written = [] if outputs.samples is None else [f"the draws are kept in {outputs.samples}"]
    try:
        if outputs.out is not None:
            write_table(result, outputs.out, overwrite=overwrite)
            written.append(f"the table is kept in {outputs.out}")
        if outputs.regions is not None:
            radius_arcsec = np.ma.filled(np.ma.asarray(result["rh_arcsec_p50"]), np.nan)
            write_regions(result, outputs.regions, radius_arcsec, overwrite=overwrite)
    except PraesepeError as error:
        if not written:
            raise
        raise PraesepeError(f"{error}; but {', '.join(written)}") from error


def _read(images: Any, survey: Survey, reading: dict[str, Any]) -> Mosaic:
    """Read the images, unless they are a mosaic already."""
    from praesepe.images.mosaic import Mosaic, read_mosaic

    return images if isinstance(images, Mosaic) else read_mosaic(images, survey, **reading)


def provenance(estimator: Estimator, **settings: Any) -> dict[str, Any]:
    """What produced a table or metrics: model, survey, version, date and the given settings."""
    from praesepe import __version__

    return {
        "model": estimator.name,
        "model_version": str(estimator.version),
        "survey": estimator.survey.name,
        "survey_fingerprint": estimator.survey.fingerprint(),
        "praesepe_version": __version__,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **settings,
    }


def _check_numbers(*, n_samples: int, seed: int, batch_size: int) -> None:
    for name, value, least in (
        ("n_samples", n_samples, 1),
        ("seed", seed, 0),
        ("batch_size", batch_size, 1),
    ):
        if value < least:
            raise InputError(f"{name} = {value}: the least that is allowed is {least}.")
