"""Files of posterior draws, written block by block: HDF5 or Parquet, (cluster, draw, parameter)."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from praesepe.errors import InputError
from praesepe.parameters import PARAMETER_NAMES, PARAMETERS

SAMPLE_SUFFIXES = (".h5", ".hdf5", ".parquet")


class SampleFile(Protocol):
    """A file to which draws can be appended."""

    def append(self, draws: np.ndarray) -> None:
        """Append draws (n, n_samples, 3) of the next n clusters."""


@contextlib.contextmanager
def open_samples(
    path: str | Path, n_clusters: int, n_samples: int, metadata: Mapping[str, str | int]
) -> Iterator[SampleFile]:
    """Open a file for draws; it appears under its name only when all is written.

    Parameters
    ----------
    path : str or Path
        ``.h5``: data set ``samples``, float32 (n_clusters, n_samples, 3), compact and quick to
        slice. ``.parquet``: column ``row`` and, for each parameter, a list of n_samples numbers.
    n_clusters, n_samples : int
    metadata : mapping
        Written as attributes of the file.

    Yields
    ------
    SampleFile
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    writer = _Parquet if path.suffix == ".parquet" else _HDF5
    try:
        target = writer(part, n_clusters, n_samples, metadata)
        try:
            yield target
        finally:
            target.close()
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_samples(path: str | Path) -> np.ndarray:
    """Read draws written by `predict`.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    (N, n_samples, 3) ndarray
        Float32: log age, log mass and log r_h, in the order of the catalogue's rows.
    """
    path = Path(path)
    if path.suffix not in SAMPLE_SUFFIXES:
        raise InputError(f"{path}: draws are kept in {', '.join(SAMPLE_SUFFIXES)} files.")
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        columns = [_flat(table[name]) for name in PARAMETER_NAMES]
        return np.stack(columns, axis=-1).reshape(table.num_rows, -1, len(columns))
    import h5py

    with h5py.File(path, "r") as file:
        return file["samples"][:]


def _flat(column: Any) -> np.ndarray:
    """All numbers of a column of lists, one after the other."""
    return column.combine_chunks().flatten().to_numpy(zero_copy_only=False)


class _HDF5:
    """Draws in an HDF5 data set of its final size."""

    def __init__(self, path: Path, n_clusters: int, n_samples: int, metadata: Mapping[str, Any]):
        import h5py

        shape = (n_clusters, n_samples, len(PARAMETERS))
        chunks = (max(1, min(n_clusters, 64)), *shape[1:]) if n_clusters else None
        self._file = h5py.File(path, "w")
        self._samples = self._file.create_dataset("samples", shape, dtype="f4", chunks=chunks)
        self._file.attrs.update(metadata)
        self._samples.attrs["parameters"] = list(PARAMETER_NAMES)
        self._samples.attrs["units"] = [parameter.unit for parameter in PARAMETERS]
        self._row = 0

    def append(self, draws: np.ndarray) -> None:
        stop = self._row + len(draws)
        self._samples[self._row : stop] = draws
        self._row = stop

    def close(self) -> None:
        self._file.close()


class _Parquet:
    """Draws in a Parquet file: one row a cluster, one list column a parameter."""

    def __init__(self, path: Path, n_clusters: int, n_samples: int, metadata: Mapping[str, Any]):
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._n_samples = n_samples
        draws = pa.list_(pa.float32(), n_samples)
        fields = [pa.field("row", pa.int64())] + [
            pa.field(p.name, draws, metadata={"unit": p.unit, "description": p.description})
            for p in PARAMETERS
        ]
        self._schema = pa.schema(fields, metadata={"praesepe": json.dumps(dict(metadata))})
        self._file = pq.ParquetWriter(path, self._schema)
        self._row = 0

    def append(self, draws: np.ndarray) -> None:
        import pyarrow as pa

        draws = np.asarray(draws, dtype=np.float32)
        rows = np.arange(self._row, self._row + len(draws))
        lists = [
            pa.FixedSizeListArray.from_arrays(pa.array(column.ravel()), self._n_samples)
            for column in np.moveaxis(draws, -1, 0)
        ]
        self._file.write_table(pa.Table.from_arrays([pa.array(rows), *lists], schema=self._schema))
        self._row += len(draws)

    def close(self) -> None:
        self._file.close()
