"""The embedded files: small, checked, without pickles."""

import json
import shutil

import numpy as np
import pytest

from praesepe.errors import PraesepeError
from praesepe.stars import embedded


@pytest.fixture
def copy(tmp_path, monkeypatch):
    folder = shutil.copytree(embedded.DATA, tmp_path / "stellar")
    monkeypatch.setattr(embedded, "DATA", folder)
    return folder


@pytest.mark.parametrize("name", ["isochrones.npz", "spectra.npz"])
def test_checksums_hold(name):
    assert embedded.read_embedded(name)


def test_a_changed_byte_is_noticed(copy):
    path = copy / "spectra.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(PraesepeError, match=r"spectra\.npz is damaged.*build_stellar_grid"):
        embedded.read_embedded("spectra.npz")
    assert embedded.read_embedded("isochrones.npz")


@pytest.mark.parametrize("lost", ["spectra.npz", "provenance.json"])
def test_a_lost_file_is_named(copy, lost):
    (copy / lost).unlink()
    with pytest.raises(PraesepeError, match="incomplete"):
        embedded.read_embedded("spectra.npz")


def test_size_and_provenance():
    size = sum(path.stat().st_size for path in embedded.DATA.iterdir())
    assert size < 12_000_000
    record = json.loads((embedded.DATA / "provenance.json").read_text())
    assert {"command", "date", "packages", "sources_sha256", "files_sha256"} <= set(record)
    assert record["packages"]["cosmic-popsynth"]


def test_nothing_is_pickled():
    for name in ("isochrones.npz", "spectra.npz"):
        assert all(array.dtype != np.object_ for array in embedded.read_embedded(name).values())
