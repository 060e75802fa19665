"""Files of posterior draws, written block by block: Parquet or Zarr, one row a cluster.

The columns (in Zarr: arrays) are those of `IDENTITY`, which say which cluster is which, and for
each quantity the draws, `n_samples` numbers a row, in the order in which they belong together,
in the units of the table. Every column has a unit and a description. Model, version, seed and the
quantities lie under the key ``praesepe`` of the metadata (in Zarr: of the group's attributes).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from praesepe import quantities
from praesepe.errors import InputError, PraesepeError, bad_suffix, listed, unusable
from praesepe.files import as_path, atomic
from praesepe.inference.columns import PIXEL
from praesepe.lazy import extras
from praesepe.links import hdf5_links, refuse_links
from praesepe.quantities import DEFAULT_INFERRED, Quantity, reported

WRITTEN_SUFFIXES = (".parquet", ".zarr")
SAMPLE_SUFFIXES = (*WRITTEN_SUFFIXES, ".h5", ".hdf5")
"""Endings of the files that can be read; HDF5 is what earlier versions wrote."""

IDENTITY: dict[str, dict[str, Any]] = {
    name: {"unit": unit, "description": description}
    for name, unit, description in (
        ("row", "", "number of the catalog's row, from 0"),
        ("id", "", "the catalog's own name or number"),
        ("ra", "deg", "right ascension in the catalog (ICRS)"),
        ("dec", "deg", "declination in the catalog (ICRS)"),
        ("x", "pix", PIXEL),
        ("y", "pix", PIXEL),
    )
}
"""Unit and description of the columns that say which cluster is which; some may be absent."""

Append: TypeAlias = Callable[[NDArray[Any]], None]
Write: TypeAlias = Callable[[slice, Mapping[str, NDArray[np.float32]]], None]

ZARR_CHUNK = 256
"""Rows in a compressed chunk: half a megabyte with 500 draws."""


@dataclass(frozen=True)
class _Contents:
    """What a file of draws holds beside the draws themselves; see `open_samples`."""

    rows: Mapping[str, NDArray[Any]]
    described: Mapping[str, Mapping[str, Any]]
    n_samples: int
    about: Mapping[str, Any]


def stored_as(infers: Sequence[str]) -> dict[str, Quantity]:
    """What a file holds of each inferred quantity.

    Parameters
    ----------
    infers : sequence of str
        Names of quantities.

    Returns
    -------
    dict of str to Quantity
        By inferred name: the quantity itself, or its linear form (``rh_arcsec`` for ``log_rh``)
        where the table has that.
    """
    in_table = {quantity.name: quantity for quantity in reported(infers)}
    return {name: in_table.get(name) or in_table[quantities.get(name).linear] for name in infers}


@contextlib.contextmanager
def open_samples(
    path: str | Path,
    rows: Mapping[str, NDArray[Any]],
    infers: Sequence[str],
    n_samples: int,
    metadata: Mapping[str, Any],
) -> Iterator[Append]:
    """Open a file for draws; it appears under its name only when all is written.

    Parameters
    ----------
    path : str or Path
        Ends in ``.parquet`` or ``.zarr``.
    rows : mapping of str to ndarray
        Columns of `IDENTITY`, one value for each cluster; ``row`` at least.
    infers : sequence of str
        What the model infers, in the order of the draws' last axis.
    n_samples : int
        Draws of each cluster.
    metadata : mapping
        Written into the file as JSON.

    Yields
    ------
    callable
        Called with the draws (n, n_samples, quantity) of the next n clusters, it appends them.

    Raises
    ------
    PraesepeError
        Where the disk is full.
    """
    path, stored = as_path(path), stored_as(infers)
    described = {
        q.name: {"unit": _as_in_tables(q.unit), "description": q.description}
        for q in stored.values()
    }
    about = {
        **metadata,
        "infers": list(infers),
        "quantities": [{"name": name, **told} for name, told in described.items()],
    }
    about = json.loads(json.dumps(about, default=str))  # what JSON can hold
    writer = _zarr if path.suffix.lower() == ".zarr" else _parquet
    held, done = _Contents(rows, described, n_samples, about), 0
    with atomic(path) as part, writer(part, held) as write:

        def append(draws: NDArray[Any]) -> None:
            nonlocal done
            columns = {}
            for (name, q), values in zip(stored.items(), np.moveaxis(draws, -1, 0), strict=True):
                shown = values if q.name == name else 10 ** values.astype(np.float64)
                columns[q.name] = np.ascontiguousarray(shown, np.float32)
            write(slice(done, done + len(draws)), columns)
            done += len(draws)

        yield append


@contextlib.contextmanager
def _parquet(path: Path, held: _Contents) -> Iterator[Write]:
    pa, pq = _pyarrow()
    names = {name: pa.array(values) for name, values in held.rows.items()}
    types = {name: (values.type, IDENTITY[name]) for name, values in names.items()}
    types |= {
        name: (pa.list_(pa.float32(), held.n_samples), dict(d))
        for name, d in held.described.items()
    }
    fields = [pa.field(name, kind, metadata=dict(d)) for name, (kind, d) in types.items()]
    schema = pa.schema(fields, metadata={"praesepe": json.dumps(held.about)})
    with pq.ParquetWriter(path, schema) as file:

        def write(part: slice, columns: Mapping[str, NDArray[np.float32]]) -> None:
            lists = [
                pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), held.n_samples)
                for values in columns.values()
            ]
            known = [values[part] for values in names.values()]
            file.write_table(pa.Table.from_arrays([*known, *lists], schema=schema))

        yield write


@contextlib.contextmanager
def _zarr(path: Path, held: _Contents) -> Iterator[Write]:
    with extras():
        import zarr
    root = zarr.create_group(path, zarr_format=3, attributes={"praesepe": dict(held.about)})
    for name, values in held.rows.items():
        is_text = values.dtype.kind not in "iuf"
        column = root.create_array(
            name,
            shape=values.shape,
            dtype="string" if is_text else values.dtype,
            attributes=IDENTITY[name],
            dimension_names=("cluster",),
        )
        column[:] = values.astype(object) if is_text else values
    n = len(held.rows["row"])
    arrays = {
        name: root.create_array(
            name,
            shape=(n, held.n_samples),
            chunks=(min(ZARR_CHUNK, n), held.n_samples),
            dtype="float32",
            attributes=dict(d),
            dimension_names=("cluster", "draw"),
        )
        for name, d in held.described.items()
    }

    def write(part: slice, columns: Mapping[str, NDArray[np.float32]]) -> None:
        for name, values in columns.items():
            arrays[name][part] = values

    yield write


@dataclass(frozen=True, eq=False, repr=False)
class Samples:
    """Draws that `predict` wrote, and which clusters they are of.

    Attributes
    ----------
    values : ndarray of float32, shape (n, n_samples, quantity)
        In the order of the catalog's rows and of what the model infers: log age, log mass and
        log r_h [dex(arcsec)] for a model of these. NaN where nothing was measured.
    infers : tuple of str
        Names of the quantities.
    clusters : dict of str to ndarray, each of shape (n,)
        Those columns of `IDENTITY` that the file holds: ``row``, ``id``, positions; none in files
        of earlier versions.
    meta : dict of str to object
        Model, version, seed and what else the file says of itself.
    """

    values: NDArray[np.float32]
    infers: tuple[str, ...]
    clusters: dict[str, NDArray[Any]]
    meta: dict[str, Any]

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        n, n_samples = self.values.shape[:2]
        return f"<Samples: {n_samples} draws of {listed(self.infers)} of each of {n} clusters>"


def read_samples(path: str | Path) -> Samples:
    """Read draws written by `predict`.

    Parameters
    ----------
    path : str or Path
        ``.parquet``, ``.zarr``, or ``.h5`` of an earlier version.

    Returns
    -------
    Samples

    Raises
    ------
    InputError
        Where the file is missing, damaged, or holds no draws.
    """
    path = as_path(path)
    suffix = path.suffix.lower()
    if suffix not in SAMPLE_SUFFIXES:
        raise bad_suffix(path, SAMPLE_SUFFIXES)
    if not path.exists():
        raise InputError(f"no file of draws at {path}", given=path, remedy="correct its path")
    read = {".parquet": _read_parquet, ".zarr": _read_zarr}.get(suffix, _read_hdf5)
    try:
        return read(path)
    except PraesepeError:
        raise
    except Exception as error:  # the readers' libraries raise many kinds
        fault = "is no file of draws, or a damaged one"
        raise unusable(path, fault, "measure the clusters again") from error


def _read_parquet(path: Path) -> Samples:
    _, pq = _pyarrow()
    table = pq.read_table(path)
    about = json.loads((table.schema.metadata or {}).get(b"praesepe", b"{}"))

    def column(name: str) -> NDArray[Any]:
        values = table[name].combine_chunks()
        if name in IDENTITY:
            return np.asarray(values.to_numpy(zero_copy_only=False))
        flat = values.flatten().to_numpy(zero_copy_only=False)
        return np.asarray(flat).reshape(table.num_rows, -1)

    return _joined(about, column, table.column_names)


def _read_zarr(path: Path) -> Samples:
    with extras():
        import zarr
    root: Any = zarr.open_group(path, mode="r", zarr_format=3)
    return _joined(
        root.attrs["praesepe"], lambda name: np.asarray(root[name][:]), list(root.array_keys())
    )


def _joined(
    about: Mapping[str, Any], column: Callable[[str], NDArray[Any]], names: Sequence[str]
) -> Samples:
    """The draws of the inferred quantities from the columns of a file."""
    stored = stored_as(about.get("infers", DEFAULT_INFERRED))
    columns = {name: column(q.name) for name, q in stored.items()}
    with np.errstate(invalid="ignore"):
        axes = [
            values if stored[name].name == name else np.log10(values, dtype=np.float64)
            for name, values in columns.items()
        ]
    values = np.stack(axes, axis=-1).astype(np.float32, copy=False)
    clusters = {name: column(name) for name in IDENTITY if name in names}
    return Samples(values, tuple(stored), clusters, dict(about))


def _read_hdf5(path: Path) -> Samples:
    with extras():
        import h5py
    with h5py.File(path, "r") as file:
        refuse_links(path.name, hdf5_links(file, "samples"))
        values = np.asarray(file["samples"][:], np.float32)
    return Samples(values, DEFAULT_INFERRED, {}, {})


def _as_in_tables(unit: str) -> str:
    """A unit as astropy's tables write it."""
    return unit.replace("Msun", "solMass")


def _pyarrow() -> tuple[Any, Any]:
    with extras():
        import pyarrow
        import pyarrow.parquet
    return pyarrow, pyarrow.parquet
