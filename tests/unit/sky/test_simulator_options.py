"""What a survey can ask of the simulator: each option does what it says, and runs with the rest."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from praesepe.errors import InputError
from praesepe.sky.clusters.profiles import PROFILES
from praesepe.sky.simulator import Simulator
from praesepe.sky.tables import SurveyTables
from praesepe.stars.isochrones import Isochrone, IsochroneGrid
from praesepe.stars.store import write_grid
from praesepe.survey import load_survey

GIVEN = {"log_age": 8.0, "log_mass": 4.0, "log_rh": -0.5}


def survey_with(**tables):
    return load_survey("phat-nodust").with_values(**tables)


def with_bands(survey, **changes):
    bands = tuple(band.model_copy(update=changes) for band in survey.bands)
    return survey.with_values(observation={"bands": bands})


def observed(survey, n=60, seed=3, given=GIVEN, **settings):
    simulator = Simulator(survey, seed=seed, nuisances=False, n_fields=0, **settings)
    return simulator.observe(given, n)


@pytest.fixture(scope="module")
def plain():
    return observed(load_survey("phat-nodust"))


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An empty folder for imported stellar models."""
    monkeypatch.setenv("PRAESEPE_DATA", str(tmp_path))
    return tmp_path / "stars"


def brighter(grid, dex):
    """The same stars with more light."""
    rows = tuple(
        tuple(
            Isochrone(i.initial_mass, i.present_mass, i.log_l + dex, i.log_teff, i.log_g, i.kind)
            for i in row
        )
        for row in grid.isochrones
    )
    return IsochroneGrid(grid.log_age, grid.metallicity, rows)


def test_each_cluster_follows_one_of_the_stellar_models(store):
    """Two models that differ by 1 mag give clusters that differ by 1 mag."""
    write_grid(store / "bright.npz", brighter(IsochroneGrid.embedded(), 0.4))
    survey = survey_with(clusters={"stars": {"isochrones": ["sse", "bright"]}})
    truth = observed(survey, n=200).truth
    model, magnitude = truth["model"].bool(), truth["mag_F475W"]
    assert 70 < int(model.sum()) < 130
    difference = magnitude[~model].median() - magnitude[model].median()
    assert float(difference) == pytest.approx(1.0, abs=0.15)


def test_a_stellar_model_that_is_not_there(store):
    with pytest.raises(InputError, match="import_isochrones"):
        SurveyTables.build(survey_with(clusters={"stars": {"isochrones": "parsec99"}}))


def test_a_stellar_model_that_does_not_reach_the_prior(store):
    grid = IsochroneGrid.embedded()
    young = tuple(row[:20] for row in grid.isochrones)
    write_grid(store / "young.npz", IsochroneGrid(grid.log_age[:20], grid.metallicity, young))
    with pytest.raises(InputError, match=r"6\.6 to 10\.1.*6\.6 to 7\.55"):
        SurveyTables.build(survey_with(clusters={"stars": {"isochrones": ["sse", "young"]}}))


def test_metallicity_is_drawn_and_interpolated():
    survey = survey_with(clusters={"metallicity": [0.004, 0.03]})
    tables = SurveyTables.build(survey)
    steps = np.diff(np.log10(tables.cluster[0].metallicity))
    assert steps.max() < 0.051
    given = {"log_age": 9.5, "log_mass": 4.5}
    truth = observed(survey, n=200, given=given, tables=tables).truth
    colour = (truth["mag_F475W"] - truth["mag_F814W"]).numpy()
    # Old metal-rich populations are redder.
    assert np.corrcoef(truth["log_z"], colour)[0, 1] > 0.35


def test_extinction_dims_and_reddens(plain):
    survey = survey_with(clusters={"a_v": [0.0, 2.0]})
    truth = observed(survey, given={**GIVEN, "a_v": 1.0}).truth
    attenuation = [
        float(truth[f"mag_{b}"].median() - plain.truth[f"mag_{b}"].median())
        for b in ("F336W", "F475W", "F814W")
    ]
    # Fitzpatrick (1999), R_V = 3.1: A/A_V = 1.66, 1.19, 0.58 for hot stars (within 0.1 here).
    assert attenuation == pytest.approx([1.66, 1.19, 0.6], abs=0.1)
    assert truth["a_v"].tolist() == [1.0] * 60


def test_differential_extinction_scatters_the_stars():
    survey = survey_with(clusters={"a_v": [0.0, 2.0], "a_v_scatter": 0.3})
    mocks = observed(survey, given={**GIVEN, "a_v": 1.0})
    assert torch.isfinite(mocks.images).all()


def test_an_extinction_outside_the_surveys_range():
    with pytest.raises(InputError, match="wider range"):
        observed(load_survey("phat-nodust"), given={**GIVEN, "a_v": 1.0})


def test_binaries_add_light_and_mass(plain):
    truth = observed(survey_with(clusters={"stars": {"binary_fraction": 1.0}})).truth
    assert truth["n_stars"].median() < 0.75 * plain.truth["n_stars"].median()
    assert (truth["n_living"] > 1.5 * truth["n_stars"]).all()


def test_another_mass_function_gives_other_numbers_of_stars(plain):
    """Salpeter's has more dwarfs: more stars, less light at the same mass."""
    truth = observed(survey_with(clusters={"stars": {"imf": "salpeter1955"}})).truth
    assert truth["n_stars"].median() > 1.4 * plain.truth["n_stars"].median()
    assert truth["mag_F475W"].median() > plain.truth["mag_F475W"].median() + 0.1


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_has_the_half_light_radius_of_the_label(profile):
    survey = survey_with(clusters={"profile": profile})
    mocks = observed(survey, given={**GIVEN, "gamma": 3.0})
    ratio = mocks.truth["rh_realised_arcsec"] / 10 ** mocks.labels[:, 2]
    assert float(ratio.median()) == pytest.approx(1, abs=0.08)


def test_segregation_leaves_half_of_the_light_where_it_was():
    survey = survey_with(clusters={"segregation": [0.0, 0.5]})
    radii = [
        observed(survey, given={**GIVEN, "segregation": s}).truth["rh_realised_arcsec"].median()
        for s in (0.0, 0.3)
    ]
    assert float(radii[1]) == pytest.approx(float(radii[0]), rel=0.08)


def test_flattened_clusters_lie_along_their_angle():
    survey = survey_with(clusters={"ellipticity": [0.0, 0.6]})
    for angle, longer in ((0.0, "x"), (np.pi / 2, "y")):
        mocks = observed(survey, given={**GIVEN, "ellipticity": 0.6, "angle": angle})
        light = mocks.images[:, 1].clamp_min(0).sum(0)
        index = torch.arange(64) - 32.0
        spread = {"x": light.sum(0) @ index**2, "y": light.sum(1) @ index**2}
        other = "y" if longer == "x" else "x"
        assert spread[longer] > 1.5 * spread[other]


def test_focus_varies_from_stamp_to_stamp():
    survey = survey_with(observation={"nuisance": {"focus_nm": 60.0}})
    simulator = Simulator(survey, seed=1, n_fields=0)
    assert simulator.renderer.n_psfs == (8, 8, 8)
    which = simulator.draw_nuisances(200)["psf"]
    assert which.shape == (200, 3)
    assert set(which[:, 0].tolist()) == set(range(8))
    assert torch.equal(which[:, 0], which[:, 1])  # one focus for all bands of a stamp
    grids = simulator.renderer.empty(2)
    position = torch.full((2, 2), 32.0)
    simulator.renderer.scatter(grids, torch.arange(2), position, torch.ones(3, 2))
    psf = torch.tensor([[0] * 3, [7] * 3])
    sharp, soft = simulator.renderer.convolve(grids, psf=psf).amax((2, 3))
    assert (soft < 0.9 * sharp).all()


def test_everything_at_once_is_reproducible(store):
    """All options together, from the seed alone; no pixel is missing."""
    write_grid(store / "bright.npz", brighter(IsochroneGrid.embedded(), 0.1))
    survey = with_bands(
        survey_with(
            clusters={
                "stars": {
                    "isochrones": ["sse", "bright"],
                    "imf": "chabrier2003",
                    "binary_fraction": 0.4,
                },
                "a_v": [0.0, 2.0],
                "a_v_scatter": 0.1,
                "profile": list(PROFILES),
                "ellipticity": [0.0, 0.3],
                "segregation": [0.0, 0.2],
            },
            observation={
                "nuisance": {"focus_nm": 30.0},
                "detector": {"flat_field": 0.01, "cosmic_rays": 1.0, "bad_pixels": 0.002},
            },
            galaxy={
                "field": {
                    "history": "burst",
                    "dust_share": [0.2, 0.6],
                    "gradient_dex": 0.2,
                    "clump_share": [0.0, 0.5],
                    "galaxies_per_arcmin2": 50.0,
                }
            },
        ),
        saturation_e=70_000.0,
        noise_kernel=((0.1, 0.3, 0.1), (0.3, 1.0, 0.3), (0.1, 0.3, 0.1)),
    )
    simulator = Simulator(survey, seed=5, n_fields=2)
    first = simulator.draw(40)
    simulator.seed(5)
    again = simulator.draw(40)
    assert torch.isfinite(first.images).all()
    assert torch.equal(first.images, again.images)
    assert set(first.truth) == set(again.truth)
    for name, values in first.truth.items():
        assert values.shape == (40,)
        assert torch.equal(values, again.truth[name])
