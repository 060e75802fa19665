"""Models by name: written whole, read back exactly, never taken for another."""

import json

import numpy as np
import pytest

from praesepe.errors import InputError, PraesepeError
from praesepe.stars import Isochrone, IsochroneGrid, store
from praesepe.stars.isochrones import COLUMNS
from praesepe.stars.store import key_of, load_isochrones, read_grid, write_grid

YOUNG = IsochroneGrid.embedded().isochrone(8, 6)  # log age 7, Z = 0.02
FILE = "\n".join(
    [
        "# Zini MH logAge Mini int_IMF Mass logL logTe logg label mbolmag Umag",
        *(
            f"0.02 0.1 7.0 {mass} 1 {now} {log_l} {log_teff} {log_g} 1 9 9"
            for mass, now, log_l, log_teff, log_g in zip(
                *(getattr(YOUNG.take(YOUNG.living), name) for name in COLUMNS[:5]), strict=True
            )
        ),
        "#isochrone terminated",
    ]
)


def small_grid(shift=0.0, eep=None):
    mass = np.array([0.08, 1.0, 120.0])
    one = Isochrone(
        mass, mass, np.log10(mass) + shift, mass * 0 + 3.7, mass * 0 + 4, np.array([0, 1, 14]), eep
    )
    return IsochroneGrid(np.array([7.0, 8.0]), np.array([0.01, 0.02]), ((one, one), (one, one)))


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PRAESEPE_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "stars"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "parsec.dat"
    path.write_text(FILE)
    return path


@pytest.mark.parametrize("eep", [None, np.array([1.0, 2.0, np.nan])])
def test_what_is_written_is_read(tmp_path, eep):
    grid = small_grid(eep=eep)
    write_grid(tmp_path / "a.npz", grid)
    again = read_grid(tmp_path / "a.npz")[0]
    assert again.key == grid.key
    one, other = grid.isochrone(1, 1), again.isochrone(1, 1)
    for name in ("initial_mass", "present_mass", "log_l", "log_teff", "log_g", "kind"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (other.eep is None) == (eep is None)


def test_the_embedded_grid_survives(tmp_path):
    grid = IsochroneGrid.embedded()
    write_grid(tmp_path / "sse.npz", grid)
    assert read_grid(tmp_path / "sse.npz")[0].key == grid.key


def test_the_key_is_that_of_the_content():
    assert small_grid().key == small_grid().key
    assert small_grid().key != small_grid(1e-12).key
    assert small_grid().key != small_grid(eep=np.arange(3.0)).key


def test_import_and_name(home, file):
    path, grid = imported = store.import_isochrones([file], name="parsec")
    assert imported == store.ImportedIsochrones(path, grid)
    assert path == home / "parsec.npz"
    assert store.isochrone_names() == ("sse", "parsec")
    assert load_isochrones("parsec").key == grid.key
    assert load_isochrones(path).key == grid.key
    assert load_isochrones(str(path)).key == grid.key
    assert load_isochrones("sse") is IsochroneGrid.embedded()
    assert key_of("parsec") == key_of(path) == grid.key
    assert len(key_of("sse")) >= 12
    _, record = store.read_grid(path)
    assert record["sources"][0]["file"] == "parsec.dat"
    assert record["key"] == grid.key
    assert {"sha256"} <= set(record["sources"][0])
    assert {"format", "date", "version"} <= set(record)
    assert [one.name for one in home.iterdir()] == ["parsec.npz"]


def test_the_same_name_with_other_content_has_another_key(home, file):
    _, first = store.import_isochrones([file], name="mine")
    file.write_text(FILE.replace("0.02 0.1", "0.021 0.1"))
    with pytest.raises(InputError, match="overwrite=True"):
        store.import_isochrones([file], name="mine")
    assert load_isochrones("mine").key == first.key
    store.import_isochrones([file], name="mine", overwrite=True)
    assert load_isochrones("mine").key != first.key


@pytest.mark.parametrize("name", ["sse", "", "a/b", "../a", "a b", ".hidden", "x.npz"])
def test_names_that_cannot_be(home, file, name):
    with pytest.raises(InputError, match="name"):
        store.import_isochrones([file], name=name)
    assert not home.exists()


def test_an_unknown_name(home, file):
    store.import_isochrones([file], name="parsec")
    with pytest.raises(InputError, match=r"Did you mean 'parsec'\?.*import_isochrones"):
        load_isochrones("parsek")


def test_where_models_are(monkeypatch, tmp_path):
    monkeypatch.delenv("PRAESEPE_DATA", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert store.folder() == tmp_path / "praesepe" / "stars"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store.folder() == tmp_path / ".local" / "share" / "praesepe" / "stars"


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    write_grid(path, small_grid())

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(PraesepeError, match="No space"):
        write_grid(path, small_grid(1.0), overwrite=True)
    monkeypatch.undo()
    assert read_grid(path)[0].key == small_grid().key
    assert [one.name for one in tmp_path.iterdir()] == ["a.npz"]


def damaged(path, content):
    path.write_bytes(content)


def changed(path, **arrays):
    with np.load(path) as file:
        old = {name: file[name] for name in file.files}
    np.savez(path, **{name: array for name, array in {**old, **arrays}.items() if array.size})


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"junk" * 100),
        lambda path: path.write_bytes(path.read_bytes()[:-200]),
        lambda path: changed(path, log_l=np.zeros(12)),
        lambda path: changed(path, log_l=np.array([])),
        lambda path: changed(path, start=np.array([[0, 3, 6], [6, 9, 99]])),
        lambda path: changed(path, log_age=np.array([8.0, 7.0])),
        lambda path: changed(path, initial_mass=np.ones(12)),
        lambda path: changed(path, provenance=np.array("no json")),
        lambda path: changed(path, provenance=np.array(json.dumps([1]))),
        lambda path: np.savez(path, log_age=np.array([object()])),
    ],
)
def test_damaged_files(tmp_path, harm):
    path = tmp_path / "a.npz"
    write_grid(path, small_grid())
    harm(path)
    with pytest.raises(InputError, match="not a grid of isochrones, or is damaged"):
        read_grid(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_grid(tmp_path / "absent.npz")
