"""Stamps without a cluster in their middle: what they hold, and what is known of them."""

from __future__ import annotations

from copy import copy

import numpy as np
import pytest
import torch

from praesepe.errors import InputError
from praesepe.mocks.sets import simulate
from praesepe.mocks.stamps import MockArrays
from praesepe.quantities import CONTAMINANT
from praesepe.sky.contaminants import ARTEFACT, GALAXY, GROUP, NONE, OFF_CENTER, STAR
from praesepe.sky.instrument.artefacts import ARTEFACTS, Detection, Draws
from praesepe.sky.simulator import Simulator
from praesepe.sky.tables import SurveyTables
from praesepe.survey import load_survey

FRACTION = 0.4
KINDS = CONTAMINANT.categories


@pytest.fixture(scope="module")
def survey():
    phat = load_survey("phat-nodust")
    return phat.with_values(
        observation={"bands": phat.bands[1:]},
        galaxy={"field": {"metallicity": (0.02, 0.02)}},
        contaminants={"fraction": FRACTION, "aside": 0.0},
    )


@pytest.fixture(scope="module")
def tables(survey):
    return SurveyTables.build(survey)


@pytest.fixture(scope="module")
def simulator(survey, tables):
    """Without star fields and nuisances."""
    return Simulator(survey, seed=1, tables=tables, n_fields=0, nuisances=False)


def having(simulator, **settings):
    """The same with other contaminants."""
    other = copy(simulator)
    other.contaminants = copy(simulator.contaminants)
    other.contaminants.survey = simulator.survey.with_values(contaminants=settings)
    return other


def observe(simulator, kind, n, **given):
    return simulator.observe({"contaminant": kind, **given}, n=n)


def light_in(images, x, y, radius):
    """Light (n, band) within a radius about places (n,), above the median of the stamp."""
    above = images - images.flatten(-2).median(-1).values[..., None, None]
    steps = torch.arange(images.shape[-1])
    inside = torch.hypot(steps - x[:, None, None], steps[:, None] - y[:, None, None]) < radius
    return (above * inside[:, None]).sum((-1, -2))


def true_light(mocks, survey):
    zero_points = torch.tensor([band.zero_point_ab for band in survey.bands])
    mags = torch.stack([mocks.truth[f"mag_{name}"] for name in survey.band_names], 1)
    return 10 ** (0.4 * (zero_points - mags))


def test_kinds_occur_as_often_as_the_survey_says(survey, simulator):
    kind = simulator.sample(20_000).more["contaminant"]
    shares = np.array([getattr(survey.contaminants.shares, name) for name in KINDS[1:]])
    expected = np.append(1 - FRACTION, FRACTION * shares / shares.sum())
    found = torch.bincount(kind, minlength=len(KINDS)).numpy() / len(kind)
    assert np.abs(found - expected).max() < 4 * (0.25 / len(kind)) ** 0.5
    assert found[1:] == pytest.approx(expected[1:], rel=0.15)


def test_nothing_is_known_of_clusters_that_are_not_in_the_middle(simulator):
    truth = simulator.another(3, n_fields=1).draw_block(2, 96).truth
    middle = truth["contaminant"] == NONE
    assert 0 < middle.sum() < 96
    assert torch.equal(truth["object_class"] == 1, middle)
    for name in ("log_age", "log_mass", "log_rh", "gamma", "n_stars", "brightest_F814W"):
        assert torch.equal(torch.isfinite(truth[name]), middle), name
    empty = (truth["contaminant"] == 1) | (truth["contaminant"] == ARTEFACT)
    for name in ("x", "y", "mag_F814W"):
        assert torch.equal(torch.isfinite(truth[name]), ~empty), name
    assert torch.isfinite(truth["field_density"]).all()


def test_a_block_is_the_same_whatever_was_drawn_before(simulator):
    first = simulator.another(3, n_fields=1).draw_block(5, 40)
    other = simulator.another(3, n_fields=1)
    other.draw_block(4, 16)
    again = other.draw_block(5, 40)
    assert len(first.truth["contaminant"].unique()) > 3
    assert torch.equal(first.images, again.images)
    for name, values in first.truth.items():
        torch.testing.assert_close(values, again.truth[name], rtol=0, atol=0, equal_nan=True)


def test_clusters_alone_can_be_drawn_and_are_of_one_class(survey, tables):
    mocks = Simulator(survey, seed=3, tables=tables, n_fields=0, contaminants=False).draw(20)
    assert (mocks.truth["object_class"] == 1).all()
    assert torch.isfinite(mocks.labels).all()


def test_a_survey_without_contaminants_draws_from_the_same_stream(survey, simulator, tables):
    plain = survey.with_values(contaminants={"fraction": 0.0})
    assert plain.fingerprint() != survey.fingerprint()
    mocks = Simulator(plain, seed=3, tables=tables, n_fields=0).draw(4)
    assert "contaminant" not in mocks.truth
    clusters = simulator.another(3, n_fields=0).sample(4)
    assert torch.equal(clusters.log_rh, mocks.truth["log_rh"])


def test_an_off_center_cluster_is_where_the_truth_says(survey, simulator):
    given = {"log_mass": 4.4, "log_age": 8.0, "log_rh": -1.0, "gamma": 4.0}
    mocks = observe(simulator, "off_center", 40, **given)
    x, y = mocks.truth["x"], mocks.truth["y"]
    distance = torch.hypot(x - 32, y - 32)
    assert (distance >= 3 - 1e-4).all()
    assert (distance <= 30 + 1e-4).all()
    assert distance.std() > 5
    share = light_in(mocks.images, x, y, 8) / true_light(mocks, survey)
    assert float(share.median()) > 0.6
    assert (
        float((light_in(mocks.images, 64 - x, 64 - y, 3) / true_light(mocks, survey)).median())
        < 0.1
    )


def test_offsets_of_clusters_are_told_where_they_are_inferred(survey, simulator, tables):
    assert "offset_x_px" not in observe(simulator, "off_center", 2).truth
    asked = survey.with_values(network={"infers": ("log_age", "offset_x_px", "offset_y_px")})
    truth = (
        Simulator(asked, seed=3, tables=tables, n_fields=0)
        .observe({"contaminant": ["off_center", "star", "none", "empty"]}, n=4)
        .truth
    )
    for axis in "xy":
        offset = truth[f"offset_{axis}_px"]
        assert torch.isfinite(offset).tolist() == [True, False, True, False]
        torch.testing.assert_close(offset[[0, 2]], truth[axis][[0, 2]] - 32)


def test_a_star_has_its_light_and_spikes(survey, simulator):
    bright = having(simulator, star_mag=(17.0, 17.0))
    mocks = observe(bright, "star", 12)
    brightest = torch.stack([mocks.truth[f"mag_{name}"] for name in survey.band_names]).amin(0)
    torch.testing.assert_close(brightest, torch.full((12,), 17.0), atol=1e-3, rtol=0)
    share = light_in(mocks.images, mocks.truth["x"], mocks.truth["y"], 10)
    share = share / true_light(mocks, survey)
    assert float(share.median()) == pytest.approx(0.9, abs=0.07)  # inside 0.5 arcsec
    centered = observe(bright, "star", 12, x_offset=0.0, y_offset=0.0).images.mean(0)
    at = round(16 / 2**0.5)
    on = centered[:, 32 + at, 32 + at]  # struts at 45 degrees
    assert (on > 2 * centered[:, 32 + 16, 32]).all()


def test_groups_are_spread_evenly_over_a_disc(survey, simulator):
    clusters = simulator.contaminants.place(
        simulator.sample(400), torch.full((400,), GROUP), generator=simulator.generator
    )
    points = simulator.contaminants.draw(clusters, generator=simulator.generator)
    counts = torch.bincount(points.image_index, minlength=400)
    settings = survey.contaminants
    assert int(counts.min()) >= settings.group_stars[0]
    assert int(counts.max()) <= settings.group_stars[1]
    radius = torch.hypot(*points.offset) * survey.pixel_scale_arcsec
    assert float(radius.max()) <= settings.group_arcsec[1]
    assert float(counts.float().log().std()) > 0.5
    many = counts[points.image_index] > 15  # then the outermost star is near the disc's edge
    edge = torch.zeros(400).scatter_reduce(0, points.image_index, radius, "amax")
    inside = (radius < edge[points.image_index] / 2)[many].float().mean()
    assert float(inside) == pytest.approx(0.25, abs=0.04)  # half of a cluster's stars lie there


def test_stars_of_groups_are_those_of_the_field_that_can_be_seen(simulator):
    stars = simulator.contaminants.bright_stars
    limit = simulator.limits.lowest[:, None]
    prominence = (stars / limit).amax(0)
    assert (prominence > 1).all()
    assert (prominence.diff() <= 0).all()
    n = stars.shape[1]
    assert n > 10_000
    # Ten times brighter stars are rarer by the slope of the counts, 0.6 +- 0.2 per magnitude.
    slope = np.log10(n / int((prominence > 10).sum())) / 2.5
    assert 0.15 < slope < 0.7


def test_galaxies_have_the_magnitude_and_extent_of_galaxies(survey, simulator):
    settings = survey.contaminants
    mocks = observe(simulator, "galaxy", 30)
    low, high = settings.galaxy_mag
    mag = mocks.truth["mag_F814W"]
    assert (mag > low - 0.05).all()
    assert (mag < high + 0.05).all()
    bright = having(simulator, galaxy_mag=(23.0, 23.0))
    mocks = observe(bright, "galaxy", 30)
    x, y = mocks.truth["x"], mocks.truth["y"]
    near, far = (light_in(mocks.images, x, y, radius)[:, -1] for radius in (3, 12))
    assert float((near / far).median()) < 0.35  # a star has 0.8
    # 0.53 arcsec on the long axis, seen from all sides: about half of the light is inside 12 px.
    share = far / true_light(mocks, survey)[:, -1]
    assert 0.25 < float(share.median()) < 0.7


@pytest.mark.parametrize("make", ARTEFACTS, ids=lambda make: make.__name__.strip("_"))
def test_an_artefact_changes_the_middle_of_a_stamp(make):
    noise, changed = torch.tensor([0.01, 0.02]), []
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        image = 0.01 * torch.randn((2, 64, 64), generator=generator)
        before = image.clone()
        seen = Detection(noise, torch.tensor([50.0, 80.0]), torch.tensor([1000.0, 1200.0]))
        make(image, seen, Draws(generator))
        assert torch.isfinite(image).all()
        moved = ((image - before).abs() > 2 * noise[:, None, None])[:, 16:48, 16:48]
        changed.append(int(moved.sum()))
    assert np.mean(np.array(changed) > 3) > 0.6
    assert max(changed) > 10


def test_artefacts_spare_other_stamps(simulator):
    images = torch.zeros(40, 2, 64, 64)
    kind = torch.tensor([ARTEFACT, STAR, NONE, GALAXY] * 10)
    clusters = simulator.contaminants.place(
        simulator.sample(40), kind, generator=simulator.generator
    )
    simulator.contaminants.spoil(images, clusters, None, generator=simulator.generator)
    touched = images.abs().amax((-1, -2, -3)) > 0
    assert not touched[kind != ARTEFACT].any()
    # The end of a detector does not show where there is nothing.
    assert touched[kind == ARTEFACT].float().mean() > 0.5


def test_far_groups_are_fainter_and_the_magnitudes_of_stars_stay(survey):
    near, far = 6e5, 9e5
    ranged = survey.with_values(galaxy={"distance_pc": (near, far)})
    simulator = Simulator(ranged, seed=1, n_fields=0)
    kind = torch.tensor([GROUP, STAR])
    clusters = simulator.sample(2)
    light = []
    for distance in (near, far):
        moved = clusters.with_values(distance_pc=distance)
        generator = torch.Generator().manual_seed(1)
        placed = simulator.contaminants.place(moved, kind, generator=generator)
        light.append(simulator.contaminants.draw(placed, generator=generator).light(2))
    ratio = light[0] / light[1]
    torch.testing.assert_close(ratio[0], torch.full((2,), (far / near) ** 2))
    torch.testing.assert_close(ratio[1], torch.ones(2))


def test_a_contaminant_can_be_given_by_name_or_number(simulator):
    truth = observe(simulator, ["star", "none"], 2).truth
    assert truth["contaminant"].tolist() == [STAR, NONE]
    assert observe(simulator, OFF_CENTER, 2).truth["contaminant"].tolist() == [OFF_CENTER] * 2
    with pytest.raises(InputError, match="star"):
        observe(simulator, "sta", 2)
    with pytest.raises(InputError, match="give one of"):
        observe(simulator, 9, 2)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"fraction": 0.3, "off_center_px": (1.0, 9.0)}, "clusters lie up to 1.41 px"),
        ({"shares": dict.fromkeys(KINDS[1:], 0.0)}, "at least one kind"),
        ({"group_stars": (0, 3)}, "allowed are 1 to"),
        ({"fraction": 1.5}, "fraction"),
        ({"shares": {"galaxies": 1.0}}, "galaxy"),
    ],
)
def test_impossible_contaminants_are_refused(survey, settings, match):
    with pytest.raises(InputError, match=match):
        survey.with_values(contaminants=settings)


def test_a_class_cannot_be_inferred_where_there_is_one_alone(survey):
    infers = {"infers": ("log_age", "object_class")}
    assert survey.with_values(network=infers).contaminants.fraction == FRACTION
    with pytest.raises(InputError, match="has object_class, but contaminants"):
        survey.with_values(network=infers, contaminants={"fraction": 0.0})


@pytest.mark.parametrize("name", ["mocks.fits", "mocks.zarr"])
def test_a_set_in_a_file_tells_the_kinds_and_nothing_of_clusters(survey, tmp_path, name):
    mocks = simulate(survey, n=24, seed=2)
    mocks.save(tmp_path / name)
    truth = MockArrays.read(tmp_path / name).truth
    assert set(truth["contaminant"]) <= set(range(len(KINDS)))
    assert 0 < (truth["contaminant"] > 0).sum() < 24
    np.testing.assert_array_equal(np.isnan(truth["log_age"]), truth["object_class"] == 0)
    np.testing.assert_array_equal(truth["log_visibility"], mocks.truth["log_visibility"])
    assert "3: star" in mocks.truth["contaminant"].description
