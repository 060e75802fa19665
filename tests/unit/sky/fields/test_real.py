"""Real star fields: crops are what the file holds, and only fields that fit are accepted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from praesepe.errors import InputError
from praesepe.sky.fields.crops import add_crops, gather
from praesepe.sky.fields.real import DESCRIPTION, FIELDS, FORMAT, RealFieldPool
from praesepe.survey import load_survey

N, SIZE = 3, 70


@pytest.fixture(scope="module")
def survey():
    return load_survey("phat-nodust")


@pytest.fixture(scope="module")
def folder(survey, tmp_path_factory) -> Path:
    """Fields whose values tell where they are: field, band, row and column."""
    path = tmp_path_factory.mktemp("fields")
    field, band, y, x = np.meshgrid(
        np.arange(N), np.arange(3), np.arange(SIZE), np.arange(SIZE), indexing="ij"
    )
    np.save(path / FIELDS, (field * 30000 + band * 10000 + y * 100 + x).astype(np.float32))
    description = {
        "format": FORMAT,
        "n": N,
        "size": SIZE,
        "pixel_scale_arcsec": survey.pixel_scale_arcsec,
        "bands": [{"name": b.name, "zero_point_ab": b.zero_point_ab} for b in survey.bands],
    }
    (path / DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")
    return path


@pytest.fixture
def changed(folder, tmp_path):
    """A copy of the folder whose description was changed."""

    def change(**keys) -> Path:
        copy = tmp_path / "changed"
        shutil.copytree(folder, copy)
        description = json.loads((copy / DESCRIPTION).read_text(encoding="utf-8"))
        (copy / DESCRIPTION).write_text(json.dumps(description | keys), encoding="utf-8")
        return copy

    return change


def cut(pool, n, generator, n_bands=3):
    crops = torch.zeros(n, n_bands, 64, 64)
    pool.add_to(crops, generator=generator)
    return crops


def test_crops_are_connected_and_bands_aligned(folder, survey, generator):
    where = cut(RealFieldPool(folder, survey), 200, generator).long()
    band = (where % 30000) // 10000
    assert (band == torch.arange(3)[:, None, None]).all()
    place = where % 10000
    assert (place == place[:, :1]).all()  # the same rows and columns in all bands
    y, x = place[:, 0] // 100, place[:, 0] % 100
    steps = {
        (int(a), int(b), int(c), int(d))
        for a, b, c, d in zip(
            y[:, 1, 0] - y[:, 0, 0],
            x[:, 1, 0] - x[:, 0, 0],
            y[:, 0, 1] - y[:, 0, 0],
            x[:, 0, 1] - x[:, 0, 0],
            strict=True,
        )
    }
    assert len(steps) == 8  # all of the dihedral group
    assert set((where[:, 0, 0, 0] // 30000).tolist()) == {0, 1, 2}
    corners = y.flatten(1).min(1).values
    assert set(corners.tolist()) == set(range(7))


def test_the_generator_decides_alone(folder, survey):
    pool = RealFieldPool(folder, survey)
    first = cut(pool, 5, torch.Generator().manual_seed(1))
    cut(pool, 9, torch.Generator().manual_seed(2))
    again = cut(pool, 5, torch.Generator().manual_seed(1))
    other = cut(pool, 5, torch.Generator().manual_seed(3))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_ways_of_cpu_and_gpu_agree(folder):
    choice = torch.stack(
        [torch.arange(24) % 3, torch.arange(24) % 7, torch.arange(24) % 5, torch.arange(24) % 8]
    )
    fields = torch.from_numpy(np.load(folder / FIELDS))
    crops = torch.ones(24, 3, 64, 64)
    add_crops(crops, fields, choice)
    assert torch.equal(1 + gather(fields, choice, 64), crops)


def test_bands_in_another_order(folder, survey, generator):
    turned = survey.with_values(observation={"bands": survey.bands[:0:-1]})
    crops = cut(RealFieldPool(folder, turned), 4, generator, n_bands=2)
    assert ((crops.long() % 30000) // 10000 == torch.tensor([2, 1])[:, None, None]).all()


def test_a_missing_band(changed, survey):
    only = changed(bands=[{"name": "F475W", "zero_point_ab": survey.bands[1].zero_point_ab}])
    np.save(only / FIELDS, np.load(only / FIELDS)[:, 1:2])
    with pytest.raises(InputError, match=r"have bands F475W, but survey .* F336W, F475W and F814W"):
        RealFieldPool(only, survey)


def test_another_zero_point(changed, survey):
    bands = [{"name": b.name, "zero_point_ab": b.zero_point_ab} for b in survey.bands]
    bands[2]["zero_point_ab"] = 25.0
    with pytest.raises(InputError, match=r"zero point of F814W .* of 25\.0, but .* 25\.9"):
        RealFieldPool(changed(bands=bands), survey)


def test_another_pixel_scale(changed, survey):
    with pytest.raises(InputError, match=r"pixels .arcsec. of 0\.04, but .* 0\.05"):
        RealFieldPool(changed(pixel_scale_arcsec=0.04), survey)


def test_fields_smaller_than_a_stamp(folder, survey):
    with pytest.raises(InputError, match=r"width .px. of 70, but .* 80"):
        RealFieldPool(folder, survey.with_values(network={"stamp_size": 80}))


def test_no_fields(tmp_path, survey):
    with pytest.raises(InputError, match=r"make them .praesepe.build_fields"):
        RealFieldPool(tmp_path, survey)


def test_other_formats_and_damage(changed, survey):
    with pytest.raises(InputError, match="format = 'new'"):
        RealFieldPool(changed(format="new"), survey)


def test_a_truncated_file(changed, survey):
    folder = changed()
    whole = (folder / FIELDS).read_bytes()
    (folder / FIELDS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        RealFieldPool(folder, survey)


def test_a_wrong_shape(changed, survey):
    with pytest.raises(InputError, match=r"as fields\.json beside it says"):
        RealFieldPool(changed(n=7), survey)
