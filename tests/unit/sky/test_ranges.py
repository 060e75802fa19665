"""Depth and distance that differ from stamp to stamp."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from praesepe.errors import InputError
from praesepe.sky.instrument.detector import Detector
from praesepe.sky.simulator import Simulator
from praesepe.survey import load_survey

PHAT = load_survey("phat-nodust")
NEAR, FAR = 6e5, 9e5
SHORT, LONG = 800.0, 2000.0
GIVEN = {"log_age": 9.5, "log_mass": 4.5, "log_rh": -0.6, "x_offset": 0.0, "y_offset": 0.0}


def survey_with(*, exposure_s=None, distance_pc=None, **clusters):
    band = PHAT.bands[1]
    if exposure_s is not None:
        band = band.model_copy(update={"exposure_s": exposure_s})
    galaxy = {} if distance_pc is None else {"distance_pc": distance_pc}
    return PHAT.with_values(observation={"bands": (band,)}, galaxy=galaxy, clusters=clusters)


@pytest.fixture(scope="module")
def ranged():
    return Simulator(survey_with(distance_pc=(NEAR, FAR)), seed=1, n_fields=4)


def test_the_typical_values_are_in_the_middle():
    survey = survey_with(exposure_s=(SHORT, LONG), distance_pc=(NEAR, FAR))
    assert survey.distance_pc == pytest.approx(math.sqrt(NEAR * FAR))
    assert survey.bands[0].typical_exposure_s == pytest.approx(math.sqrt(SHORT * LONG))
    fixed = survey.fixed()
    assert not fixed.varies_in_distance
    assert not fixed.varies_in_depth
    assert (fixed.distance_pc, fixed.bands[0].exposure_s) == (
        survey.distance_pc,
        survey.bands[0].typical_exposure_s,
    )
    assert PHAT.fixed() is PHAT


def test_every_stamp_has_its_own_depth():
    """The noise of an empty stamp is that of its own exposure."""
    survey = survey_with(exposure_s=(SHORT, LONG))
    band = survey.bands[0].model_copy(update={"sky_e_s": (0.05, 0.05), "sky_left": (0.0, 0.0)})
    detector = Detector(survey.with_values(observation={"bands": (band,)}))
    generator = torch.Generator().manual_seed(1)
    exposure = detector.draw_exposures(200, generator=generator)
    assert exposure.shape == (200, 1)
    assert SHORT <= exposure.min() < 900 < 1800 < exposure.max() <= LONG
    seen = detector.expose(
        torch.zeros(200, 1, 64, 64), generator=generator, exposure_s=exposure
    ).std((-1, -2))
    variance = (0.05 + band.dark_e_s) * exposure + band.n_exposures * band.read_noise_e**2
    ratio = (seen / (variance.sqrt() / exposure)).flatten()
    assert float(ratio.mean()) == pytest.approx(1, abs=0.01)
    assert float(ratio.std()) < 0.03
    unlike = (seen / detector.noise).flatten()  # one exposure for all does not explain it
    assert float(unlike.std()) > 0.1


def test_the_depth_is_in_the_truth_and_the_seed_gives_it_again():
    simulator = Simulator(survey_with(exposure_s=(SHORT, LONG)), seed=2, n_fields=0)
    first = simulator.draw_block(3, 5)
    again = simulator.draw_block(3, 5)
    exposure = first.truth["exposure_F475W"]
    assert ((exposure >= SHORT) & (exposure <= LONG)).all()
    assert torch.equal(first.images, again.images)
    assert torch.equal(exposure, again.truth["exposure_F475W"])


def test_a_shallow_stamp_has_fewer_points_for_the_same_light():
    """Each stamp has its own flux limit: what a short exposure cannot show is not sampled."""
    simulator = Simulator(survey_with(exposure_s=(200.0, 5000.0)), seed=2, n_fields=0)
    clusters = simulator.sample(1).part(torch.zeros(200, dtype=torch.long))
    clusters = clusters.with_values(**GIVEN | {"log_mass": 4.0})
    drawn = {}
    for exposure in (200.0, 5000.0):
        times = torch.full((200, 1), exposure)
        drawn[exposure] = simulator.populate(clusters, exposure_s=times).stars
    deepest = simulator.populate(clusters).stars
    points = {exposure: len(stars.population) for exposure, stars in drawn.items()}
    assert points[200.0] < 0.7 * points[5000.0]
    assert len(deepest.population) == pytest.approx(points[5000.0], rel=0.02)
    short, long = (stars.light[:, 0].log().numpy() for stars in drawn.values())
    assert ks_2samp(short, long).pvalue > 0.01


def test_stars_are_fainter_far_away(ranged):
    magnitude = {}
    for distance in (NEAR, FAR):
        mocks = ranged.observe(GIVEN | {"distance_pc": distance}, n=60)
        magnitude[distance] = float(mocks.truth["mag_F475W"].median())
        assert (mocks.truth["distance_pc"] == distance).all()
    expected = 5 * math.log10(FAR / NEAR)
    assert magnitude[FAR] - magnitude[NEAR] == pytest.approx(expected, abs=0.05)
    with pytest.raises(InputError, match=r"distance_pc.*the survey has 600000 to 900000 pc"):
        ranged.observe(GIVEN | {"distance_pc": 5e5}, n=1)


def test_a_range_gives_what_the_fixed_distance_gives(ranged):
    """Same light and same scatter as a simulator built for that distance."""
    fixed = Simulator(survey_with(distance_pc=FAR), seed=3, n_fields=0)
    there = ranged.observe(GIVEN | {"distance_pc": FAR}, n=150).truth["mag_F475W"]
    own = fixed.observe(GIVEN, n=150).truth["mag_F475W"]
    ends = torch.tensor([0.16, 0.5, 0.84])
    (low, middle, high), (own_low, own_middle, own_high) = there.quantile(ends), own.quantile(ends)
    assert float(middle - own_middle) == pytest.approx(0, abs=0.015)
    assert float((high - low) / (own_high - own_low)) == pytest.approx(1, abs=0.3)


def test_a_stamp_lies_on_a_field_at_its_distance(ranged):
    mocks = ranged.draw(40)
    distances = set(ranged.field_pool.distance_pc.tolist())
    assert set(mocks.truth["distance_pc"].tolist()) <= distances
    assert len(distances) == 4
    assert NEAR <= min(distances) < max(distances) <= FAR
    assert len(set(mocks.truth["distance_pc"].tolist())) > 2


def test_the_surface_brightness_of_a_field_does_not_depend_on_its_distance():
    """Stars per pc² are given: farther away there are more of them on a pixel, and fainter."""
    survey = PHAT.with_values(
        observation={"bands": PHAT.bands[1:2]},
        galaxy={
            "distance_pc": (5e5, 2e6),
            "field": {"surface_density": (50.0, 50.0), "burstiness": 0.0, "log_age": (9.5, 10.0)},
        },
    )
    pool = Simulator(survey, seed=4, n_fields=3).field_pool
    assert float(pool.distance_pc.max() / pool.distance_pc.min()) > 2
    light = pool.fields.sum((1, 2, 3))
    np.testing.assert_allclose(light / light.mean(), 1, atol=0.15)


def test_a_prior_in_pc_is_turned_by_each_stamps_distance():
    survey = survey_with(distance_pc=(NEAR, FAR), rh_arcsec=None, rh_pc=(1.5, 1.5))
    clusters = Simulator(survey, seed=5, n_fields=0).sample(50)
    pc = 10**clusters.log_rh * clusters.distance_pc * math.radians(1 / 3600)
    np.testing.assert_allclose(pc, 1.5, rtol=1e-4)
    assert survey.rh_arcsec[0] < survey.rh_arcsec[1]
    normal = survey_with(rh_arcsec=None, rh_pc=(0.5, 5.0), log_rh_normal=(0.2, 0.1))
    clusters = Simulator(normal, seed=5, n_fields=0).sample(500)
    log_pc = clusters.log_rh + math.log10(normal.pc_per_arcsec)
    assert float(log_pc.mean()) == pytest.approx(0.2, abs=0.02)


def test_real_fields_have_one_distance_and_one_depth():
    with pytest.raises(InputError, match="real star fields have one distance and one depth"):
        PHAT.with_values(galaxy={"distance_pc": (7e5, 9e5), "field": {"files": "fields"}})


def test_the_radius_in_pc_is_that_at_the_stamps_own_distance() -> None:
    survey = survey_with(distance_pc=(NEAR, FAR))
    mocks = Simulator(survey, seed=3, n_fields=0).draw(6)
    distance = mocks.truth["distance_pc"]
    assert distance.max() > 1.05 * distance.min()
    rh_pc, rh_arcsec = mocks.values(["rh_pc", "rh_arcsec"]).T
    expected = rh_arcsec * distance * math.radians(1 / 3600)
    np.testing.assert_allclose(rh_pc, expected, rtol=1e-5)
    at_one_distance = rh_arcsec * survey.pc_per_arcsec  # what was wrong
    assert (rh_pc / at_one_distance - 1).abs().max() > 0.02


def test_a_radius_is_given_in_arcsec_or_in_pc(ranged) -> None:
    radius = 0.25
    pc = radius * FAR * math.radians(1 / 3600)
    for given in ({"rh_arcsec": radius}, {"rh_pc": pc}, {"log_rh": math.log10(radius)}):
        mocks = ranged.observe({"log_age": 9.0, "distance_pc": FAR} | given, n=2)
        np.testing.assert_allclose(mocks.values(["rh_arcsec", "rh_pc"])[:, 0], radius, rtol=1e-5)
        np.testing.assert_allclose(mocks.values(["rh_arcsec", "rh_pc"])[:, 1], pc, rtol=1e-5)


def test_at_a_given_distance_the_prior_in_pc_is_kept():
    """Sizes and tides that are drawn in pc become angles at the distance that is given."""
    survey = survey_with(distance_pc=(3e6, 12e6), rh_arcsec=None, rh_pc=(3.0, 3.0)).with_values(
        galaxy={"tides": {"circular_speed_km_s": 200.0, "galactocentric_kpc": (8.0, 8.0)}}
    )
    simulator = Simulator(survey, seed=5, n_fields=0)
    distance_pc = np.array([3e6, 12e6, 5e6])
    given = {"log_age": 9.0, "log_mass": 5.0, "distance_pc": distance_pc}
    truth = simulator.observe(given).truth
    pc = distance_pc * math.radians(1 / 3600)
    assert 10 ** truth["log_rh"].numpy() * pc == pytest.approx(3.0, rel=1e-4)
    tidal_pc = truth["tidal_radius"].numpy() * pc
    assert tidal_pc == pytest.approx(tidal_pc[0], rel=1e-4)
    chosen = simulator.observe({**given, "log_rh": -0.6}).truth["log_rh"]
    assert chosen.numpy() == pytest.approx(-0.6)
    with pytest.raises(InputError, match=r"cluster 1: distance_pc = -3e\+06"):
        simulator.observe({**given, "distance_pc": -3e6})
