"""Nebulae of young clusters: photons of their stars, the gas's spectrum, and what is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from praesepe.sky.simulator import Simulator
from praesepe.stars.curves import band_curve
from praesepe.stars.nebula import continuum, ionising_photons, nebular_magnitudes
from praesepe.survey import Survey, load_survey

MARTINS = np.array(  # (2005, table 2): giants; T_eff, log L, log Q
    [[42942, 5.92, 49.71], [39507, 5.70, 49.44], [36673, 5.56, 49.22], [34638, 5.43, 49.00],
     [32573, 5.30, 48.76], [30231, 5.12, 48.30]]
)  # fmt: skip


def survey_with(**clusters: Any) -> Survey:
    return load_survey("phat-nodust").with_values(clusters=clusters)


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    stars = {"binary_fraction": 0.3}
    survey = survey_with(nebular=(0.0, 1.0), a_v=(0.0, 1.0), segregation=(0.0, 0.2), stars=stars)
    return Simulator(survey, n_fields=0)


def truth(simulator: Simulator, n: int = 16, **given: Any) -> dict[str, np.ndarray]:
    """Of the same stars, whatever the gas takes."""
    simulator.seed(5)
    clusters = simulator.sample(n).with_values(**{"log_mass": 4.0, "log_rh": -0.5} | given)
    simulator.seed(1)
    population = simulator.populate(clusters)
    return {name: values.double().numpy() for name, values in population.truth.items()}


def magnitudes(simulator: Simulator, **given: Any) -> np.ndarray:
    told = truth(simulator, **given)
    return np.array([told[f"mag_{name}"] for name in simulator.survey.band_names])


def test_hot_stars_ionise_as_published() -> None:
    teff, log_l, log_q = MARTINS.T
    found = 49 + np.log10(ionising_photons(log_l, np.log10(teff)))
    np.testing.assert_allclose(found, log_q, atol=0.05)
    assert ionising_photons(4.0, 4.0) < 1e-7  # an A star


def test_the_continuum_has_the_jumps_of_hydrogen() -> None:
    """10^-40 erg cm³/s/Hz: 33 and 6 on either side of the Balmer limit (Osterbrock & Ferland)."""
    blue, red = continuum([3640.0, 3660.0]) / 1e49 * 2.59e-13 / 1e-40
    assert blue == pytest.approx(34, abs=4)
    assert red == pytest.approx(6, abs=1)
    inside, outside = continuum([8190.0, 8215.0])
    assert 2 < inside / outside < 3


def test_a_cluster_has_the_photons_of_its_stars(simulator: Simulator) -> None:
    """One Msun of stars of 4 Myr: about 10^46.3 (Starburst99), however massive it is."""
    sampler = simulator.stars

    def photons(log_age: float, n_stars: float, n: int) -> np.ndarray:
        isochrone = torch.full((n,), int(np.abs(sampler.log_age - log_age).argmin()))
        numbers = torch.full((n,), n_stars)
        generator = torch.Generator().manual_seed(1)
        drawn = sampler.draw(isochrone, numbers, generator=generator, compute_truth=False)
        assert drawn.ionising is not None
        assert drawn.light.shape == (n, 3)
        return drawn.ionising.double().numpy() / n_stars / sampler.mean_mass

    few, many, most = photons(6.6, 60.0, 20000), photons(6.6, 1e4, 300), photons(6.6, 1e6, 30)
    error = few.std() / len(few) ** 0.5
    assert 46.0 < 49 + np.log10(most.mean()) < 46.6
    assert many.mean() == pytest.approx(most.mean(), rel=0.05)
    assert abs(few.mean() - most.mean()) < 4 * error + 0.02 * most.mean()
    assert few.std() > 10 * many.std()  # one O star or none
    assert (photons(8.0, 1e4, 10) == 0).all()


def test_the_gas_adds_its_share(simulator: Simulator) -> None:
    survey = simulator.survey
    bands = [band_curve(band) for band in survey.bands]
    for a_v in (0.0, 1.0):
        dark, half, full = (
            10 ** (-0.4 * magnitudes(simulator, log_age=6.7, a_v=a_v, nebular=share))
            for share in (0.0, 0.5, 1.0)
        )
        np.testing.assert_allclose(full - dark, 2 * (half - dark), rtol=1e-3)
        ratio = (full - dark).sum(1)
        unit = 10 ** (-0.4 * nebular_magnitudes(bands, a_v=a_v))
        np.testing.assert_allclose(ratio / ratio[1], unit / unit[1], rtol=0.01)
        assert (0.05 < (full / dark - 1)[1].mean() < 2).all()
    old = [magnitudes(simulator, log_age=7.6, nebular=share) for share in (0.0, 1.0)]
    np.testing.assert_array_equal(*old)


def test_its_light_lies_around_the_cluster(simulator: Simulator) -> None:
    def image(share: float) -> torch.Tensor:
        given = {"log_age": 6.6, "log_mass": 4.5, "log_rh": -0.5, "a_v": 0.0, "x_offset": 0.0}
        simulator.seed(5)
        clusters = simulator.sample(4).with_values(**given, y_offset=0.0, nebular=share)
        simulator.seed(2)
        return simulator.render(simulator.populate(clusters))

    gas = image(1.0) - image(0.0)
    y, x = torch.meshgrid(*(torch.arange(64.0) - 32,) * 2, indexing="ij")
    inside = (torch.hypot(x, y) < 2 * 10**-0.5 / 0.05).float()
    share = (gas * inside).sum((-1, -2)) / gas.sum((-1, -2))
    assert ((share > 0.5) & (share < 0.95)).all()
    assert gas.min() > -1e-3 * gas.max()


def test_it_is_in_the_truth_only_where_it_varies(simulator: Simulator) -> None:
    shares = simulator.draw(64).truth["nebular"]
    assert 0 <= shares.min() < 0.2 < 0.8 < shares.max() <= 1
    assert "nebular" not in Simulator(survey_with(), n_fields=0).draw(1).truth
