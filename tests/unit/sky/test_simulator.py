"""The simulator and the mosaics: shapes, seeds, labels, truth, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from praesepe.errors import InputError
from praesepe.quantities import DEFAULT_INFERRED
from praesepe.sky.simulator import Simulator
from praesepe.sky.tables import SurveyTables
from praesepe.survey import load_survey


@pytest.fixture(scope="module")
def survey():
    return load_survey("phat-nodust")


@pytest.fixture(scope="module")
def tables(survey):
    return SurveyTables.build(survey)


@pytest.fixture
def simulator(survey, tables):
    return Simulator(survey, tables=tables, seed=1, n_fields=2)


@pytest.fixture(scope="module")
def many(survey, tables):
    """Clusters without a field."""
    return Simulator(survey, tables=tables, seed=2, n_fields=0).draw(600)


def test_another_is_the_simulator_of_another_seed(simulator, survey, tables):
    before = simulator.draw_block(3, 4).images
    another = simulator.another(7, n_fields=1).draw(4).images
    assert torch.equal(another, Simulator(survey, tables=tables, seed=7, n_fields=1).draw(4).images)
    assert torch.equal(simulator.draw_block(3, 4).images, before)
    assert not torch.equal(another, before)


def test_the_set_up_tells_its_stages(survey):
    told = []
    Simulator(survey, seed=1, n_fields=2, setup=lambda *now: told.append(now)).draw(64)
    stages = "tables of stars", "stars of clusters", "stars of fields", "star fields"
    assert tuple(dict.fromkeys(stage for stage, _, _ in told)) == stages
    for stage in stages:
        done = [done for name, done, _ in told if name == stage]
        assert done == sorted(done)
        assert (stage, done[-1], done[-1]) in told


def test_shapes_and_types(simulator, survey):
    mocks = simulator.draw(5)
    assert len(mocks) == 5
    assert mocks.images.shape == (5, 3, survey.stamp_size, survey.stamp_size)
    assert mocks.labels.shape == (5, len(DEFAULT_INFERRED))
    assert mocks.images.dtype == mocks.labels.dtype == torch.float32
    assert torch.isfinite(mocks.images).all()
    assert torch.isfinite(mocks.labels).all()
    expected = {"log_present_mass", "gamma", "tidal_radius", "x", "y", "n_stars", "field_density"}
    expected |= {"n_living", "rh_realised_arcsec", "log_age", "log_mass", "log_rh", "log_z"}
    expected |= {"log_visibility"}
    expected |= {f"{kind}_{name}" for name in survey.band_names for kind in ("mag", "brightest")}
    expected |= {f"{kind}_{name}" for name in survey.band_names for kind in ("fwhm", "depth")}
    assert set(mocks.truth) == expected
    assert all(value.shape == (5,) for value in mocks.truth.values())


def test_values_are_columns_of_the_truth_or_derive_from_them(simulator, survey):
    mocks = simulator.draw(5)
    values = mocks.values(["log_mass", "rh_arcsec", "rh_pc"])
    assert torch.equal(values[:, 0], mocks.truth["log_mass"])
    torch.testing.assert_close(values[:, 1], 10 ** mocks.truth["log_rh"])
    torch.testing.assert_close(values[:, 2], values[:, 1] * survey.pc_per_arcsec)
    assert torch.equal(mocks.labels, mocks.values(["log_age", "log_mass", "log_rh"]))
    with pytest.raises(InputError, match="does not tell 'a_v'; it has log_age"):
        mocks.values(["a_v"])


def test_repr_says_what_they_are(simulator):
    assert repr(simulator.draw(2)).startswith("<Mocks: 2 stamps of 64 × 64 px in 3 bands; truth:")
    assert repr(simulator).startswith("<Simulator of 'phat-nodust': 64 px stamps in F336W, F475W")


def test_the_stages_by_themselves_give_what_they_give_together(survey, tables):
    """Without star fields, for clusters few enough to go through the stages together."""
    simulator = Simulator(survey, tables=tables, seed=3, n_fields=0)
    together = simulator.draw(6)
    simulator.seed(3)
    population = simulator.populate(simulator.sample(6))
    images = simulator.render(population, **simulator.draw_nuisances(6))
    assert torch.equal(simulator.expose(images), together.images)
    assert all(torch.equal(population.truth[k], together.truth[k]) for k in population.truth)
    assert not torch.equal(simulator.expose(images), together.images)  # other noise


def test_the_same_seed_gives_the_same_stamps(survey, tables):
    def stamps(seed):
        return Simulator(survey, tables=tables, seed=seed, n_fields=1).draw(3)

    first, again, other = stamps(4), stamps(4), stamps(5)
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.labels, again.labels)
    assert all(torch.equal(first.truth[key], again.truth[key]) for key in first.truth)
    assert not (first.labels == other.labels).any()


def test_the_stream_can_be_started_anew(survey, tables):
    simulator = Simulator(survey, tables=tables, seed=4, n_fields=0)
    first = simulator.draw(2)
    later = simulator.draw(2)
    assert not (first.labels == later.labels).any()
    simulator.seed(4)
    assert torch.equal(simulator.draw(2).images, first.images)
    simulator.seed(4, 17)
    assert not (simulator.draw(2).labels == first.labels).any()


def test_batches_make_up_a_set(survey, tables):
    simulator = Simulator(survey, tables=tables, seed=4, n_fields=0)
    together = simulator.draw(5, batch_size=2)
    simulator.seed(4)
    apart = torch.cat(
        [simulator.draw(2).labels, simulator.draw(2).labels, simulator.draw(1).labels]
    )
    assert torch.equal(together.labels, apart)


def test_labels_follow_the_prior(many, survey):
    prior = survey.clusters
    log_age, log_mass, log_rh = many.labels.double().numpy().T
    for value, (low, high) in (
        (log_age, prior.log_age),
        (log_rh, np.log10(prior.rh_arcsec)),
        (many.truth["gamma"].numpy(), prior.gamma),
    ):
        assert low - 1e-5 <= value.min() < low + 0.05 * (high - low)
        assert high + 1e-5 >= value.max() > high - 0.05 * (high - low)
        assert value.mean() == pytest.approx((low + high) / 2, abs=4 * (high - low) / 12**0.5 / 24)
    # The mass is that of the stars really drawn, and may leave the range of what was aimed at.
    low, high = prior.log_mass
    assert low - 0.3 < log_mass.min() < low + 0.1
    assert high + 0.1 > log_mass.max() > high - 0.2
    assert log_mass.mean() == pytest.approx((low + high) / 2, abs=4 * (high - low) / 12**0.5 / 24)


def test_labels_are_independent(many):
    correlation = np.corrcoef(many.labels.double().numpy().T)
    assert np.abs(correlation - np.eye(3)).max() < 0.16


def test_places_are_spread_about_the_middle_of_the_stamp(many, survey):
    for axis in "xy":
        offset = many.truth[axis] - survey.stamp_size // 2
        assert offset.abs().max() <= survey.clusters.center_shift_px + 1e-5
        assert float(offset.std()) == pytest.approx(
            survey.clusters.center_shift_px / 3**0.5, rel=0.1
        )


def test_present_mass_is_a_part_of_the_initial_mass(many):
    left = many.truth["log_present_mass"] - many.labels[:, 1]
    assert (left < 0.001).all()
    # Of a small cluster, a single massive star that has died can take more than half.
    assert (left[many.labels[:, 1] > 3.5] > np.log10(0.5)).all()
    young, old = many.labels[:, 0] < 7, many.labels[:, 0] > 9.5
    assert float(left[young].mean()) > float(left[old].mean()) + 0.1


def test_the_number_of_stars_belongs_to_the_mass(many):
    mean_mass = 10 ** many.labels[:, 1].double() / many.truth["n_stars"]
    assert float(mean_mass.median()) == pytest.approx(0.58, abs=0.05)


def test_centre_shifts_can_be_switched_off(survey, tables):
    fixed = survey.with_values(clusters={"center_shift_px": 0.0})
    truth = Simulator(fixed, tables=tables, n_fields=0).draw(3).truth
    assert truth["x"].tolist() == truth["y"].tolist() == [survey.stamp_size // 2] * 3


def test_nuisances(survey, tables):
    """Independent for every stamp and band, with the survey's scatter; none when off."""
    simulator = Simulator(survey, tables=tables, n_fields=0)
    drawn = simulator.draw_nuisances(4000)
    settings = survey.observation.nuisance
    zero_point = -2.5 * drawn["gain"].log10()
    assert zero_point.std(0).tolist() == pytest.approx([settings.zero_point_mag] * 3, rel=0.05)
    assert drawn["blur_px"].min() >= settings.blur_px[0]
    assert drawn["blur_px"].max() <= settings.blur_px[1]
    shift = drawn["shift_px"].flatten(1)  # (n, band x axis)
    assert shift.std(0).tolist() == pytest.approx([settings.registration_px] * 6, rel=0.05)
    columns = torch.cat((zero_point, drawn["blur_px"], shift), dim=1).T
    assert (torch.corrcoef(columns) - torch.eye(12)).abs().max() < 0.08
    assert Simulator(survey, tables=tables, n_fields=0, nuisances=False).draw_nuisances(5) == {}


def test_errors(survey, tables, simulator):
    with pytest.raises(InputError, match="at least 1"):
        simulator.draw(0)
    with pytest.raises(InputError, match="phat"):
        Simulator("phatt")
