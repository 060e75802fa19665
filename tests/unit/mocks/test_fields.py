"""Star fields: clean places are clean, all others are left out, and the files say so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.table import Table

from praesepe.errors import InputError, PraesepeWarning
from praesepe.mocks.fields import build_fields
from praesepe.mocks.mosaic_files import mosaic_hdus, mosaic_wcs
from praesepe.mocks.places import (
    CELL_PX,
    FULL_WELL_E,
    Removed,
    choose,
    clean_places,
    saturation_e_s,
)
from praesepe.sky.fields.real import RealFieldPool
from praesepe.survey import load_survey

SIDE = 400
FIELD = 72


@pytest.fixture(scope="module")
def survey():
    """Two bands of the built-in survey."""
    phat = load_survey("phat-nodust")
    return phat.with_values(observation={"bands": phat.bands[1:]})


@pytest.fixture
def sky(survey, rng):
    """Images with a gap, a saturated star, a few dead pixels, and a cluster in the catalogue."""
    planes = {b.name: rng.normal(0.05, 0.01, (SIDE, SIDE)).astype(np.float32) for b in survey.bands}
    planes["F475W"][:, 300:310] = 0  # a gap between chips
    planes["F814W"][50, 60] = 500.0
    planes["F814W"][150:152, 60] = np.nan
    return planes


def hdus(survey, planes):
    wcs = mosaic_wcs(survey, SIDE)
    return {b.name: mosaic_hdus(planes[b.name], b, wcs, survey) for b in survey.bands}


CLUSTER = Table({"x": [200.0], "y": [330.0]})


@pytest.fixture
def built(survey, sky, tmp_path):
    with pytest.warns(PraesepeWarning, match="of 400 fields of 72 px fit"):
        return build_fields(
            survey, hdus(survey, sky), CLUSTER, out=tmp_path / "fields",
            exclude_radius_arcsec=2.0, origin=0, n=400, size=FIELD, seed=3,
        )  # fmt: skip


def test_fields_keep_away_from_what_is_unclean(built, survey, sky):
    places = Table.read(built.path / "places.ecsv")
    fields = built.images
    assert fields.shape == (built.n, 2, FIELD, FIELD)
    assert fields.dtype == np.float32
    assert repr(built).startswith(f"<StarFields in {built.path}: {built.n} fields; ")
    saved = built.save(built.path.parent / "copy")
    np.testing.assert_array_equal(saved.images, fields)
    assert (saved.path / "places.ecsv").read_bytes() == (built.path / "places.ecsv").read_bytes()
    assert saved.save(saved.path, overwrite=True) == saved
    with pytest.raises(InputError, match="already holds"):
        built.save(saved.path)
    x0, y0 = (np.round(places[a] - (FIELD - 1) / 2).astype(int) for a in "xy")
    assert min(x0.min(), y0.min()) >= 0
    assert max(x0.max(), y0.max()) + FIELD <= SIDE
    assert not ((x0 < 310) & (x0 + FIELD > 300)).any()  # the gap
    star = (x0 - 20 < 60) & (x0 + FIELD + 20 > 60) & (y0 - 20 < 50) & (y0 + FIELD + 20 > 50)
    assert not star.any()
    near_x, near_y = np.clip(200, x0, x0 + FIELD - 1), np.clip(330, y0, y0 + FIELD - 1)
    assert (np.hypot(near_x - 200, near_y - 330) > 40).all()  # 2 arcsec
    assert (np.abs(x0 - 60) < FIELD).any()  # the fields are elsewhere, not nowhere
    for field, x, y in zip(fields, x0, y0, strict=True):
        piece = sky["F475W"][y : y + FIELD, x : x + FIELD]
        np.testing.assert_allclose(field[0], piece, rtol=1e-5)
    assert np.isfinite(fields).all()  # the two dead pixels are filled
    assert fields.max() < 1


def test_fields_overlap_by_half_at_most(built):
    places = Table.read(built.path / "places.ecsv")
    dx, dy = (np.abs(places[a][:, None] - places[a]) for a in "xy")
    gap = np.maximum(dx, dy) + 1e9 * np.eye(len(places))
    assert gap.min() >= FIELD / 2


def test_the_description(built, survey):
    described = json.loads((built.path / "fields.json").read_text(encoding="utf-8"))
    assert described["survey_fingerprint"] == survey.fingerprint()
    assert [b["name"] for b in described["bands"]] == ["F475W", "F814W"]
    assert described["bands"][0]["zero_point_ab"] == survey.bands[0].zero_point_ab
    assert described["pixel_scale_arcsec"] == pytest.approx(0.05, rel=1e-6)
    assert described["seed"] == 3
    assert described["removed"]["clean"] == built.removed.clean
    sky = Table.read(built.path / "places.ecsv")
    ra, dec = mosaic_wcs(survey, SIDE).pixel_to_world_values(sky["x"], sky["y"])
    np.testing.assert_allclose(sky["ra"], ra, atol=1e-7)
    np.testing.assert_allclose(sky["dec"], dec, atol=1e-7)
    assert sorted(p.name for p in built.path.iterdir()) == [
        "fields.json", "fields.npy", "places.ecsv",
    ]  # fmt: skip
    assert [p.name for p in built.path.parent.iterdir()] == ["fields"]


def test_the_bank_reads_what_was_built(built, survey, generator):
    crops = torch.zeros(50, len(survey.bands), survey.stamp_size, survey.stamp_size)
    RealFieldPool(built.path, survey).add_to(crops, generator=generator)
    assert float(crops.mean()) == pytest.approx(0.05, abs=1e-3)
    assert float(crops.std()) == pytest.approx(0.01, rel=0.05)


def test_the_same_seed_chooses_the_same_places(survey, sky, tmp_path):
    images = hdus(survey, sky)
    first, again, other = (
        build_fields(survey, images, out=tmp_path / name, n=4, size=FIELD, seed=seed)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    pixels = [built.images for built in (first, again, other)]
    np.testing.assert_array_equal(pixels[0], pixels[1])
    assert not np.array_equal(pixels[0], pixels[2])


def test_the_edge_is_kept_away_from(survey, sky, tmp_path):
    built = build_fields(survey, hdus(survey, sky), out=tmp_path / "f", n=6, size=FIELD, edge_px=41)
    places = Table.read(built.path / "places.ecsv")
    for axis in "xy":
        assert places[axis].min() - (FIELD - 1) / 2 >= 41
        assert places[axis].max() + (FIELD - 1) / 2 <= SIDE - 1 - 41


def test_no_clean_field_left_says_why(survey, sky, tmp_path):
    sky["F814W"][::40, ::40] = 500
    with pytest.raises(InputError, match=r"(?s)no clean field left.*100\.0% have a saturated star"):
        build_fields(survey, hdus(survey, sky), out=tmp_path / "f", size=FIELD)
    assert not list(tmp_path.iterdir())


def test_what_lies_beside_the_fields_stays(survey, sky, tmp_path):
    """Notes and folders of the user's, also where the fields are replaced."""
    folder = tmp_path / "precious"
    (folder / "chapters").mkdir(parents=True)
    (folder / "thesis.tex").write_text("mine")
    for seed in (1, 2):
        built = build_fields(
            survey, hdus(survey, sky), out=folder, size=FIELD, n=2, seed=seed, overwrite=seed == 2
        )
    assert json.loads((folder / "fields.json").read_text())["seed"] == 2
    built.save(folder, overwrite=True)
    ours = ["fields.json", "fields.npy", "places.ecsv"]
    assert sorted(p.name for p in folder.iterdir()) == ["chapters", *ours, "thesis.tex"]
    assert (folder / "thesis.tex").read_text() == "mine"


def test_pixels_and_description_of_two_runs_are_refused(survey, sky, tmp_path):
    one, other = (
        build_fields(survey, hdus(survey, sky), out=tmp_path / name, size=FIELD, n=2, seed=seed)
        for name, seed in (("a", 1), ("b", 2))
    )
    moved = one.path.rename(tmp_path / "moved")
    RealFieldPool(moved, survey)
    (other.path / "fields.npy").replace(moved / "fields.npy")
    with pytest.raises(InputError, match=r"of another run than the fields.json"):
        RealFieldPool(moved, survey)


def test_saturation_follows_the_survey(survey):
    band = survey.bands[0]
    assert saturation_e_s(survey)[band.name] == pytest.approx(
        0.9 * FULL_WELL_E * band.n_exposures / band.exposure_s
    )
    full = band.model_copy(update={"saturation_e": 1000.0})
    known = survey.with_values(observation={"bands": (full,)})
    assert saturation_e_s(known)[band.name] == pytest.approx(
        900 * band.n_exposures / band.exposure_s
    )


def test_rules_against_brute_force(rng):
    """Every place, looked at one by one."""
    shape, size = (12, 15), 3 * CELL_PX - 2
    clusters, saturated = rng.random((2, *shape)) < 0.02
    missing = (rng.random(shape) < 0.03).astype(np.int32) * 5
    clean, removed = clean_places(clusters, missing, saturated, size)
    expected = np.zeros((10, 13), bool)
    for row, column in np.ndindex(expected.shape):
        window = np.s_[row : row + 3, column : column + 3]
        bad = missing[window].sum() > 0.001 * size**2
        expected[row, column] = not (bad or clusters[window].any() or saturated[window].any())
    np.testing.assert_array_equal(clean, expected)
    assert removed.clean == expected.sum()
    assert removed.places == expected.size
    assert isinstance(removed, Removed)
    corners = choose(clean, 5, size, rng)
    assert all(clean[y // CELL_PX, x // CELL_PX] for y, x in corners)


@pytest.mark.filterwarnings("ignore:.*reprojected")
def test_real_images(shared_data: Path, repository: Path, tmp_path: Path) -> None:
    """NGC 1261 with WFPC2: the fields are pieces of the real images, in e-/s."""
    images = {
        band: shared_data / "real/ngc1261" / f"{band.lower()}.fits" for band in ("F336W", "F555W")
    }
    survey = load_survey(repository / "examples/real_images/ngc1261/ngc1261.toml")
    bands = [band.model_copy(update={"saturation_e": 25_000.0}) for band in survey.bands]
    survey = survey.with_values(observation={"bands": tuple(bands)})
    built = build_fields(survey, images, out=tmp_path / "f", n=10, size=128, edge_px=80, seed=1)
    assert built.n == 10
    assert 0.01 < built.removed.saturated / built.removed.places < 0.9
    crops = torch.zeros(100, 2, 64, 64)
    RealFieldPool(built.path, survey).add_to(crops, generator=torch.Generator().manual_seed(1))
    assert torch.isfinite(crops).all()
    brightest = crops.amax((0, 2, 3)).tolist()
    limits = saturation_e_s(survey).values()
    assert all(value < limit for value, limit in zip(brightest, limits, strict=True))
    # stars stand out of the sky and the noise
    second = crops[:, 1].flatten(1)
    assert (second.amax(1) > 10 * second.median(1).values).float().mean() > 0.8


def test_fields_of_images_without_a_wcs(survey, sky, tmp_path):
    plain = hdus(survey, sky)
    for images in plain.values():
        for image in images if isinstance(images, list) else [images]:
            for key in ("CTYPE1", "CTYPE2"):
                image.header.remove(key, ignore_missing=True)
    options = {"n": 2, "size": FIELD, "out": tmp_path / "fields"}
    with pytest.raises(InputError, match="WCS"):
        build_fields(survey, plain, **options)
    built = build_fields(survey, plain, allow_no_wcs=True, **options)
    assert built.n == 2
    assert "ra" not in Table.read(built.path / "places.ecsv").colnames
