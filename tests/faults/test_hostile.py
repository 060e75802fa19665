"""Files that are damaged or hostile: each is refused in one line, or read right."""

from __future__ import annotations

import copy
import gzip
import json
import os
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from praesepe import bounded
from praesepe.errors import InputError, PraesepeWarning
from praesepe.files import check_output, output_folder
from praesepe.images import Catalog, Mosaic, write_table
from praesepe.images.reading.pixels import map_pixels, scratch_image
from praesepe.mocks import simulate
from praesepe.mocks.mosaic_files import mosaic_hdus, mosaic_wcs
from praesepe.mocks.stamps import MockArrays, MockSet, write_mocks
from praesepe.network import Estimator
from praesepe.network.schema import checksum
from praesepe.network.storage import CONTENT, WEIGHTS
from praesepe.provenance import any_text
from praesepe.sky.check import check_survey
from praesepe.sky.fields.real import DESCRIPTION, FIELDS, RealFieldPool, checksum_of
from praesepe.sky.fields.real import FORMAT as FIELDS_FORMAT
from praesepe.stars.readers import read_isochrones
from praesepe.stars.store import read_grid
from praesepe.survey import load_survey
from praesepe.survey.limits import LIMITS
from praesepe.survey.problems import models_in
from praesepe.survey.schema import Survey
from praesepe.training.checkpoint import read_checkpoint

BANDS = ("F336W", "F475W", "F814W")


def with_psf(path: Path) -> None:
    content = load_survey("phat").model_dump(mode="json")
    content["observation"]["bands"][0]["psf"] = {"file": str(path), "file_scale_arcsec": 0.05}
    check_survey(Survey.checked(content, "psf"))


def model_of(path: Path) -> None:
    folder = path.with_suffix("")
    folder.mkdir()
    path.rename(folder / CONTENT)
    (folder / WEIGHTS).write_bytes(b"x")
    Estimator.load(folder)


def fields_of(path: Path) -> None:
    folder = path.with_suffix("")
    folder.mkdir()
    path.rename(folder / "fields.json")
    RealFieldPool(folder, load_survey("phat"))


def manifest_of(path: Path) -> None:
    folder = path.with_suffix("")
    folder.mkdir()
    path.rename(folder / "manifest.json")
    simulate("phat", n=256, out=folder, shards=1)


KINDS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "model": ("m.json", model_of),
    "checkpoint": ("c.safetensors", read_checkpoint),
    "fields": ("f.json", fields_of),
    "manifest": ("s.json", manifest_of),
    "isochrones": ("i.iso", read_isochrones),
    "grid": ("i.npz", read_grid),
    "psf": ("p.fits", with_psf),
    "survey": ("s.toml", load_survey),
    "catalog": ("c.csv", Catalog.read),
    "image": ("a.fits", lambda path: Mosaic.read(dict.fromkeys(BANDS, path), load_survey("phat"))),
}
DEEP = "[" * 100_000 + "]" * 100_000
DAMAGES: dict[str, Callable[[Path], Any]] = {
    "pipe": os.mkfifo,
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "nowhere": lambda path: path.symlink_to(path),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(5000)),
    "foreign": lambda path: path.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(range(256))),
    "nested": lambda path: path.write_text(DEEP),
    "wrong type": lambda path: path.write_text('{"format": [3], "shards": 7, "checksum": null}'),
    "not a number": lambda path: path.write_text('{"format": 3, "n": NaN, "shards": []}'),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_file_is_refused_in_one_line(kind: str, damage: str, tmp_path: Path) -> None:
    name, read = KINDS[kind]
    DAMAGES[damage](tmp_path / name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(InputError) as refused:
            read(tmp_path / name)
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("name", ["c.csv.gz", "c.vot.gz", "i.iso", "a.fits.gz", "p.fits"])
def test_what_unpacks_to_far_more_than_it_is_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "ALWAYS_ALLOWED", {"text": 1000, "image": 1000})
    path = tmp_path / name
    start = b"SIMPLE  =                    T" if "fits" in name else b"ra,dec\n"
    path.write_bytes(gzip.compress(start + b"1,2\n" * 1_000_000))
    kind = {"i": "isochrones", "a": "image", "p": "psf", "c": "catalog"}[name[0]]
    read = KINDS[kind][1]
    with pytest.raises(InputError, match="unpacks to more than"):
        read(path)


@pytest.mark.parametrize("change", ["cut off", "overwritten"])
def test_an_image_that_is_changed_while_it_is_mapped_is_refused(
    change: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.fits"
    header = fits.Header({"CRVAL1": 10.0, "CTYPE1": "RA---TAN", "BUNIT": "ELECTRONS/S"})
    fits.writeto(path, np.ones((600, 600), np.float32), header)
    whole = path.read_bytes()
    with path.open("rb") as file:
        pixels = map_pixels(file, np.dtype(">f4"), (600, 600), offset=2880, path=str(path))
    with path.open("r+b") as file:
        if change == "cut off":
            file.truncate(5000)
        else:
            os.utime(file.fileno(), (1, 1))
            file.write(whole[:3000])
    with pytest.raises(InputError, match="has changed since it was opened"):
        pixels.read(500, 500, 32, 32)
    with pytest.raises(InputError, match="has changed since it was opened"):
        pixels.read_windows(np.empty((1, 32, 32), np.float32), np.array([[500, 500]]))


def test_an_image_that_is_replaced_while_it_is_mapped_stays_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    np.ones((60, 60), np.float32).tofile(path)
    with path.open("rb") as file:
        pixels = map_pixels(file, np.dtype(np.float32), (60, 60), path=str(path))
    np.zeros((60, 60), np.float32).tofile(tmp_path / "b.bin")
    (tmp_path / "b.bin").replace(path)
    assert (pixels.read(0, 0, 60, 60) == 1).all()


def test_a_scratch_image_that_no_disk_holds_is_refused_before_it_is_made() -> None:
    with pytest.raises(InputError, match="scratch image of"):
        scratch_image((10**7, 10**7), iter([]))


def test_bands_and_commands_in_any_language_stand_in_fits(tmp_path: Path) -> None:
    content = load_survey("phat").model_dump(mode="json")
    content["observation"]["bands"] = content["observation"]["bands"][:1]
    content["observation"]["bands"][0]["name"] = "é 星"
    survey = Survey.checked(content, "é 星")
    path = tmp_path / "é 星.fits"
    truth = {"log_age": np.full(2, 7.0, np.float32), "mag_é 星": np.ones(2, np.float32)}
    arrays = MockArrays(np.ones((2, 1, survey.stamp_size, survey.stamp_size), np.float32), truth)
    write_mocks(path, MockSet(survey, 1, False, 2, command="praesepe simulate é 星"), [arrays])
    with fits.open(path) as hdus:
        header = hdus["IMAGES"].header
        assert header["BAND1"] == r"\xe9 \u661f"
        assert str(header["HISTORY"]) == r"praesepe simulate \xe9 \u661f"
    assert list(MockArrays.read(path).truth) == list(truth)
    hdus = mosaic_hdus(np.ones((9, 9)), survey.bands[0], mosaic_wcs(survey, 9), survey)
    hdus.writeto(tmp_path / "é.fits")
    assert Mosaic.read({"é 星": tmp_path / "é.fits"}, survey).shape == (9, 9)


@pytest.mark.parametrize("suffix", ["fits", "ecsv", "vot", "parquet", "csv"])
def test_tables_in_any_language_come_back(suffix: str, tmp_path: Path) -> None:
    table = Table({"mag_é 星": [1.0, 2.0], "n": [1, 2]}, meta={"command": "praesepe é 星"})
    path = tmp_path / f"é 星.{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PraesepeWarning)  # FITS holds ASCII only
        write_table(table, path)
    again = Catalog.read(path, x="mag_é 星", y="n", origin=1).table
    assert again.colnames == table.colnames
    if suffix in ("ecsv", "parquet"):
        assert again.meta["command"] == "praesepe é 星"
    if suffix == "fits":
        assert any_text(again.meta["COMMAND"]) == "praesepe é 星"


@pytest.mark.parametrize("key", ["n", "size", "pixel_scale_arcsec", "bands"])
def test_star_fields_of_which_a_key_is_damaged_are_refused(key: str, tmp_path: Path) -> None:
    pixels = np.ones((2, 3, 64, 64), np.float32)
    bands = [{"name": b.name, "zero_point_ab": b.zero_point_ab} for b in load_survey("phat").bands]
    whole = {
        "format": FIELDS_FORMAT,
        "n": 2,
        "size": 64,
        "pixel_scale_arcsec": 0.05,
        "bands": bands,
    }
    np.save(tmp_path / FIELDS, pixels)

    def read(description: dict[str, Any], signed: dict[str, Any]) -> None:
        content = {**description, "checksum": checksum_of(signed, pixels)}
        (tmp_path / DESCRIPTION).write_text(json.dumps(content))
        RealFieldPool(tmp_path, load_survey("phat"))

    read(whole, whole)
    for name, value in WRONG.items():
        wrong = {**whole, key: value}
        if name == "missing":
            del wrong[key]
        for signed in (wrong, whole):
            with pytest.raises(InputError):
                read(wrong, signed)
    with pytest.raises(InputError, match="is damaged, or of another run"):
        read({**whole, "note": "added later"}, whole)
    content = bytearray((tmp_path / FIELDS).read_bytes())
    content[-9] ^= 1
    (tmp_path / FIELDS).write_bytes(content)
    with pytest.raises(InputError, match="is damaged, or of another run"):
        read(whole, whole)
    (tmp_path / FIELDS).write_bytes(content.replace(b"{'descr'", b"(('descr"))
    with pytest.raises(InputError, match="cannot be read"):
        read(whole, whole)


# Every key of a model's description

WRONG: dict[str, Any] = {
    "missing": None,
    "null": None,
    "text": "é\n",
    "huge": 1e300,
    "negative": -7,
    "nan": float("nan"),
    "list": [[[]]],
    "table": {"a": {"b": 1}},
}


_TEXTS = {"name", "version"} | {
    f"bands.0.{key}" for key in ("name", "filter", "instrument", "channel")
}
HARMLESS: dict[str, set[str]] = {key: set() for key in WRONG} | {
    "missing": _TEXTS | {"background", "scaling", "weights", "conditions", "encoder.settings"},
    "text": _TEXTS,
    "negative": {f"priors.{name}.0" for name in ("log_age", "log_mass", "log_rh")},
}
"""What may be so in a model that was written so: with a right checksum."""


def keys_in(content: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Places of all entries of a model but those of its survey, of lists the first."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield (*above, key)
            if key != "survey":
                yield from keys_in(value, (*above, key))
    elif isinstance(content, list) and content:
        yield (*above, 0)
        yield from keys_in(content[0], (*above, 0))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    survey = load_survey("phat")
    return Estimator.untrained(survey, encoder="tiny").save(tmp_path_factory.mktemp("m") / "model")


@pytest.mark.parametrize("damage", WRONG)
def test_every_key_of_a_model_is_checked(damage: str, model: Path, tmp_path: Path) -> None:
    whole = json.loads((model / CONTENT).read_text())
    blob = (model / WEIGHTS).read_bytes()
    (tmp_path / WEIGHTS).write_bytes(blob)
    accepted = set()
    for place in keys_in(whole):
        content = copy.deepcopy(whole)
        inner = content
        for key in place[:-1]:
            inner = inner[key]
        if damage == "missing":
            del inner[place[-1]]
        else:
            inner[place[-1]] = WRONG[damage]
        for is_signed in (True, False):
            if is_signed and place != ("checksum",):
                content["checksum"] = checksum(content, blob)
            else:
                content["checksum"] = whole["checksum"]
                if content == whole or place == ("checksum",):
                    continue
            (tmp_path / CONTENT).write_text(json.dumps(content))
            try:
                Estimator.load(tmp_path)
            except InputError:
                continue
            assert is_signed, f"{place} was changed after the model was written"
            accepted.add(".".join(map(str, place)))
    known = {one for one in accepted if not one.startswith(("runs", "hashes"))}
    assert known <= HARMLESS[damage] | {"present_mass", "out_of_domain", "critic"}


# Numbers of a survey


def numeric_keys(settings: Any, seen: set[Any]) -> Iterator[tuple[str, str]]:
    """Keys of all tables of a survey that take numbers."""
    if settings in seen:
        return
    seen.add(settings)
    for key, field in settings.model_fields.items():
        if key != "bins" and takes_numbers(field.annotation):
            yield settings.__name__, key
        for inside in models_in(field.annotation):
            yield from numeric_keys(inside, seen)


def takes_numbers(annotation: Any) -> bool:
    return annotation in (int, float) or any(map(takes_numbers, get_args(annotation)))


def test_every_number_of_a_survey_has_limits() -> None:
    assert set(numeric_keys(Survey, set())) == {(of, key) for of in LIMITS for key in LIMITS[of]}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1e9, "pixel_scale_arcsec = 1e+09: allowed are 0.001 to 10 arcsec"),
        (-1, "0.001 to 10 arcsec (given: -1)"),
        (float("nan"), "0.001 to 10 arcsec (given: nan)"),
        (True, "give a number, not true or false"),
        (10.0**300, "0.001 to 10 arcsec"),
    ],
)
def test_a_number_beyond_its_limits_is_refused_with_its_unit(value: Any, said: str) -> None:
    content = load_survey("phat").model_dump(mode="json")
    content["observation"]["pixel_scale_arcsec"] = value
    with pytest.raises(InputError, match=re.escape(said)):
        Survey.checked(content, "survey")


def test_optics_that_no_memory_holds_are_refused_before_they_are_computed() -> None:
    survey = load_survey("phat").with_values(observation={"pixel_scale_arcsec": 10.0})
    for use in (check_survey, lambda one: simulate(one, n=1)):
        with pytest.raises(InputError, match="of memory, but the machine has"):
            use(survey)


@pytest.mark.parametrize("name", ["x" * 300 + ".csv", "a\0.csv", "y" * 300 + "/a.csv"])
def test_a_name_that_no_output_can_have_is_refused_before_the_work(
    name: str, tmp_path: Path
) -> None:
    for check in (check_output, lambda path: output_folder(path, ["a.csv"])):
        with pytest.raises(InputError, match=r"too long|is no path"):
            check(f"{tmp_path}/{name}")
