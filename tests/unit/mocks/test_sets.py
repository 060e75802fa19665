"""Sets of mocks: a block depends on its number alone, shards are whole blocks, files are known."""

from __future__ import annotations

import gc
import json
import os
import re
import tomllib
import warnings
import weakref
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tomli_w
import torch
import zarr
from astropy.io import fits

from praesepe.errors import InputError, PraesepeError, PraesepeWarning
from praesepe.files import check_space
from praesepe.mocks import sets as module
from praesepe.mocks.sets import RemoteRenderer, clusters_per_shard, simulate
from praesepe.mocks.stamps import MockArrays, MockSet, holds, truth_column, write_mocks
from praesepe.sky.simulator import Simulator
from praesepe.stars.curves import load_passband
from praesepe.survey import load_survey
from praesepe.survey.toml import survey_text
from praesepe.temporary import Writer


def same(block: MockArrays, other: MockArrays) -> bool:
    truths = [np.array_equal(block.truth[name], other.truth[name]) for name in block.truth]
    return np.array_equal(block.images, other.images) and all(truths)


def drawn(simulator: Simulator, block: int) -> MockArrays:
    return MockArrays.of(simulator.draw_block(block, 8))


def test_a_block_depends_on_its_number_alone(survey, tables):
    """Also on the far side of a change of the star fields, and going backwards."""
    simulator = Simulator(survey, seed=4, tables=tables, n_fields=2)
    straight = [drawn(simulator, block) for block in range(10)]
    late = Simulator(survey, seed=4, tables=tables, n_fields=2)
    assert same(drawn(late, 9), straight[9])
    assert same(drawn(late, 2), straight[2])
    assert not same(drawn(late, 3), straight[2])
    # the negative control: without putting the fields back the block would be another one
    late.field_pool.seek = lambda step: None
    assert not same(drawn(late, 9), straight[9])


def test_a_simulator_that_is_no_longer_used_leaves_the_memory(survey, tables):
    """At once: its tables are large, and the collector of garbage may wait for long."""
    simulator = Simulator(survey, tables=tables, n_fields=0)
    simulator.draw(1)
    alive = weakref.ref(simulator)
    gc.disable()
    del simulator
    gone = alive() is None
    gc.enable()
    assert gone


def test_convolving_elsewhere_changes_nothing_but_the_place(survey, tables):
    simulator = Simulator(survey, seed=4, tables=tables, n_fields=2)
    here = drawn(simulator, 0)
    simulator.renderer = RemoteRenderer(survey, "cpu")
    simulator.field_pool.seek(0)
    assert same(drawn(simulator, 0), here)


@pytest.mark.parametrize(
    ("n", "shards", "size", "expected"),
    [
        (1000, 2, None, 512), (1000, 4, None, 256), (1000, 1, None, 1024), (1000, 3, None, 512),
        (1000, None, 512, 512), (10, 1, None, 256),
    ],
)  # fmt: skip
def test_shards_are_whole_blocks(n, shards, size, expected):
    assert clusters_per_shard(n, shards, size) == expected


@pytest.mark.parametrize(
    ("shards", "size", "message"),
    [
        (5, None, "must be 1 to 4"),
        (0, None, "must be 1 to 4"),
        (None, 300, "for instance, 256"),
        (None, 700, "for instance, 768"),
        (2, 512, "not both"),
    ],
)
def test_impossible_shards(shards, size, message):
    with pytest.raises(InputError, match=message):
        clusters_per_shard(1000, shards, size)


def blocks(survey, sizes, seed=0):
    rng = np.random.default_rng(seed)
    shape = (len(survey.bands), survey.stamp_size, survey.stamp_size)
    for n in sizes:
        images = rng.normal(size=(n, *shape)).astype(np.float32)
        truth = {name: rng.random(n, np.float32) for name in ("log_age", "a_v", "mag_F475W")}
        yield MockArrays(images, truth)


def test_zarr_and_fits_hold_the_same(survey, tmp_path: Path):
    mocks = MockSet(survey, seed=5, nuisances=True, n=70, command="praesepe simulate")
    for name in ("a.fits", "a.zarr"):
        write_mocks(tmp_path / name, mocks, blocks(survey, (40, 30)))
    root = zarr.open_group(tmp_path / "a.zarr", mode="r")
    with fits.open(tmp_path / "a.fits") as file:
        np.testing.assert_array_equal(root["images"][:], file["IMAGES"].data)
        for name in ("log_age", "a_v", "mag_F475W"):
            np.testing.assert_array_equal(root[f"truth/{name}"][:], file["TRUTH"].data[name])
        for key in ("SURVHASH", "SEED", "NMOCKS", "BAND1", "ABZP1", "PIXSCALE"):
            assert root.attrs[key] == file["IMAGES"].header[key]
    assert root["images"].attrs["unit"] == "electron/s"
    assert root["images"].chunks == (32, 1, 32, 32)
    assert root["images"].metadata.dimension_names == ("cluster", "band", "y", "x")
    assert root["truth/a_v"].attrs["unit"] == "mag"
    assert root["truth/log_age"].attrs["description"].endswith("[dex(yr)]")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.fits", "a.zarr"]


@pytest.mark.parametrize("name", ["a.fits", "a.zarr"])
def test_a_file_is_known_by_its_header(survey, tmp_path: Path, name):
    path, mocks = tmp_path / name, MockSet(survey, seed=5, nuisances=True, n=40, first=256)
    assert not holds(path, mocks)
    write_mocks(path, mocks, blocks(survey, (40,)))
    assert holds(path, mocks)
    deeper = survey.with_values(galaxy={"distance_pc": 9e5})
    for other in (
        {"seed": 6}, {"nuisances": False}, {"n": 41}, {"first": 0}, {"survey": deeper},
    ):  # fmt: skip
        assert not holds(path, replace(mocks, **other))


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


def flip_in_fits(path: Path, *, extension: int, data: bool) -> None:
    with fits.open(path) as file:
        place = file.fileinfo(extension)
    flip(path, place["datLoc"] + 4 if data else place["hdrLoc"] + 80 * 30 + 40)


DAMAGES = {
    "pixels": ("a.fits", partial(flip_in_fits, extension=1, data=True)),
    "truth": ("a.fits", partial(flip_in_fits, extension=2, data=True)),
    "text of a header": ("a.fits", partial(flip_in_fits, extension=1, data=False)),
    "end": ("a.fits", lambda path: os.truncate(path, path.stat().st_size - 2880)),
    "chunk": ("a.zarr", lambda path: flip(path / "images/c/0/0/0/0", -5)),
    "column": ("a.zarr", lambda path: flip(path / "truth/a_v/c/0", 3)),
    "missing chunk": ("a.zarr", lambda path: (path / "images/c/1/0/0/0").unlink()),
    "attribute": ("a.zarr", lambda path: zarr.open_group(path).attrs.update(ABZP1=25.0)),
}


@pytest.mark.parametrize(("name", "damage"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_not_taken_for_whole(survey, tmp_path: Path, name, damage):
    path, mocks = tmp_path / name, MockSet(survey, seed=5, nuisances=True, n=40)
    write_mocks(path, mocks, blocks(survey, (40,)))
    assert len(MockArrays.read(path)) == 40
    damage(path)
    with pytest.raises(InputError, match=r"damaged.*; simulate it again"):
        MockArrays.read(path)
    with warnings.catch_warnings(action="ignore", category=PraesepeWarning):
        assert not holds(path, mocks)


def test_unreadable_headers_are_damage_and_padding_is_nothing(survey, tmp_path: Path):
    path, mocks = tmp_path / "a.fits", MockSet(survey, seed=5, nuisances=True, n=40)
    write_mocks(path, mocks, blocks(survey, (40,)))
    whole = path.read_bytes()
    path.write_bytes(re.sub(rb"END {77}", b"END \x08\x81 " + 73 * b" ", whole))
    assert len(MockArrays.read(path)) == 40
    assert holds(path, mocks)
    card = whole.index(b"PRAESEPE")
    path.write_bytes(whole[:card] + b"PRAESEPE= '\xff\x00= x" + whole[card + 16 :])
    assert not holds(path, mocks)


def test_files_without_a_checksum_are_read(survey, tmp_path: Path, monkeypatch):
    """Those of earlier versions."""
    mocks = MockSet(survey, seed=5, nuisances=True, n=40)
    monkeypatch.setattr("praesepe.mocks.stamps.add_checksum", lambda path: None)
    for path in (tmp_path / "a.fits", tmp_path / "a.zarr"):
        write_mocks(path, mocks, blocks(survey, (40,)))
        if path.is_file():
            content = re.sub(b"(CHECKSUM|DATASUM )= ", b"COMMENT   ", path.read_bytes())
            path.write_bytes(content)
        assert len(MockArrays.read(path)) == 40
        assert holds(path, mocks)


@pytest.mark.parametrize("name", ["a.fits", "a.zarr"])
def test_a_failure_leaves_nothing_behind(survey, tmp_path: Path, name):
    def broken():
        yield from blocks(survey, (40,))
        raise OSError(28, "No space left on device")

    with pytest.raises(PraesepeError, match="No space left"):
        write_mocks(tmp_path / name, MockSet(survey, 5, True, 80), broken())
    assert not list(tmp_path.iterdir())
    write_mocks(tmp_path / name, MockSet(survey, 5, True, 40), blocks(survey, (40,)))
    with pytest.raises(PraesepeError, match="No space left"):
        write_mocks(tmp_path / name, MockSet(survey, 5, True, 80), broken())
    assert holds(tmp_path / name, MockSet(survey, 5, True, 40))  # the old one is still there


def test_space_on_the_disk(tmp_path: Path):
    check_space(tmp_path, 1, "a byte")
    with pytest.raises(InputError, match=r"a set takes 1,000,000,000\.0 GB, but the disk"):
        check_space(tmp_path, 10**18, "a set")


def test_every_column_of_the_truth_is_described(survey, tables):
    truth = Simulator(survey, tables=tables, n_fields=1).draw(2).truth
    for name in truth:
        unit, description = truth_column(name)
        assert description
        assert unit is None or "(" not in unit


@pytest.fixture
def small_blocks(monkeypatch, tables):
    """Blocks of eight mocks on two star fields: quick."""
    monkeypatch.setattr(module, "BLOCK_SIZE", 8)
    monkeypatch.setattr(module, "Simulator", partial(Simulator, tables=tables, n_fields=2))


def test_shards_make_up_the_whole(survey, tmp_path: Path, small_blocks):
    whole = simulate(survey, n=20, seed=2).images
    told = []
    folder = tmp_path / "set"
    options = {"n": 20, "seed": 2, "shards": 3, "progress": lambda *now: told.append(now)}
    made = simulate(survey, out=folder, **options)
    assert told == [(0, 20), (8, 20), (16, 20), (20, 20)]
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    files = [folder / shard["file"] for shard in manifest["shards"]]
    assert [shard["n"] for shard in manifest["shards"]] == [8, 8, 4]
    np.testing.assert_array_equal(made.images, whole)
    assert made.files == tuple(files)
    assert manifest["survey_fingerprint"] == survey.fingerprint()
    # what is there is kept; a damaged shard is drawn again, the same
    before = {file: file.stat().st_mtime_ns for file in files}
    removed = files[1].read_bytes()
    flip(files[1], -2880)  # the first number of the truth
    killed = replace(Writer.new(), pid=2**22 + 1)  # beyond what any process has
    killed.temporary(files[1]).touch()
    told.clear()
    with pytest.warns(PraesepeWarning, match="shard-00001.fits is damaged.*simulated again"):
        simulate(survey, out=folder, **options)
    assert told == [(12, 20), (20, 20)]
    assert [f.stat().st_mtime_ns for f in files[::2]] == [before[f] for f in files[::2]]
    assert len(files[1].read_bytes()) == len(removed)
    np.testing.assert_array_equal(fits.getdata(files[1], "IMAGES"), whole[8:16])
    assert sorted(p.name for p in folder.iterdir()) == ["manifest.json", *(f.name for f in files)]


@pytest.mark.parametrize("name", ["a.fits", "a.zarr"])
def test_a_set_in_memory_is_that_in_the_file(survey, tmp_path: Path, small_blocks, name):
    made = simulate(survey, n=10, seed=2)
    saved = made.save(tmp_path / name)
    simulate(survey, n=10, seed=2, out=tmp_path / f"b{saved.path.suffix}")
    for other in (saved, replace(saved, files=(tmp_path / f"b{saved.path.suffix}",))):
        np.testing.assert_array_equal(other.images, made.images)
        for column in made.truth.colnames:
            np.testing.assert_array_equal(other.truth[column], made.truth[column])
    assert holds(saved.path, made.mocks)
    assert str(made.truth["log_age"].unit) == "dex(yr)"
    assert len(made) == len(made.truth) == 10
    assert repr(made) == (
        "<SimulatedStamps of survey 'phat-nodust': 10 clusters, seed 2; in memory>"
    )
    with pytest.raises(InputError, match="exists"):
        made.save(saved.path)
    with pytest.raises(InputError, match="say where they go"):
        simulate(survey, n=10, shards=1)


def test_another_set_in_the_folder(survey, tmp_path: Path, small_blocks):
    folder, options = tmp_path / "set", {"n": 16, "shards": 2, "format": "zarr"}
    simulate(survey, seed=2, out=folder, **options)
    with pytest.raises(InputError, match="holds another set: seed 2, now 3"):
        simulate(survey, seed=3, out=folder, **options)
    far = survey.with_values(galaxy={"distance_pc": 9e5})
    told = r"set: survey_content\.galaxy\.distance_pc \d+\.0, now 900000\.0\. Choose"
    with pytest.raises(InputError, match=told):
        simulate(far, seed=2, out=folder, **options)
    manifest = folder / "manifest.json"  # a set of an earlier version tells a checksum alone
    earlier = {k: v for k, v in json.loads(manifest.read_text()).items() if k != "survey_content"}
    manifest.write_text(json.dumps(earlier))
    with pytest.raises(InputError, match="set: survey_fingerprint '"):
        simulate(far, seed=2, out=folder, **options)
    assert simulate(survey, seed=2, out=folder, **options).files
    simulate(survey, n=8, seed=3, shards=1, out=folder, overwrite=True)
    assert sorted(p.name for p in folder.iterdir()) == ["manifest.json", "shard-00000.fits"]


def test_the_new_set_is_complete_before_the_old_one_goes(
    survey, tmp_path, small_blocks, monkeypatch
):
    """Whatever ends the run, while it draws or while it puts its shards in place."""
    folder, options = tmp_path / "set", {"n": 16, "shards": 2}
    old = simulate(survey, seed=2, out=folder, **options)
    before = {file.name: file.read_bytes() for file in (*old.files, folder / "manifest.json")}
    written, put = [], []

    def write(path, *rest):
        written.append(path.name)
        if len(written) == 2:
            raise KeyboardInterrupt
        write_mocks(path, *rest)

    def put_in_place(one, other):
        if Path(one).parent.name == module.INCOMING and Path(one).parent == Path(other).parent:
            return os.rename(one, other)  # a manifest, whole
        put.append(one)
        if len(put) == 2:
            raise KeyboardInterrupt
        return os.rename(one, other)

    monkeypatch.setattr(module, "write_mocks", write)
    with pytest.raises(KeyboardInterrupt):
        simulate(survey, seed=3, out=folder, overwrite=True, **options)
    for name, content in before.items():
        assert (folder / name).read_bytes() == content
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "replace", put_in_place)
        with pytest.raises(KeyboardInterrupt):
            simulate(survey, seed=3, out=folder, overwrite=True, **options)
    assert not (folder / "manifest.json").exists()
    made = simulate(survey, seed=3, out=folder, **options)
    assert written == ["shard-00000.fits", "shard-00001.fits", "shard-00001.fits"]
    assert {path.name for path in folder.iterdir()} == set(before)
    np.testing.assert_array_equal(made.images, simulate(survey, n=16, seed=3).images)


@pytest.mark.parametrize("named", ["..", ".", "/", "../precious", "shard-00001.fits/..", "a.fits"])
def test_a_manifest_cannot_remove_what_is_no_shard(survey, tmp_path, small_blocks, named):
    precious = tmp_path / "precious"
    precious.mkdir()
    folder = tmp_path / "set"
    simulate(survey, n=8, seed=2, shards=1, out=folder)
    manifest = folder / "manifest.json"
    content = json.loads(manifest.read_text())
    content["shards"][0]["file"] = named
    manifest.write_text(json.dumps(content))
    (folder / "a.fits").touch()
    with pytest.raises(InputError, match="which is no file of a set"):
        simulate(survey, n=8, seed=3, shards=1, out=folder, overwrite=True)
    assert precious.is_dir()
    assert sorted(p.name for p in folder.iterdir()) == ["a.fits", manifest.name, "shard-00000.fits"]


def test_notes_in_a_shard_stay(survey, tmp_path: Path, small_blocks):
    folder, options = tmp_path / "set", {"n": 8, "shards": 1, "format": "zarr"}
    simulate(survey, seed=2, out=folder, **options)
    notes = folder / "shard-00000.zarr" / "notes.txt"
    notes.touch()
    for seed in (2, 3):  # that which would be kept, and another one
        with pytest.raises(InputError, match=r"shard-00000.zarr', which is no file of a set"):
            simulate(survey, seed=seed, out=folder, overwrite=True, **options)
    assert notes.exists()


def test_the_gpu_convolves_alone(survey, tables):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    simulator = Simulator(survey, seed=4, tables=tables, n_fields=2, nuisances=False)
    grids = simulator.spread(simulator.populate(simulator.sample(8)))
    here = simulator.render(grids)
    there = RemoteRenderer(survey, "cuda").convolve(grids)
    assert float((here - there).abs().max() / here.max()) < 1e-5


def test_a_set_goes_on_under_another_name(tmp_path: Path) -> None:
    """Words are no part of what is drawn."""
    survey, settings = load_survey("phat-nodust"), {"n": 2, "shards": 1, "out": tmp_path / "set"}
    first = simulate(survey, **settings)  # type: ignore[arg-type]
    before = first.files[0].stat().st_mtime_ns
    worded = survey.with_values(name="other", description="words")
    assert simulate(worded, **settings).files[0].stat().st_mtime_ns == before  # type: ignore[arg-type]


def test_shards_stay_where_the_survey_has_moved(tmp_path: Path, small_blocks: None) -> None:
    """They know what its files hold, not where they lie; other contents are another set."""
    content, curve = tomllib.loads(survey_text("phat-nodust")), load_passband("acs_wfc_f475w")
    band = content["observation"]["bands"][1] | {"filter": "curve.txt"}
    content["observation"]["bands"], content["network"] = [band], {"stamp_size": 32}
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    (here / "a.toml").write_text(tomli_w.dumps(content), encoding="utf-8")
    columns = np.c_[curve.wavelength_angstrom, curve.throughput]
    np.savetxt(here / "curve.txt", columns)
    settings = {"n": 2, "shards": 1, "out": tmp_path / "set"}
    first = simulate(here / "a.toml", **settings)  # type: ignore[arg-type]
    before, images = first.files[0].stat().st_mtime_ns, first.images
    here.rename(there)
    again = simulate(there / "a.toml", **settings)  # type: ignore[arg-type]
    assert again.files[0].stat().st_mtime_ns == before
    np.testing.assert_array_equal(again.images, images)
    np.savetxt(there / "curve.txt", columns * [1, 0.9])
    with pytest.raises(InputError, match="other"):
        simulate(there / "a.toml", **settings)  # type: ignore[arg-type]


def test_another_stellar_model_of_the_same_name_is_another_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shard is never kept that was drawn from other isochrones."""
    from praesepe.stars import IsochroneGrid
    from praesepe.stars.store import write_grid

    monkeypatch.setenv("PRAESEPE_DATA", str(tmp_path))
    phat, grid = load_survey("phat-nodust"), IsochroneGrid.embedded()
    other = phat.with_values(clusters={"stars": {"isochrones": "mine"}})
    one = MockSet(other, seed=1, nuisances=True, n=1)
    identities = []
    for n_ages in (70, 71):
        rows = tuple(row[:n_ages] for row in grid.isochrones)
        changed = IsochroneGrid(grid.log_age[:n_ages], grid.metallicity, rows)
        write_grid(tmp_path / "stars" / "mine.npz", changed, overwrite=True)
        identities.append(one.record())
    assert identities[0] != identities[1]
    same = "survey_fingerprint"
    assert identities[0][same] == identities[1][same]
