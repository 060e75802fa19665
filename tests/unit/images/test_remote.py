"""Images behind URLs: the same pixels, and only the bytes of the windows."""

from __future__ import annotations

import gzip
import pickle

import numpy as np
import pytest

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
