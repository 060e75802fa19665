"""Files of posterior draws, written block by block: HDF5 or Parquet, (cluster, draw, parameter)."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from praesepe.errors import InputError, PraesepeError
from praesepe.quantities import PARAMETER_NAMES, PARAMETERS

SAMPLE_SUFFIXES = (".h5", ".hdf5", ".parquet")


class SampleFile:
    """A file to which draws can be appended; made by `open_samples`."""

    def __init__(self, path: Path, writer: _HDF5 | _Parquet) -> None:
        self._path, self._writer = path, writer

    def append(self, draws: np.ndarray) -> None:
        """Append draws (n, n_samples, 3) of the next n clusters."""
        with _naming(self._path):
            self._writer.append(np.ascontiguousarray(draws, dtype="<f4"))


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

    Raises
    ------
    PraesepeError
        Where the disk is full; for HDF5 at once, before anything is computed.
    """
    path = Path(path).expanduser()
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    kind = _Parquet if path.suffix.lower() == ".parquet" else _HDF5
    try:
        with _naming(path):
            writer = kind(part, n_clusters, n_samples, metadata)
        try:
            yield SampleFile(path, writer)
        finally:
            with _naming(path):
                writer.close()
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
    path = Path(path).expanduser()
    suffix = path.suffix.lower()
    if suffix not in SAMPLE_SUFFIXES:
        raise InputError(f"{path}: draws are kept in {', '.join(SAMPLE_SUFFIXES)} files.")
    if suffix == ".parquet":
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


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let errors of the file system say which file could not be written."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise PraesepeError(f"could not write {path}: {reason}; nothing was left behind") from error


def _reserve(path: Path, size: int) -> None:
    """Reserve space on the disk for a file; `OSError` where there is too little."""
    if hasattr(os, "posix_fallocate"):  # macOS has none
        with path.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, size)


class _HDF5:
    """Draws in an HDF5 data set of its final size.

    The HDF5 library does not survive a full disk (it crashes when the file is closed). So it only
    lays out the file, once the space is sure; the draws are then written by plain means.
    """

    def __init__(self, path: Path, n_clusters: int, n_samples: int, metadata: Mapping[str, Any]):
        import h5py

        shape = (n_clusters, n_samples, len(PARAMETERS))
        _reserve(path, 4 * math.prod(shape) + 65_536)
        with h5py.File(path, "w") as file:
            layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            space = h5py.h5s.create_simple(shape)
            data = h5py.h5d.create(file.id, b"samples", h5py.h5t.IEEE_F32LE, space, layout)
            attributes = h5py.Dataset(data).attrs
            attributes["parameters"] = list(PARAMETER_NAMES)
            attributes["units"] = [parameter.unit for parameter in PARAMETERS]
            file.attrs.update(metadata)
            offset = data.get_offset()
        _reserve(path, path.stat().st_size)
        self._file = path.open("r+b")
        self._file.seek(offset)

    def append(self, draws: np.ndarray) -> None:
        self._file.write(draws.data)

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

        rows = np.arange(self._row, self._row + len(draws))
        lists = [
            pa.FixedSizeListArray.from_arrays(pa.array(column.ravel()), self._n_samples)
            for column in np.moveaxis(draws, -1, 0)
        ]
        self._file.write_table(pa.Table.from_arrays([pa.array(rows), *lists], schema=self._schema))
        self._row += len(draws)

    def close(self) -> None:
        self._file.close()
