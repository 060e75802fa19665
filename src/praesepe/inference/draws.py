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
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from praesepe import quantities
from praesepe.errors import InputError, MissingDependencyError, listed
from praesepe.files import atomic
from praesepe.inference.columns import PIXEL
from praesepe.lazy import extras
from praesepe.quantities import DEFAULT_INFERRED, Quantity, reported

WRITTEN_SUFFIXES = (".parquet", ".zarr")
SAMPLE_SUFFIXES = (*WRITTEN_SUFFIXES, ".h5", ".hdf5")
"""Endings of the files that can be read; HDF5 is what earlier versions wrote."""

IDENTITY = {
    "row": ("", "number of the catalog's row, from 0"),
    "id": ("", "the catalog's own name or number"),
    "ra": ("deg", "right ascension in the catalog (ICRS)"),
    "dec": ("deg", "declination in the catalog (ICRS)"),
    "x": ("pixel", PIXEL),
    "y": ("pixel", PIXEL),
}
"""Unit and description of the columns that say which cluster is which; some may be absent."""

ZARR_CHUNK = 256
"""Rows in a compressed chunk: half a megabyte with 500 draws."""


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


class SampleFile:
    """A file to which draws can be appended; made by `open_samples`."""

    def __init__(self, infers: Sequence[str]) -> None:
        self._stored = stored_as(infers)
        self._next = 0

    def append(self, draws: NDArray[Any]) -> None:
        """Append draws (n, n_samples, quantity) of the next n clusters."""
        rows = slice(self._next, self._next + len(draws))
        columns = {}
        axes = np.moveaxis(draws, -1, 0)
        for (name, stored), values in zip(self._stored.items(), axes, strict=True):
            if stored.name != name:
                values = 10 ** values.astype(np.float64)
            columns[stored.name] = np.ascontiguousarray(values, np.float32)
        self._write(rows, columns)
        self._next = rows.stop

    def _write(self, rows: slice, columns: Mapping[str, NDArray[np.float32]]) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Finish the file."""


class _ParquetFile(SampleFile):
    def __init__(
        self,
        path: Path,
        rows: Mapping[str, NDArray[Any]],
        infers: Sequence[str],
        n_samples: int,
        about: Mapping[str, Any],
    ) -> None:
        super().__init__(infers)
        pa, pq = _pyarrow()
        self._arrow = pa
        self._n_samples = n_samples
        self._rows = {name: pa.array(values) for name, values in rows.items()}
        types = {name: (values.type, *IDENTITY[name]) for name, values in self._rows.items()}
        draws = pa.list_(pa.float32(), n_samples)
        types |= {q.name: (draws, q.unit, q.description) for q in self._stored.values()}
        fields = [
            pa.field(name, kind, metadata={"unit": unit, "description": description})
            for name, (kind, unit, description) in types.items()
        ]
        self._schema = pa.schema(fields, metadata={"praesepe": json.dumps(about)})
        self._file = pq.ParquetWriter(path, self._schema)

    def _write(self, rows: slice, columns: Mapping[str, NDArray[np.float32]]) -> None:
        pa = self._arrow
        told = [values[rows] for values in self._rows.values()]
        lists = [
            pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), self._n_samples)
            for values in columns.values()
        ]
        self._file.write_table(pa.Table.from_arrays([*told, *lists], schema=self._schema))

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class _ZarrFile(SampleFile):
    def __init__(
        self,
        path: Path,
        rows: Mapping[str, NDArray[Any]],
        infers: Sequence[str],
        n_samples: int,
        about: Mapping[str, Any],
    ) -> None:
        super().__init__(infers)
        with extras():
            import zarr
        root = zarr.create_group(path, zarr_format=3, attributes={"praesepe": dict(about)})
        for name, values in rows.items():
            unit, description = IDENTITY[name]
            text = values.dtype.kind not in "iuf"
            column = root.create_array(
                name,
                shape=values.shape,
                dtype="string" if text else values.dtype,
                attributes={"unit": unit, "description": description},
                dimension_names=("cluster",),
            )
            column[:] = values.astype(object) if text else values
        n = len(rows["row"])
        self._arrays = {
            q.name: root.create_array(
                q.name,
                shape=(n, n_samples),
                chunks=(min(ZARR_CHUNK, n), n_samples),
                dtype="float32",
                attributes={"unit": q.unit, "description": q.description},
                dimension_names=("cluster", "draw"),
            )
            for q in self._stored.values()
        }

    def _write(self, rows: slice, columns: Mapping[str, NDArray[np.float32]]) -> None:
        for name, values in columns.items():
            self._arrays[name][rows] = values


@contextlib.contextmanager
def open_samples(
    path: str | Path,
    rows: Mapping[str, NDArray[Any]],
    infers: Sequence[str],
    n_samples: int,
    metadata: Mapping[str, Any],
) -> Iterator[SampleFile]:
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
    SampleFile

    Raises
    ------
    PraesepeError
        Where the disk is full.
    """
    path = Path(path).expanduser()
    described = [
        {"name": q.name, "unit": q.unit, "description": q.description}
        for q in stored_as(infers).values()
    ]
    about = {**metadata, "infers": list(infers), "quantities": described}
    about = json.loads(json.dumps(about, default=str))  # what JSON can hold
    kind = _ZarrFile if path.suffix.lower() == ".zarr" else _ParquetFile
    with atomic(path) as part:
        file = kind(part, rows, infers, n_samples, about)
        try:
            yield file
        finally:
            file.close()


def read_samples(path: str | Path) -> NDArray[np.float32]:
    """Read draws written by `predict`.

    Parameters
    ----------
    path : str or Path
        ``.parquet``, ``.zarr``, or ``.h5`` of an earlier version.

    Returns
    -------
    ndarray of float32, shape (N, n_samples, quantity)
        In the order of the catalog's rows and of what the model infers: log age, log mass and
        log r_h [dex(arcsec)] for a model of these.

    Raises
    ------
    InputError
        Where the file is missing, damaged, or holds no draws.
    """
    path = Path(path).expanduser()
    suffix = path.suffix.lower()
    if suffix not in SAMPLE_SUFFIXES:
        raise InputError(
            f"{path}: draws are kept in {listed(SAMPLE_SUFFIXES, 'or')} files",
            given=suffix,
            allowed=SAMPLE_SUFFIXES,
        )
    if not path.exists():
        raise InputError(f"no file of draws at {path}", given=path)
    readers: dict[str, Callable[[Path], NDArray[Any]]] = {
        ".parquet": _read_parquet,
        ".zarr": _read_zarr,
    }
    try:
        return readers.get(suffix, _read_hdf5)(path).astype(np.float32, copy=False)
    except (InputError, MissingDependencyError):
        raise
    except Exception as error:  # the readers' libraries raise many kinds
        raise InputError(
            f"{path} is no file of draws, or a damaged one: {error}",
            given=path,
            remedy="measure the clusters again",
        ) from error


def _read_parquet(path: Path) -> NDArray[Any]:
    _, pq = _pyarrow()
    table = pq.read_table(path)
    about = json.loads((table.schema.metadata or {}).get(b"praesepe", b"{}"))

    def column(name: str) -> NDArray[Any]:
        flat = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return np.asarray(flat).reshape(table.num_rows, -1)

    return _joined(about, column)


def _read_zarr(path: Path) -> NDArray[Any]:
    with extras():
        import zarr
    root: Any = zarr.open_group(path, mode="r")
    return _joined(root.attrs["praesepe"], lambda name: np.asarray(root[name][:]))


def _joined(about: Mapping[str, Any], column: Callable[[str], NDArray[Any]]) -> NDArray[Any]:
    """Draws of the inferred quantities (N, n_samples, quantity) from the columns of a file."""
    stored = stored_as(about.get("infers", DEFAULT_INFERRED))
    columns = {name: column(q.name) for name, q in stored.items()}
    with np.errstate(invalid="ignore"):
        axes = [
            values if stored[name].name == name else np.log10(values, dtype=np.float64)
            for name, values in columns.items()
        ]
    return np.stack(axes, axis=-1)


def _read_hdf5(path: Path) -> NDArray[Any]:
    with extras():
        import h5py
    with h5py.File(path, "r") as file:
        return np.asarray(file["samples"][:])


def _pyarrow() -> tuple[Any, Any]:
    with extras():
        import pyarrow
        import pyarrow.parquet
    return pyarrow, pyarrow.parquet
