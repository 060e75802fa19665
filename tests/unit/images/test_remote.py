"""Images behind URLs: the same pixels, and only the bytes of the windows."""

from __future__ import annotations

import gzip
import http.server
import pickle
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from praesepe.errors import InputError
from praesepe.images import Mosaic, extract_stamps
from praesepe.images.reading.remote import RemoteArray
from praesepe.images.reading.source import open_image

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()


def test_stamps_of_a_url(write_image, two_bands, rng, memory, monkeypatch) -> None:
    image = rng.normal(2, 0.2, (300, 320)).astype(np.float32)
    paths = {n: write_image(n, image) for n in two_bands.band_names}
    for name, path in paths.items():
        memory.pipe(f"/{name}.fits", path.read_bytes())
    remote = Mosaic.read({n: f"memory://{n}.fits[SCI,1]" for n in paths}, two_bands)
    local = Mosaic.read(paths, two_bands)
    fetched = []
    ranges = memory.cat_ranges
    monkeypatch.setattr(
        type(memory), "cat_ranges",
        lambda self, p, starts, ends, **kw: (
            fetched.append(sum(ends) - sum(starts)), ranges(p, starts, ends, **kw)
        )[1],
    )  # fmt: skip
    for mosaic in (remote, pickle.loads(pickle.dumps(remote))):
        stamps = extract_stamps(mosaic, [100.0, 2.0], [150.0, 290.0], 64)
        expected = extract_stamps(local, [100.0, 2.0], [150.0, 290.0], 64)
        np.testing.assert_array_equal(stamps.images, expected.images)
    assert max(fetched) <= 64 * 64 * 4
    assert isinstance(remote.band("F475W").pixels.raw, RemoteArray)


def test_packed_and_missing_urls(write_image, rng, memory) -> None:
    image = rng.normal(2, 0.2, (100, 120)).astype(np.float32)
    memory.pipe("/a.fits.gz", gzip.compress(write_image("F475W", image).read_bytes()))
    source = open_image("memory://a.fits.gz", "F475W")
    np.testing.assert_array_equal(source.pixels, image)
    assert source.label == "a.fits.gz (band 'F475W')"
    with pytest.raises(InputError, match=r"cannot open memory://b\.fits"):
        open_image("memory://b.fits", "F475W")
    with pytest.raises(InputError, match=r"cannot open nowhere://b\.fits"):
        open_image("nowhere://b.fits", "F475W")


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Files of a folder; bytes of them where `honours` says so, like most servers."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    sent: int
    honours: bool

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Send a part with status 206, or the whole."""
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        part = content
        if asked and self.honours:
            first, last = int(asked[1]), int(asked[2] or len(content) - 1)
            part = content[first : last + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        else:
            self.send_response(200)
        if self.honours:
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        type(self).sent += len(part)  # before the other side can go on
        self.wfile.write(part)


class Server(http.server.ThreadingHTTPServer):
    """One that does not drop connections where a window's rows are asked for all at once."""

    request_queue_size = 128


@contextmanager
def served(folder: Path, *, honours: bool) -> Iterator[tuple[str, type[Ranges]]]:
    """Address of a server of this folder, and what counts its bytes."""
    handler = type("Handler", (Ranges,), {"sent": 0, "honours": honours})
    server = Server(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("honours", [True, False])
def test_http(rng, tmp_path: Path, honours: bool) -> None:
    """By parts of the file; a server that sends the whole is asked for it once."""
    pytest.importorskip("aiohttp")
    image = rng.normal(2, 0.2, (1300, 1400)).astype(np.float32)
    fits.PrimaryHDU(image).writeto(tmp_path / "a.fits")
    size = (tmp_path / "a.fits").stat().st_size  # more than one block of fsspec's
    with served(tmp_path, honours=honours) as (address, handler):
        pixels = open_image(f"{address}/a.fits", "F475W").pixels
        opened, handler.sent = handler.sent, 0
        np.testing.assert_array_equal(pixels[1200:1264, 100:164], image[1200:1264, 100:164])
        assert handler.sent == (64 * 64 * 4 if honours else 0)
        assert opened <= (0.9 if honours else 3) * size
        with pytest.raises(InputError, match=r"cannot open http.*/none\.fits"):
            open_image(f"{address}/none.fits", "F475W")
        if honours:  # and another server answers later
            handler.honours = False
            with pytest.raises(InputError, match="sent other bytes than it was asked for"):
                pixels[0:4, 0:4]
        else:
            again = pickle.loads(pickle.dumps(pixels))
            np.testing.assert_array_equal(again[0:4, 0:4], image[0:4, 0:4])
