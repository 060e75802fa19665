"""Annotated clusters: the right stamps with the right labels, and batches made of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from praesepe.blocks import BLOCK_SIZE
from praesepe.errors import InputError, PraesepeWarning
from praesepe.mocks.mosaic_files import mosaic_hdus, mosaic_wcs
from praesepe.sky.simulator import Mocks
from praesepe.sky.stamps import TruthContext
from praesepe.survey import Survey, parse_survey
from praesepe.survey.schema import ARCSEC
from praesepe.training.config import TrainingSettings
from praesepe.training.labelled import MINIMUM, Labelled, read_labelled
from praesepe.training.sources import (
    VALIDATION_SEED,
    Batch,
    LabelledSource,
    MixedSource,
    SimulatedSource,
)
from praesepe.training.turning import dihedral

SIDE, N = 200, 30


@pytest.fixture(scope="module")
def survey() -> Survey:
    bands = [
        {
            "name": name,
            "filter": f"acs_wfc_{name.lower()}",
            "zero_point_ab": 26.0,
            "exposure_s": 1500.0,
            "sky_e_s": [0.05, 0.1],
        }
        for name in ("F475W", "F814W")
    ]
    return parse_survey(
        {
            "name": "toy",
            "observation": {
                "pixel_scale_arcsec": 0.05,
                "bands": bands,
                "nuisance": {"zero_point_mag": 0.05},
            },
            "galaxy": {"distance_pc": 785000.0},
            "network": {"stamp_size": 16},
            "clusters": {"rh_arcsec": [0.1, 0.4]},
        }
    )


@pytest.fixture(scope="module")
def planes() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    shape = (SIDE, SIDE)
    return {name: rng.normal(1, 0.1, shape).astype(np.float32) for name in ("F475W", "F814W")}


@pytest.fixture
def images(tmp_path: Path, survey: Survey, planes: dict[str, np.ndarray]) -> dict[str, Path]:
    """Two mosaics with WCS and all the usual keywords."""
    wcs = mosaic_wcs(survey, SIDE)
    for band in survey.bands:
        hdus = mosaic_hdus(planes[band.name], band, wcs, survey)
        hdus.writeto(tmp_path / f"{band.name}.fits")
    return {band.name: tmp_path / f"{band.name}.fits" for band in survey.bands}


@pytest.fixture
def catalog(survey: Survey) -> Table:
    """Positions well inside, and labels that tell the rows apart."""
    rng = np.random.default_rng(5)
    x, y = rng.integers(10, SIDE - 10, (2, N))
    ra, dec = mosaic_wcs(survey, SIDE).pixel_to_world_values(x, y)
    return Table(
        {
            "ra": ra,
            "dec": dec,
            "x0": x,
            "y0": y,
            "log_age": np.linspace(7, 10, N),
            "log_mass": np.linspace(2, 4, N),
            "rh_arcsec": np.linspace(0.1, 0.5, N),
        }
    )


def test_stamps_and_labels_belong_together(
    survey: Survey,
    images: dict[str, Path],
    planes: dict[str, np.ndarray],
    catalog: Table,
    tmp_path: Path,
) -> None:
    file = tmp_path / "known.ecsv"
    catalog.write(file)
    labelled = read_labelled(survey, images, file)
    assert labelled.left_out == 0
    assert labelled.images.shape == (N, 2, 16, 16)
    assert labelled.images.dtype == labelled.labels.dtype == np.float32
    expected = np.column_stack(
        (catalog["log_age"], catalog["log_mass"], np.log10(catalog["rh_arcsec"]))
    )
    np.testing.assert_allclose(labelled.labels, expected, rtol=1e-6)
    for row, stamp in zip(catalog, labelled.images, strict=True):
        cut = slice(row["y0"] - 8, row["y0"] + 8), slice(row["x0"] - 8, row["x0"] + 8)
        for i, plane in enumerate(planes.values()):
            np.testing.assert_allclose(stamp[i], plane[cut], rtol=1e-3)


def test_pixel_positions_and_log_rh(
    survey: Survey, images: dict[str, Path], catalog: Table
) -> None:
    by_sky = read_labelled(survey, images, catalog)
    table = catalog["x0", "y0", "log_age", "log_mass"]
    table["log_rh"] = np.log10(catalog["rh_arcsec"])
    by_pixel = read_labelled(survey, images, table, x="x0", y="y0", origin=0)
    np.testing.assert_array_equal(by_pixel.images, by_sky.images)
    np.testing.assert_allclose(by_pixel.labels, by_sky.labels, rtol=1e-6)
    assert by_pixel.fingerprint() != Labelled(by_sky.images, by_sky.labels + 1).fingerprint()


def test_rows_that_cannot_be_used_are_left_out(
    survey: Survey, images: dict[str, Path], catalog: Table
) -> None:
    catalog["log_mass"] = MaskedColumn(catalog["log_mass"])
    catalog["log_mass"].mask[1] = True
    catalog["log_age"][3] = np.nan
    catalog["rh_arcsec"][5] = -1.0
    catalog["rh_arcsec"][6] = 0.0
    catalog["dec"][8] += 1.0  # off the image
    catalog["ra"][9] = np.nan
    labelled = read_labelled(survey, images, catalog)
    assert labelled.left_out == 6
    kept = np.delete(np.linspace(7, 10, N), [1, 3, 5, 6, 8, 9])
    np.testing.assert_allclose(labelled.labels[:, 0], kept, rtol=1e-6)


def test_units_zero_points_and_images_without_wcs(
    survey: Survey, planes: dict[str, np.ndarray], catalog: Table, tmp_path: Path
) -> None:
    images = {}
    for name, plane in planes.items():
        images[name] = tmp_path / f"{name}.fits"
        fits.PrimaryHDU(plane).writeto(images[name])
    settings = {"x": "x0", "y": "y0", "origin": 0, "allow_no_wcs": True}
    points = {"F475W": 26.0, "F814W": 26.0}
    units = dict.fromkeys(planes, "electron / s")
    with pytest.raises(InputError):  # no unit in the file, none given
        read_labelled(survey, images, catalog, **settings)
    plain = read_labelled(survey, images, catalog, units=units, zero_points=points, **settings)
    points["F814W"] = 25.0  # 2.5 times as many e-/s at the survey's zero point
    with pytest.warns(PraesepeWarning, match="values are scaled"):
        scaled = read_labelled(survey, images, catalog, units=units, zero_points=points, **settings)
    np.testing.assert_allclose(scaled.images[:, 0], plain.images[:, 0], rtol=1e-5)
    np.testing.assert_allclose(scaled.images[:, 1], 10**0.4 * plain.images[:, 1], rtol=1e-4)


def test_too_few_are_refused(survey: Survey, images: dict[str, Path], catalog: Table) -> None:
    catalog["log_age"][MINIMUM - 1 :] = np.nan
    with pytest.raises(InputError, match=r"19 usable .*\(11 left out\); at least 20"):
        read_labelled(survey, images, catalog)


@pytest.mark.parametrize("missing", [["log_age"], ["rh_arcsec"], ["log_mass", "rh_arcsec"]])
def test_missing_labels_are_named(
    survey: Survey, images: dict[str, Path], catalog: Table, missing: list[str]
) -> None:
    catalog.remove_columns(missing)
    with pytest.raises(InputError, match=f"no column {', '.join(missing)} .*it has ra, dec"):
        read_labelled(survey, images, catalog)


def test_a_network_that_is_told_and_asks_for_the_class(
    survey: Survey,
    images: dict[str, Path],
    planes: dict[str, np.ndarray],
    catalog: Table,
    tmp_path: Path,
) -> None:
    more = ("contaminant", "offset_x_px", "offset_y_px")
    infers = ("log_age", "log_mass", "log_rh", "object_class", "log_visibility", *more)
    conditions = ("present", "depth", "log_distance", "foreground_a_v")
    network = {"infers": infers, "conditions": conditions}
    galaxy = {"foreground_a_v": (0.0, 0.3)}
    asks = survey.with_values(network=network, contaminants={"fraction": 0.3}, galaxy=galaxy)
    catalog["foreground"] = np.linspace(0.1, 0.2, N)
    red = images.pop("F814W")
    with pytest.raises(InputError, match="in F475W alone: one color"):
        read_labelled(asks, images, catalog)
    green = asks.bands[0].model_copy(update={"name": "F606W", "filter": "acs_wfc_f606w"})
    three = asks.with_values(observation={"bands": (*asks.bands, green)})
    more = {"F475W": images["F475W"], "F606W": tmp_path / "green.fits"}
    wcs = mosaic_wcs(survey, SIDE)
    mosaic_hdus(planes["F814W"], green, wcs, survey).writeto(more["F606W"])
    with pytest.warns(PraesepeWarning, match="depth = .* is outside"):  # no sky is so bright
        labelled = read_labelled(three, more, catalog, known={"foreground_a_v": "foreground"})
    assert labelled.labels.shape == (N, 8)
    assert (labelled.labels[:, 3] == 1).all()  # clusters
    assert np.isnan(labelled.labels[:, [4, 6, 7]]).all()
    assert (labelled.labels[:, 5] == 0).all()
    assert labelled.conditions is not None
    present, depth = labelled.conditions[:, :3], labelled.conditions[:, 3:6]
    assert present.tolist() == [[1, 0, 1]] * N
    np.testing.assert_allclose(depth[0, [0, 2]], 26 - 2.5 * np.log10(0.1), atol=0.05)  # measured
    assert np.isnan(depth[:, 1]).all()
    np.testing.assert_allclose(labelled.conditions[:, 6], np.log10(785000), rtol=1e-6)
    np.testing.assert_allclose(labelled.conditions[:, 7], catalog["foreground"], rtol=1e-6)
    assert not labelled.images[:, 1].any()
    labelled.check(dict.fromkeys(infers, (-10.0, 20.0)))
    unknown = labelled.labels.copy()
    unknown[:, 0] = np.nan
    ageless = Labelled(labelled.images, unknown)
    with pytest.raises(InputError, match="label log_age is not known of any cluster"):
        ageless.check(dict.fromkeys(infers, (-10.0, 20.0)))
    with pytest.raises(InputError, match="names no network"):
        read_labelled(survey, images | {"F814W": red}, catalog, known={"a_v": 0.0})


def test_words_are_no_labels(survey: Survey, images: dict[str, Path], catalog: Table) -> None:
    catalog["log_age"] = ["old"] * N
    with pytest.raises(InputError, match="row 1: log_age = 'old' is not a number"):
        read_labelled(survey, images, catalog)


# Batches


def make_labelled(n: int = 70, **changes: Any) -> Labelled:
    rng = np.random.default_rng(1)
    images = rng.normal(1, 0.2, (n, 2, 16, 16)).astype(np.float32)
    labels = np.column_stack([np.arange(n), rng.normal(size=(2, n)).T]).astype(np.float32)
    return Labelled(**{"images": images, "labels": labels, **changes})


def make_source(survey: Survey, labelled: Labelled, seed: int = 0, size: int = 64) -> Any:
    return LabelledSource(labelled, survey, seed, size, torch.device("cpu"))


def test_batches_are_those_of_seed_and_step(survey: Survey) -> None:
    first, again, other = (make_source(survey, make_labelled(), seed) for seed in (1, 1, 2))
    other.batch(3)
    images, labels, told = first.batch(7)
    assert told is None
    assert images.shape == (64, 2, 16, 16)
    assert labels.shape == (64, 3)
    assert images.dtype == labels.dtype == torch.float32
    assert torch.equal(images, again.batch(7)[0])
    assert torch.equal(labels, again.batch(7)[1])
    assert not torch.equal(labels, first.batch(8)[1])
    assert not torch.equal(labels, other.batch(7)[1])


def test_validation_shares_nothing_with_training(survey: Survey) -> None:
    source = make_source(survey, make_labelled())
    kept_back = set(source.validation()[1][:, 0].tolist())
    used = {number for step in range(30) for number in source.batch(step)[1][:, 0].tolist()}
    assert len(kept_back) == 17
    assert len(used) == 53
    assert not kept_back & used
    assert source.everything.images.shape == (70, 2, 16, 16)


def test_half_of_every_batch_is_simulated(survey: Survey) -> None:
    class Simulated:
        def batch(self, step: int) -> Batch:
            return Batch(torch.full((8, 2, 16, 16), float(step)), torch.full((8, 3), -1.0))

        def validation(self) -> Batch:
            return Batch(torch.zeros(5, 2, 16, 16), torch.full((5, 3), -1.0))

    labelled = make_source(survey, make_labelled(), size=8)
    source = MixedSource(labelled, Simulated())  # type: ignore[arg-type]
    images, labels, told = source.batch(3)
    assert told is None
    assert torch.equal(images[:8], labelled.batch(3).images)
    assert (images[8:] == 3).all()
    assert ((labels == -1).all(1) == (torch.arange(16) >= 8)).all()
    assert len(source.validation().images) == 17  # of labelled clusters alone
    assert len(source.everything.images) == 75


def test_conditions_go_with_their_stamps(survey: Survey) -> None:
    asks = survey.with_values(network={"conditions": ("present", "depth")})
    told = np.tile(np.arange(70, dtype=np.float32)[:, None], (1, 4))
    source = make_source(asks, make_labelled(conditions=told))
    for batch in (source.batch(0), source.validation()):
        assert batch.conditions is not None
        assert torch.equal(batch.conditions[:, 0], batch.labels[:, 0])  # both number the clusters
    unknown = make_source(asks, make_labelled()).validation().conditions
    assert unknown[:, :2].eq(1).all()  # every band is there
    assert unknown[:, 2:].isnan().all()
    with pytest.raises(InputError, match=r"shape of conditions = \(70, 3\): it must be \(70, 4\)"):
        make_source(asks, make_labelled(conditions=told[:, :3]))
    must = survey.with_values(network={"conditions": ("log_distance",)})
    with pytest.raises(InputError, match="is told log_distance; given were none"):
        make_source(must, make_labelled())


def test_stamps_are_turned_mirrored_and_scaled(survey: Survey) -> None:
    labelled = make_labelled()
    source = make_source(survey, labelled, size=400)
    images, labels, _ = source.batch(0)
    seen, offsets = set(), []
    for image, number in zip(images.numpy(), labels[:, 0].long().tolist(), strict=True):
        original = labelled.images[number]
        ways = [dihedral(torch.from_numpy(original), k).numpy() for k in range(8)]
        # One factor per band, whatever the way the stamp lies.
        gain = image.mean((1, 2)) / original.mean((1, 2))
        fits = [np.allclose(image, way * gain[:, None, None], rtol=1e-4) for way in ways]
        assert sum(fits) == 1
        seen.add(fits.index(True))
        offsets.append(-2.5 * np.log10(gain))
    assert seen == set(range(8))
    assert np.std(offsets) == pytest.approx(0.05, rel=0.15)  # the survey's zero_point_mag
    assert abs(np.corrcoef(np.transpose(offsets))[0, 1]) < 0.2  # each band on its own


def test_labels_that_cannot_be_learnt() -> None:
    labels = np.tile(np.float32([9.0, 3.0, 1.0]), (30, 1))
    labels[:4, 1] = 9.0
    priors = {"log_age": (6.6, 10.1), "log_mass": (2.0, 3.5), "profile": (0.0, 2.0)}
    with pytest.warns(PraesepeWarning, match="4 of 30 values of label log_mass are outside"):
        make_labelled(30, labels=labels).check(priors)
    labels[3, 2] = 7.0
    with pytest.warns(PraesepeWarning), pytest.raises(InputError, match=r"profile = 7; .*0 \(eff"):
        make_labelled(30, labels=labels).check(priors)


def test_double_precision_becomes_single(survey: Survey) -> None:
    labelled = make_labelled()
    double = Labelled(labelled.images.astype(float), labelled.labels.astype(">f8"))
    images, labels, _ = make_source(survey, double).batch(0)
    assert images.dtype == labels.dtype == torch.float32
    assert double.fingerprint() == labelled.fingerprint()


def test_labels_have_the_distance_of_each_stamp(
    survey: Survey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels of simulations, derived or not, are the stamps' own truth."""
    mocks = Mocks(
        torch.zeros(2, 2, 16, 16),
        {
            "log_rh": torch.tensor([-0.5, -1.0]),
            "a_v": torch.tensor([0.3, 0.1]),
            "distance_pc": torch.tensor([5e5, 1e6]),
        },
        TruthContext(survey.pc_per_arcsec, np.array([6.0, 10.0]), np.array([1.0, 0.5])),
    )
    simulator = SimpleNamespace(draw_block=lambda *_, **__: mocks, survey=survey)
    monkeypatch.setattr("praesepe.training.sources.Simulator", lambda *_, **__: simulator)
    infers = ("a_v", "log_rh", "rh_arcsec", "rh_pc")
    cpu, settings = torch.device("cpu"), TrainingSettings(steps=1)
    card = SimpleNamespace(infers=infers, conditions=())
    source = SimulatedSource(survey, settings, card, cpu, tables=None, setup=None)
    images, labels, _ = source.batch(0)
    assert torch.equal(images, mocks.images)
    expected = [[0.3, -0.5, 10**-0.5], [0.1, -1.0, 0.1]]
    np.testing.assert_allclose(labels[:, :3], expected, rtol=1e-6)
    np.testing.assert_allclose(
        labels[:, 3], labels[:, 2].numpy() * ARCSEC * np.array([5e5, 1e6]), rtol=1e-6
    )
    with pytest.raises(InputError, match="does not tell 'log_z'"):
        mocks.values(("log_z",))


@pytest.mark.parametrize("views", [1, 3])
def test_every_stamp_is_seen_in_several_views(
    survey: Survey, monkeypatch: pytest.MonkeyPatch, views: int
) -> None:
    size, steps, drawn = 10, 60, []

    def draw_block(number: int, n: int, *, compute_truth: bool) -> Mocks:
        drawn.append(number)
        truth = {
            "log_age": n * number + torch.arange(float(n)),
            "offset_x_px": torch.full((n,), 2.0),
            "offset_y_px": torch.full((n,), 3.0),
        }
        images = torch.zeros(n, 1, 9, 9)
        images[:, :, 4 + 3, 4 + 2] = 1
        return Mocks(images, truth)

    simulator = SimpleNamespace(draw_block=draw_block, survey=survey)
    monkeypatch.setattr("praesepe.training.sources.Simulator", lambda *_, **__: simulator)
    settings = TrainingSettings(steps=steps, batch_size=size, views=views)
    card = SimpleNamespace(infers=("log_age", "offset_x_px", "offset_y_px"), conditions=())
    cpu = torch.device("cpu")
    source = SimulatedSource(survey, settings, card, cpu, tables=None, setup=None)
    batches = [source.batch(step) for step in range(steps)]
    assert {len(batch.images) for batch in batches} == {size}
    seen = torch.cat([batch.labels for batch in batches])
    counts = seen[:, 0].unique(return_counts=True)[1].bincount()
    assert counts.argmax() == views  # but for the blocks at the beginning and the end
    assert len(counts) == views + 1
    assert all(len(batch.labels[:, 0].unique()) == size for batch in batches)
    places = torch.cat([batch.images for batch in batches])[:, 0].nonzero()[:, 1:] - 4
    assert torch.equal(places.flip(1).float(), seen[:, 1:])
    assert (len(places.unique(dim=0)) == 8) == (views > 1)
    assert sorted(drawn) == list(range(max(drawn) + 1))  # each once
    # A run that goes on sees the same, though its blocks are made anew.
    again = SimulatedSource(survey, settings, card, cpu, tables=None, setup=None)
    for step in (31, 32):
        assert torch.equal(again.batch(step).images, batches[step].images)
        assert torch.equal(again.batch(step).labels, batches[step].labels)


def test_the_validation_set_is_made_of_blocks(
    survey: Survey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another(seed: int, *, n_fields: int) -> Any:
        def draw_block(number: int, n: int, *, compute_truth: bool) -> Mocks:
            assert seed == 5 + VALIDATION_SEED
            values = torch.full((n,), float(number))
            return Mocks(values[:, None, None, None], {"log_age": values}, context)

        return SimpleNamespace(draw_block=draw_block)

    context = TruthContext(1.0, np.array([6.0, 10.0]), np.array([1.0, 0.5]))
    made = SimpleNamespace(another=another, survey=survey)
    monkeypatch.setattr("praesepe.training.sources.Simulator", lambda *_, **__: made)
    settings = TrainingSettings(steps=1, seed=5, valid_size=2 * BLOCK_SIZE + 3)
    cpu = torch.device("cpu")
    card = SimpleNamespace(infers=("log_age",), conditions=())
    source = SimulatedSource(survey, settings, card, cpu, tables=None, setup=None)
    images, labels, _ = source.validation()
    numbers = torch.arange(3.0).repeat_interleave(BLOCK_SIZE)[: settings.valid_size]
    assert torch.equal(images[:, 0, 0, 0], numbers)
    assert torch.equal(labels[:, 0], numbers)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.zeros((69, 3))}, "labels = 69: .* 70"),
        ({"labels": np.zeros(70)}, r"\(70,\).*must be"),
        ({"images": np.zeros((70, 16, 16))}, r"\(70, 16, 16\).*must be"),
        ({"images": np.full((70, 2, 16, 16), np.nan)}, "NaN"),
        ({"labels": np.full((70, 3), np.inf)}, "infinite"),
    ],
)
def test_impossible_sets(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_labelled(**change)


def test_stamps_of_another_survey(survey: Survey) -> None:
    labelled = make_labelled(images=np.zeros((70, 3, 16, 16)))
    with pytest.raises(InputError, match=r"\(3, 16, 16\), survey 'toy' has \(2, 16, 16\)"):
        make_source(survey, labelled)
