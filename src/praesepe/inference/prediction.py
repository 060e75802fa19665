"""Measure cataloged clusters on mosaics: one row in, one row with percentiles out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np
import torch
from numpy.typing import NDArray

from praesepe.blocks import map_in_threads
from praesepe.errors import InputError, PraesepeError, PraesepeWarning, unknown
from praesepe.files import check_output
from praesepe.images.inputs import Reading, input_files, split_reading
from praesepe.inference.band_choice import fewest_bands, survey_of
from praesepe.inference.classes import make_odds
from praesepe.inference.columns import ModelContext, append_columns
from praesepe.inference.draws import WRITTEN_SUFFIXES, open_samples
from praesepe.inference.light import make_light
from praesepe.inference.measuring import ROWS_AT_ONCE, Sampling, infer_block
from praesepe.inference.priors import Prior, for_catalogs, make_reweighting
from praesepe.inference.result import Result
from praesepe.inference.told import Known, Told, known_of_inferred, tell_model, told_of_inferred
from praesepe.locks import locked
from praesepe.network.estimator import Estimator
from praesepe.progress import Progress
from praesepe.provenance import now, provenance_of
from praesepe.quantities import reported

MOST_WORKERS = 8
"""More would keep many blocks in memory."""

if TYPE_CHECKING:
    from astropy.table import Table

    from praesepe.images.catalog.catalogs import Catalog
    from praesepe.images.mosaic.mosaic import Mosaic


def predict(
    model: Estimator | str | Path,
    images: Mapping[str, Any] | Mosaic,
    catalog: Catalog | Table | str | Path,
    *,
    out: str | Path | None = None,
    regions: str | Path | None = None,
    samples: str | Path | None = None,
    overwrite: bool = False,
    escape_formulas: bool = False,
    n_samples: int = 500,
    seed: int = 0,
    align: bool = False,
    check: bool = True,
    known: Known | None = None,
    prior: Prior | None = None,
    cluster_odds: str | float | None = None,
    magnitudes: str | None = None,
    device: str | None = None,
    keep: Literal["percentiles", "draws"] = "percentiles",
    progress: Progress | None = None,
    command: str | None = None,
    **reading: Unpack[Reading],
) -> Result:
    """Measure every cluster of a catalog: age, mass, size, and whatever else the model infers.

    Parameters
    ----------
    model : Estimator, str or Path
        A loaded model, the name of one that comes with the package, or a model's folder.
    images : mapping or Mosaic
        Band name to image: a FITS file, an HDU, ``(array, WCS)`` or an `NDData`. A `Mosaic` that
        was read before is taken as it is. A model that is told which bands are ``present`` needs
        any two of its bands; of a channel of several cameras, the image's header says which.
    catalog : Table, str, Path or Catalog
        Positions on the sky, or in pixels.
    out : path, optional
        Table to write: ``.ecsv``, ``.fits``, ``.vot``, ``.csv`` or ``.parquet``.
    regions : path, optional
        DS9 region file to write: a circle of the median half-light radius for every cluster.
    samples : path, optional
        Posterior draws to write: ``.parquet`` or ``.zarr``; see `praesepe.inference.draws`.
    overwrite : bool
        Replace output files that exist.
    escape_formulas : bool
        Where `out` is ``.csv``, for spreadsheets: see `praesepe.images.write_table`.
    n_samples : int
        Posterior draws for every cluster.
    seed : int
        Seed of the draws. They depend on it, on the stamp and on the number of the catalog's row.
    align : bool
        Resample bands that are shifted, turned or stretched against the band with most stars, by
        what the stars tell.
    check : bool
        Whether noise, widths and registration of the stars are looked at before, shortly; see
        `praesepe.check`.
    known : mapping, optional
        What is known of the clusters: a value or a column of the catalog, with an error or
        without: ``{"a_v": (0.4, 0.1)}``, ``{"a_v": "AV_CMD"}``. The model is told
        ``foreground_a_v`` and ``distance_pc`` (or ``log_distance``) where it has these conditions.
        Of what it infers, the answer is conditioned on ``a_v`` where its head can be, and draws
        are weighted by what is known of other quantities, which needs an error. An
        extinction in front that is not given is taken as 0, a distance as the middle of those that
        the model was trained with, both with a warning.
    prior : mapping, optional
        What is expected of the clusters in place of the training's prior, by quantity:
        ``"uniform:LOW:HIGH"`` or ``"normal:MEAN:DEVIATION"`` of the quantity,
        ``"exponential:SCALE"`` or ``"power:POWER"`` of the number whose logarithm it may be
        (dN/dM ~ M^-2: ``{"log_mass": "power:-2"}``). Draws are weighted by it. What the model's
        survey has for catalogs (`catalog_prior`) holds where nothing is given; ``"uniform"`` puts
        it off.
    cluster_odds : str or float, optional
        Of a model that tells clusters from what is none: odds of the one against the other before
        the stamp is seen, ``"1:1000"`` or 0.001; 1:1 by default. Those of the training are divided
        out.
    magnitudes : {"AB", "Vega"}, optional
        Whether the table tells the posterior's magnitudes of the whole cluster in every band of
        the model, and in which system: of stars of the age, mass and extinction of each draw,
        behind all dust, at the distance that is told.
    device : str, optional
        Where a model given by name runs: ``"cpu"`` (the default), ``"cuda"``. A loaded model stays
        where it is; another device is refused.
    keep : {"percentiles", "draws"}
        Whether the result holds the draws in memory: 6 kB a cluster with 500 of three quantities.
    progress : callable, optional
        Called with (rows done, all rows): first with none done, then after every batch.
    command : str, optional
        The command line, recorded in the table's metadata.
    **reading
        How images and catalog are read: `units`, `zero_points`, `hdu`, `allow_no_wcs` and
        `reproject` of `praesepe.images.Mosaic.read`; `ra`, `dec`, `x`, `y`, `origin`, `columns` and
        `pixels_of` of `praesepe.images.Catalog.read`.

    Returns
    -------
    Result
        The table: the catalog's rows in order with its columns, then percentiles 16, 50, 84 of
        every quantity, ``flags``, ``missing_fraction`` and the pixel positions on the image that
        the metadata name under ``pixels_of``; rows without a measurement are masked. With it the
        model, the mosaic and what else is needed for figures and densities.

    Raises
    ------
    InputError
        Where an input cannot be used or an output exists; before anything is computed.
    PraesepeError
        Where a file cannot be written. Draws that are complete are kept.
    """
    # imported here, so that a bare GPU node can import this module without astropy
    from praesepe.images.catalog.catalogs import Catalog
    from praesepe.images.mosaic.band_images import refuse_copies
    from praesepe.images.mosaic.mosaic import Mosaic
    from praesepe.inference.check.alignment import prepared

    if keep not in ("percentiles", "draws"):
        raise unknown("value of keep", str(keep), ("percentiles", "draws"))
    of_images, of_catalog = split_reading(predict, reading, catalog)
    inputs = tuple(input_files(model, images, catalog))
    out, regions, samples = _checked_outputs(
        out, regions, samples, overwrite=overwrite, inputs=inputs
    )
    with locked(out, regions, samples):
        estimator = Estimator.load(model, device=device)
        weighting = make_reweighting(estimator, for_catalogs(estimator, prior or {}))
        odds = make_odds(estimator, cluster_odds)
        light = make_light(estimator, magnitudes)
        sampling = Sampling(estimator.infers, n_samples, seed, weighting, odds, light)
        seen = survey_of(estimator, images, of_images.get("hdu"))
        mosaic = Mosaic.read(images, seen, **of_images)
        refuse_copies(mosaic.bands)
        measured = None
        if check or align:
            mosaic, measured = prepared(mosaic, align=align)
        clusters = Catalog.read(catalog, **of_catalog)
        told = tell_model(estimator, mosaic, measured, known or {}, clusters.table)
        of_inferred = known_of_inferred(estimator, known or {}, clusters.table)
        sampling = sampling.knowing(of_inferred, estimator.leading)
        positions = clusters.on(mosaic)
        made_by = _made_by(estimator, mosaic, clusters, sampling, command, told)
        _say_before(clusters, sampling, estimator, made_by, out, escape_formulas)
        values, std, draws = _measured(
            estimator, mosaic, clusters, positions, sampling, told,
            made_by=made_by, samples=samples, keep=keep == "draws", progress=progress,
        )  # fmt: skip
        table, _ = _table(clusters, values, sampling, made_by)
        result = Result(
            table, std, estimator, mosaic, clusters, sampling, told, positions, draws, measured,
            inputs,
        )  # fmt: skip
        _save(result, out, regions, samples, overwrite=overwrite, escape_formulas=escape_formulas)
        return result


def _made_by(
    model: Estimator,
    mosaic: Mosaic,
    clusters: Catalog,
    sampling: Sampling,
    command: str | None,
    told: Told,
) -> dict[str, Any]:
    """What the table's metadata say of its origin."""
    all_told = told.meta | told_of_inferred(sampling.conditioned, "given")
    all_told |= told_of_inferred(sampling.weighting.known, "given, by weights")
    return provenance_of(
        model.survey,
        model=model,
        date=now(),
        command=command or "praesepe.predict",
        seed=int(sampling.seed),
        n_samples=int(sampling.n_samples),
        pixels_of=mosaic.band(clusters.pixels_of or mosaic.pixel_band).label,
        images={name: band.taken for name, band in mosaic.bands.items() if band.taken},
        prior=sampling.weighting.meta,
        **({"told": all_told} if all_told else {}),
        **({"cluster_odds": str(sampling.odds)} if sampling.odds else {}),
        **({"magnitudes": sampling.light.system} if sampling.light else {}),
        **({"r_v": ModelContext(model).r_v} if "a_v" in sampling.infers else {}),
    )


def _table(
    clusters: Catalog,
    values: Mapping[str, NDArray[Any]],
    sampling: Sampling,
    made_by: Mapping[str, Any],
) -> tuple[Table, list[str]]:
    """The catalog with the measured columns and what they came from; which columns were renamed."""
    table = clusters.table.copy()
    notes = append_columns(table, values, sampling.described)
    clash = {key for key in table.meta if str(key).lower() in made_by}  # FITS knows no case
    table.meta = {key: value for key, value in table.meta.items() if key not in clash}
    table.meta |= made_by
    return table, notes


def _say_before(
    clusters: Catalog,
    sampling: Sampling,
    model: Estimator,
    made_by: Mapping[str, Any],
    out: Path | None,
    escape_formulas: bool,
) -> None:
    """Say what becomes of the catalog's columns, and refuse what the output cannot hold."""
    from praesepe.images.catalog.tables import check_fit

    nothing = sampling.empty(len(clusters))
    nothing |= dict.fromkeys("xy", nothing["missing_fraction"])
    table, notes = _table(clusters, nothing, sampling, made_by)
    derived = {q.name for q in reported(sampling.infers)} - set(sampling.infers)
    known_distance = "log_distance" in made_by.get("told", {})
    if model.survey.varies_in_distance and "rh_pc" in derived and not known_distance:
        low, high = model.survey.distance_range_pc
        notes.append(
            f"survey {model.survey.name!r} has distances from {low:g} to {high:g} pc: sizes in "
            "pc are left empty; multiply rh_arcsec by the distance of each cluster"
        )
    for note in notes:
        warnings.warn(note, PraesepeWarning, stacklevel=3)
    if out is not None:
        check_fit(table, out, escape_formulas=escape_formulas)


def _measured(
    model: Estimator,
    mosaic: Mosaic,
    clusters: Catalog,
    positions: tuple[NDArray[np.float64], NDArray[np.float64]],
    sampling: Sampling,
    told: Told,
    *,
    made_by: Mapping[str, Any],
    samples: Path | None,
    keep: bool,
    progress: Progress | None,
) -> tuple[dict[str, NDArray[Any]], NDArray[np.float32], NDArray[np.float32] | None]:
    """Columns, standard deviations and, where they are kept, draws of all rows."""
    from praesepe.images.mosaic.cutouts import iter_stamps

    n, infers = len(clusters), sampling.infers
    values = sampling.empty(n)
    shown = mosaic.to_image(clusters.pixels_of or mosaic.pixel_band, *positions)
    for name, pixel in zip("xy", shown, strict=True):
        values[name] = np.where(np.isfinite(pixel), pixel + 1, np.nan)
    std = np.full((n, len(infers)), np.nan, np.float32)
    draws = np.empty((n, sampling.n_samples, len(infers)), np.float32) if keep else None
    to_file = (
        open_samples(samples, _identities(clusters, values), infers, sampling.n_samples, made_by)
        if samples is not None
        else nullcontext()
    )
    with to_file as append:  # closed before the table is written: then the draws are safe
        if progress is not None:
            progress(0, n)
        size, fewest = model.survey.stamp_size, fewest_bands(model)
        cut = iter_stamps(mosaic, *positions, size, ROWS_AT_ONCE, fewest_bands=fewest)
        starts = range(0, n, ROWS_AT_ONCE)
        blocks = map_in_threads(
            lambda at: infer_block(model, at[1], told, sampling, at[0]),
            zip(starts, cut, strict=True),
            _workers(model, len(starts)),
        )
        for start, block in zip(starts, blocks, strict=True):
            rows = slice(start, start + len(block.std))
            done = rows.stop
            for name, column in block.values.items():
                values[name][rows] = column
            std[rows] = block.std
            if draws is not None:
                draws[rows] = block.draws
            if append is not None:
                append(block.draws)
            if progress is not None:
                progress(done, n)
    return values, std, draws


def _workers(model: Estimator, blocks: int) -> int:
    """Threads that measure blocks side by side, each with its share of torch's threads."""
    most = torch.get_num_threads() if model.device.type == "cpu" else 1
    return max(1, min(most, blocks, MOST_WORKERS))


def _identities(clusters: Catalog, values: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Which cluster is which in a file of draws: number, identifier and position."""
    found: dict[str, NDArray[Any]] = {"row": np.arange(len(clusters))}
    name = clusters.id_column
    if name is not None:
        column = np.ma.asarray(clusters.table[name])
        plain = column.dtype.kind in "iu" and not np.ma.is_masked(column)
        found["id"] = (
            np.asarray(column)
            if plain
            else np.array(["" if v is np.ma.masked else str(v) for v in column])
        )
    if clusters.sky is not None:
        found["ra"], found["dec"] = clusters.sky
    return {**found, "x": values["x"], "y": values["y"]}


def _checked_outputs(
    *paths: str | Path | None, overwrite: bool, inputs: Sequence[Path]
) -> list[Path | None]:
    """Refuse paths of table, regions and samples that cannot be written, before the work."""
    from praesepe.images.catalog.tables import TABLE_SUFFIXES

    wanted = zip(paths, (TABLE_SUFFIXES, (".reg",), WRITTEN_SUFFIXES), strict=True)
    checked = [
        p if p is None else check_output(p, s, overwrite=overwrite, inputs=inputs)
        for p, s in wanted
    ]
    given = [path.resolve() for path in checked if path is not None]
    if len(set(given)) < len(given):
        message = "the table, the regions and the samples have the same path"
        raise InputError(message, given=given, remedy="give different ones")
    return checked


def _save(
    result: Result, out: Path | None, regions: Path | None, samples: Path | None, **how: bool
) -> None:
    """Write table and regions; an error names what is on the disk already."""
    kept = [] if samples is None else [f"the draws are kept in {samples}"]
    try:
        for path in (out, regions):
            if path is None:
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", PraesepeWarning)  # said before the work
                result.save(path, **how)
            kept.append(f"the table is kept in {path}")
    except PraesepeError as error:
        if not kept:
            raise
        raise PraesepeError(f"{error}; but {', '.join(kept)}") from error
