"""Files of posterior draws, written block by block: Parquet, one row a cluster.

The columns are ``row`` (number of the catalogue's row, from 0), ``id`` (the catalogue's own name or
number of the cluster, where it has one), ``ra`` and ``dec`` (where it has sky positions), ``x`` and
``y`` (as in the table), and for each quantity a list of `n_samples` numbers: the draws, in the
order in which they belong together, in the units of the table. The file's metadata hold JSON under
the key ``praesepe``: model, version, seed, and the quantities with their units.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from praesepe import quantities
from praesepe.errors import InputError, MissingDependencyError, listed
from praesepe.files import atomic
from praesepe.lazy import extras
from praesepe.quantities import DEFAULT_INFERRED, Quantity, reported

WRITTEN_SUFFIXES = (".parquet",)
SAMPLE_SUFFIXES = (*WRITTEN_SUFFIXES, ".h5", ".hdf5")
"""Endings of the files that can be read; HDF5 is what earlier versions wrote."""


@dataclass(frozen=True)
class DrawnAs:
    """How the draws of an inferred quantity are stored: as the table tells it.

    Attributes
    ----------
    inferred : Quantity
        What the model infers, such as ``log_rh``.
    stored : Quantity
        What the column holds: the same, or its linear form, ``rh_arcsec``, where the table has it.
    """

    inferred: Quantity
    stored: Quantity

    def encode(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """From inferred values to stored ones."""
        if self.stored is not self.inferred:
            values = 10 ** np.asarray(values, np.float64)
        return np.ascontiguousarray(values, np.float32)


def stored_as(infers: Sequence[str]) -> tuple[DrawnAs, ...]:
    """How the draws of the quantities that a model infers are stored."""
    told = {quantity.name: quantity for quantity in reported(infers)}
    inferred = [quantities.get(name) for name in infers]
    return tuple(DrawnAs(q, q if q.name in told else told[q.linear]) for q in inferred)


class SampleFile:
    """A file to which draws can be appended; made by `open_samples`."""

    def __init__(
        self,
        path: Path,
        rows: Mapping[str, NDArray[Any]],
        infers: Sequence[str],
        n_samples: int,
        metadata: Mapping[str, Any],
    ) -> None:
        pa, pq = _pyarrow()
        self._n_samples, self._next = n_samples, 0
        self._columns = stored_as(infers)
        self._rows = {name: pa.array(np.asarray(values)) for name, values in rows.items()}
        fields = [pa.field(name, values.type) for name, values in self._rows.items()]
        fields += [
            pa.field(
                column.stored.name,
                pa.list_(pa.float32(), n_samples),
                metadata={"unit": column.stored.unit, "description": column.stored.description},
            )
            for column in self._columns
        ]
        described = [
            {"name": c.stored.name, "unit": c.stored.unit, "description": c.stored.description}
            for c in self._columns
        ]
        content = {**metadata, "infers": list(infers), "quantities": described}
        self._schema = pa.schema(fields, metadata={"praesepe": json.dumps(content, default=str)})
        self._file = pq.ParquetWriter(path, self._schema)

    def append(self, draws: NDArray[Any]) -> None:
        """Append draws (n, n_samples, quantity) of the next n clusters."""
        pa, _ = _pyarrow()
        start, self._next = self._next, self._next + len(draws)
        rows = [values[start : self._next] for values in self._rows.values()]
        lists = [
            pa.FixedSizeListArray.from_arrays(
                pa.array(column.encode(values).ravel()), self._n_samples
            )
            for column, values in zip(self._columns, np.moveaxis(draws, -1, 0), strict=True)
        ]
        self._file.write_table(pa.Table.from_arrays([*rows, *lists], schema=self._schema))

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


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
        Ends in ``.parquet``.
    rows : mapping of str to ndarray
        Columns that say which cluster is which: one value for each.
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
    with atomic(Path(path).expanduser()) as part:
        file = SampleFile(part, rows, infers, n_samples, metadata)
        try:
            yield file
        finally:
            file.close()


def read_samples(path: str | Path) -> NDArray[np.float32]:
    """Read draws written by `predict`.

    Parameters
    ----------
    path : str or Path
        ``.parquet``, or ``.h5`` of an earlier version.

    Returns
    -------
    ndarray of float32, shape (N, n_samples, quantity)
        In the order of the catalogue's rows and of what the model infers: log age, log mass and
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
    if not path.is_file():
        raise InputError(f"no file of draws at {path}", given=path)
    try:
        return _read_parquet(path) if suffix in WRITTEN_SUFFIXES else _read_hdf5(path)
    except (InputError, MissingDependencyError):
        raise
    except Exception as error:  # the readers' libraries raise many kinds
        raise InputError(
            f"{path} is no file of draws, or a damaged one: {error}",
            given=path,
            remedy="measure the clusters again",
        ) from error


def _read_parquet(path: Path) -> NDArray[np.float32]:
    _, pq = _pyarrow()
    table = pq.read_table(path)
    content = json.loads((table.schema.metadata or {}).get(b"praesepe", b"{}"))
    columns = []
    for name in content.get("infers", DEFAULT_INFERRED):
        if name in table.column_names:
            columns.append(_flat(table[name]))
        else:  # stored in its linear form
            columns.append(np.log10(_flat(table[quantities.get(name).linear]), dtype=np.float64))
    flat = np.stack(columns, axis=-1).astype(np.float32)
    return flat.reshape(table.num_rows, -1, len(columns))


def _flat(column: Any) -> NDArray[Any]:
    """All numbers of a column of lists, one after the other."""
    values: NDArray[Any] = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return values


def _read_hdf5(path: Path) -> NDArray[np.float32]:
    with extras():
        import h5py
    with h5py.File(path, "r") as file:
        return np.asarray(file["samples"][:], np.float32)


def _pyarrow() -> tuple[Any, Any]:
    with extras():
        import pyarrow
        import pyarrow.parquet
    return pyarrow, pyarrow.parquet
