"""No reader follows a link out of a file: no request, and no content of another file."""

from __future__ import annotations

import gzip
import socket
import struct
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from praesepe.errors import InputError
from praesepe.images.catalog import read_table
from praesepe.images.reading.source import open_image
from praesepe.inference.draws import read_samples

REFUSED = "takes its content from elsewhere.*links are not followed; fetch"
ELSEWHERE = ("http://127.0.0.1:9/rows", "HTTPS://127.0.0.1/rows", "ftp://127.0.0.1/rows", "FILE")


@pytest.fixture(autouse=True)
def no_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("a reader asked for what a file points to")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def linked_votable(tmp_path: Path, link: str, kind: str = "BINARY", head: str = "") -> str:
    rows = tmp_path / "rows.bin"
    rows.write_bytes(struct.pack(">2d", 10.0, 41.0))
    stream = f'<STREAM href="{rows.as_uri() if link == "FILE" else link}"/>'
    return (
        f'<?xml version="1.0"?>{head}<VOTABLE version="1.3"><RESOURCE><TABLE>'
        '<FIELD name="ra" datatype="double"/><FIELD name="dec" datatype="double"/>'
        f"<DATA><{kind}>{'&stream;' if head else stream}</{kind}></DATA>"
        "</TABLE></RESOURCE></VOTABLE>"
    )


@pytest.mark.parametrize("kind", ["BINARY", "BINARY2", "FITS"])
@pytest.mark.parametrize("link", ELSEWHERE)
def test_a_stream_of_a_votable(tmp_path: Path, kind: str, link: str) -> None:
    path = tmp_path / "a.vot"
    path.write_text(linked_votable(tmp_path, link, kind))
    with pytest.raises(InputError, match=REFUSED):
        read_table(path)


def test_a_stream_in_disguise(tmp_path: Path) -> None:
    link = (tmp_path / "rows.bin").as_uri()
    text = linked_votable(tmp_path, link)
    entity = f"<!DOCTYPE a [<!ENTITY stream \"&#60;&#83;TREAM href='{link}'/>\">]>"
    for name, raw in (
        ("packed.vot.gz", gzip.compress(text.encode())),
        ("wide.vot", text.replace("?>", ' encoding="utf-16"?>', 1).encode("utf-16")),
        ("entity.vot", linked_votable(tmp_path, link, head=entity).encode()),
    ):
        (tmp_path / name).write_bytes(raw)
        with pytest.raises(InputError, match=REFUSED):
            read_table(tmp_path / name)


@pytest.mark.parametrize("form", ["array", "reference", "second array"])
@pytest.mark.parametrize("link", ["http://127.0.0.1:9/other.asdf", "FILE", "other.asdf"])
def test_an_array_of_asdf(tmp_path: Path, form: str, link: str) -> None:
    asdf = pytest.importorskip("asdf")
    pytest.importorskip("gwcs")
    other = tmp_path / "other.asdf"
    asdf.AsdfFile({"data": np.ones((20, 20), np.float32)}).write_to(other)
    link = other.as_uri() if link == "FILE" else link
    inside = "!core/ndarray-1.0.0 {data: [[1.0, 2.0], [3.0, 4.0]], datatype: float32}"
    array = f"!core/ndarray-1.0.0 {{source: '{link}', datatype: float32, shape: [20, 20]}}"
    body = {
        "array": f"data: {array}",
        "reference": f"data: {{$ref: '{link}#/data'}}",
        "second array": f"data: {inside}\n  weight: {array}",
    }[form]
    path = tmp_path / "a.asdf"
    path.write_text(
        "#ASDF 1.0.0\n#ASDF_STANDARD 1.5.0\n%YAML 1.1\n%TAG ! tag:stsci.edu:asdf/\n"
        f"--- !core/asdf-1.1.0\nroman:\n  {body}\n...\n"
    )
    with pytest.raises(InputError, match=REFUSED):
        open_image(path, "F158")


@pytest.mark.parametrize("form", ["link", "virtual", "raw"])
def test_draws_in_hdf5(tmp_path: Path, form: str) -> None:
    h5py = pytest.importorskip("h5py")
    shape = (2, 3, 3)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["samples"] = np.ones(shape)
    (tmp_path / "raw").write_bytes(bytes(8 * 18))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        if form == "link":
            file["samples"] = h5py.ExternalLink("other.h5", "samples")
        elif form == "virtual":
            layout = h5py.VirtualLayout(shape, float)
            layout[:] = h5py.VirtualSource("other.h5", "samples", shape)
            file.create_virtual_dataset("samples", layout)
        else:
            raw = [(str(tmp_path / "raw"), 0, 8 * 18)]
            file.create_dataset("samples", shape, float, external=raw)
    assert len(read_samples(tmp_path / "other.h5").values) == 2
    with pytest.raises(InputError, match=REFUSED):
        read_samples(tmp_path / "a.h5")


def test_tags_of_ecsv_make_nothing(tmp_path: Path) -> None:
    path, made = tmp_path / "a.ecsv", tmp_path / "made"
    path.write_text(
        "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: ra, datatype: float64}\n"
        "# - {name: dec, datatype: float64}\n"
        f"# meta: !!python/object/apply:os.system ['touch {made}']\nra dec\n1 2\n"
    )
    with pytest.raises(InputError, match="cannot be read as ECSV"):
        read_table(path)
    assert not made.exists()
