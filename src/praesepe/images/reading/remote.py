"""Images behind a URL, as `fsspec` reads them: only the bytes of the windows that are needed."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from praesepe.errors import InputError, reason
from praesepe.images.reading.pixels import scratch_error
from praesepe.lazy import extras

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_url(text: str) -> bool:
    """Whether a text is a URL (``https://``, ``s3://``) and no path."""
    return _URL.match(text) is not None


@extras()
def open_url(url: str, label: str) -> Any:
    """Open a URL for reading here and there.

    Parameters
    ----------
    url : str
        Of any scheme that `fsspec` knows.
    label : str
        How messages call it.

    Returns
    -------
    file
        As of `open`.

    Raises
    ------
    InputError
        Where it cannot be opened.
    """
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(url)
        return system.open(path, "rb")
    except Exception as error:  # each scheme raises its own
        raise InputError(
            f"{label}: cannot open {url}: {reason(error) or type(error).__name__}",
            given=url,
            remedy="check the address, and that the library of its scheme is installed "
            "(aiohttp for https, s3fs for s3)",
        ) from error


def sends_parts(url: str) -> bool:
    """Whether a URL's server sends parts of files; some send the whole whatever is asked for."""
    import fsspec

    system, path = fsspec.core.url_to_fs(url)
    try:
        with system.open(path, "rb", cache_type="none") as file:
            file.seek(1)
            return len(file.read(1)) == 1
    except Exception:  # ValueError for such servers; what else is wrong is said when it is fetched
        return False


def fetch(url: str, path: str) -> None:
    """Copy a whole file from a URL to a path."""
    import fsspec

    system, remote = fsspec.core.url_to_fs(url)
    try:
        system.get_file(remote, path)
    except Exception as error:  # each scheme raises its own
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise scratch_error(error) from error
        raise InputError(
            f"cannot read {url}: {reason(error)}", given=url, remedy="try again"
        ) from error


@dataclass(frozen=True)
class RemoteArray:
    """An image in a remote file, of which slices of rows and columns are read."""

    url: str
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Size of the whole image."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray[Any]:
        """The numbers of ``[y0:y1, x0:x1]``."""
        import fsspec

        windows = [one for one in key if isinstance(one, slice)]  # without the dots of planes
        (y0, y1, _), (x0, x1, _) = (w.indices(n) for w, n in zip(windows, self.shape, strict=True))
        width, size = self.shape[1], self.dtype.itemsize
        rows = range(y0, y1)
        if (x0, x1) == (0, width):
            ranges = [(y0 * width, y1 * width)]
        else:
            ranges = [(y * width + x0, y * width + x1) for y in rows]
        starts, ends = ([self.offset + r[i] * size for r in ranges] for i in (0, 1))
        system, path = fsspec.core.url_to_fs(self.url)
        try:
            parts = system.cat_ranges([path] * len(starts), starts, ends, on_error="raise")
        except Exception as error:  # each scheme raises its own
            raise InputError(
                f"cannot read {self.url}: {reason(error)}", given=self.url, remedy="try again"
            ) from error
        if any(len(part) != y - x for part, x, y in zip(parts, starts, ends, strict=True)):
            raise InputError(
                f"{self.url}: its server sent other bytes than it was asked for",
                given=self.url,
                remedy="try again, or download the file",
            )
        numbers = np.frombuffer(b"".join(parts), self.dtype)
        return numbers.reshape(len(rows), max(x1 - x0, 0))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The whole image."""
        return self[:, :].astype(dtype or self.dtype, copy=False)


def remote_size(file: Any) -> int:
    """Bytes of an open file."""
    at = file.tell()
    file.seek(0, os.SEEK_END)
    size = int(file.tell())
    file.seek(at)
    return size
