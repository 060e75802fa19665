"""Star-formation histories: shares of the mass against their integrals; files and their errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from praesepe.errors import InputError
from praesepe.sky.fields.histories import (
    age_metallicity_fractions,
    burst_per_bin,
    mass_per_bin,
    read_history,
)
from praesepe.survey import load_survey

LOG_AGE = np.round(np.arange(6.6, 10.11, 0.05), 2)


class Grid:
    """What the shares need of a sampler of stars."""

    log_age = LOG_AGE
    metallicity = np.array([0.0004, 0.001, 0.004, 0.01, 0.02, 0.03])


@pytest.fixture(scope="module")
def survey():
    return load_survey("phat-nodust")


def with_field(survey, **settings):
    return survey.with_values(galaxy={"field": settings})


def bins():
    edges = np.append(LOG_AGE - 0.025, LOG_AGE[-1] + 0.025)
    return 10 ** edges[:-1] / 1e9, 10 ** edges[1:] / 1e9  # Gyr


def declining(tau_gyr):
    """Integral of exp(t / tau) over each bin of age."""
    young, old = bins()
    return tau_gyr * (np.exp((old - 13) / tau_gyr) - np.exp((young - 13) / tau_gyr))


def shares_of(survey, generator, **settings):
    given = with_field(survey, **{"burstiness": 0.0, **settings})
    return age_metallicity_fractions(given, Grid, generator=generator)


def differs(shares, expected):
    return np.abs(shares / shares.sum() / (expected / expected.sum()) - 1).max()


def test_shares_of_age_and_metallicity(survey, generator):
    shares = age_metallicity_fractions(survey, Grid, generator=generator)
    assert shares.shape == (len(Grid.log_age), len(Grid.metallicity))
    assert float(shares.sum()) == pytest.approx(1)
    assert (shares >= 0).all()
    low, high = survey.galaxy.field.metallicity
    outside = torch.as_tensor((Grid.metallicity < low * 0.99) | (Grid.metallicity > high * 1.01))
    assert outside.any()
    assert float(shares[:, outside].sum()) == 0
    inside = shares[:, ~outside]
    np.testing.assert_allclose(inside, inside[:, :1].expand_as(inside))


def test_ages_outside_the_range_are_left_out(survey, generator):
    shares = shares_of(survey, generator, log_age=(9.0, 9.5)).sum(1)
    kept = LOG_AGE[shares.numpy() > 0]
    assert kept.min() == pytest.approx(9.0)
    assert kept.max() == pytest.approx(9.5)


def test_a_constant_rate(survey, generator):
    young, old = bins()
    shares = shares_of(survey, generator).sum(1).numpy()
    assert differs(shares, old - young) < 1e-9


@pytest.mark.parametrize("tau", [0.5, 2.0, 5.0, 50.0])
def test_a_declining_rate(survey, generator, tau):
    shares = shares_of(survey, generator, history="declining", decline_gyr=tau).sum(1).numpy()
    assert differs(shares, declining(tau)) < 2e-3
    assert differs(shares, declining(1.1 * tau)) > 4e-3  # another decline is told apart


def test_a_burst_adds_its_share_of_the_mass(survey, generator):
    burst = {"history": "burst", "burst_log_age": (7.975, 8.225), "burst_share": (0.3, 0.3)}
    shares = shares_of(survey, generator, **burst).sum(1).numpy()
    young, old = bins()
    steady = (old - young) / (old - young).sum()
    during = (LOG_AGE > 7.97) & (LOG_AGE < 8.23)
    extra = shares - 0.7 * steady
    np.testing.assert_allclose(extra[~during], 0, atol=1e-12)
    expected = 0.3 * ((old - young) / (old - young)[during].sum())[during]
    np.testing.assert_allclose(extra[during], expected, rtol=1e-6)


def test_the_share_of_a_burst_is_uniform(survey, generator):
    from scipy.stats import kstest

    burst = {"history": "burst", "burst_log_age": (6.975, 7.525), "burst_share": (0.2, 0.8)}
    during = torch.as_tensor((LOG_AGE > 6.97) & (LOG_AGE < 7.53))
    drawn = [float(shares_of(survey, generator, **burst)[during].sum()) for _ in range(300)]
    assert kstest(drawn, "uniform", (0.2, 0.6)).pvalue > 0.01
    assert kstest(drawn, "uniform", (0.1, 0.6)).pvalue < 1e-4


@pytest.mark.parametrize(("ages", "bin_age"), [((8.01, 8.02), 8.0), ((8.0, 8.0), 8.0)])
def test_a_burst_shorter_than_a_bin(survey, ages, bin_age):
    burst = burst_per_bin(with_field(survey, burst_log_age=ages).galaxy.field, LOG_AGE)
    assert burst.sum() == pytest.approx(1)
    assert LOG_AGE[burst.argmax()] == pytest.approx(bin_age)
    assert burst.max() == pytest.approx(1)


def test_the_rate_scatters_by_the_burstiness(survey, generator):
    """Also where a file gives the mean; without it all fields are alike."""
    draws = [shares_of(survey, generator, burstiness=0.7) for _ in range(40)]
    rate = torch.stack(draws).sum(2).log() - torch.as_tensor(LOG_AGE) * np.log(10)
    scatter = (rate - rate.mean(1, keepdim=True)).std()
    assert float(scatter) == pytest.approx(0.7, rel=0.1)
    alike = shares_of(survey, generator)
    assert torch.equal(alike, shares_of(survey, generator))


def test_a_metallicity_between_grid_points_takes_the_nearest(survey, generator):
    between = float(np.sqrt(0.02 * 0.03)) * 1.01
    shares = shares_of(survey, generator, metallicity=(between, between)).sum(0)
    assert shares[:-1].sum() == 0
    assert float(shares[-1]) == pytest.approx(1)


def test_a_history_from_a_file(survey, generator, tmp_path):
    """A rate that is linear in log age between 8 and 9, and zero outside."""
    path = tmp_path / "rates.txt"
    path.write_text("# log age, rate\n8.0 0\n9.0, 2e-3\n", encoding="utf-8")
    shares = shares_of(survey, generator, history=str(path)).sum(1).numpy()

    def integral(log_age):  # of (log t - 8) dt
        log_age = np.clip(log_age, 8, 9)
        return 10**log_age * (log_age - 8 - 1 / np.log(10))

    expected = integral(LOG_AGE + 0.025) - integral(LOG_AGE - 0.025)
    np.testing.assert_allclose(shares, expected / expected.sum(), atol=2e-4)
    steady = np.where((LOG_AGE >= 8) & (LOG_AGE <= 9), 10**LOG_AGE, 0)
    assert np.abs(shares - steady / steady.sum()).max() > 0.01


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "0 rows"),
        ("# nothing\n", "0 rows"),
        ("8.0 1\n", "1 rows"),
        ("8.0 1 2\n9.0 1 2\n", "3 numbers"),
        ("8.0\n9.0\n", "1 numbers"),
        ("age rate\n8 1\n9 1\n", "text where numbers should be"),
        ("8.0 1\n9.0\n", "number of columns"),
        ("8.0 1\n9.0 nan\n", "not finite"),
        ("9.0 1\n8.0 1\n", "do not ascend"),
        ("8.0 1\n8.0 1\n", "do not ascend"),
        ("1e8 1\n1e9 1\n", "not log10"),
        ("0.1 1\n1.0 1\n", "not log10"),
        ("8.0 -1\n9.0 1\n", "negative"),
        ("8.0 0\n9.0 0\n", "all zero"),
    ],
)
def test_files_that_are_no_history(tmp_path, content, what):
    path = tmp_path / "rates.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=what) as caught:
        read_history(str(path))
    assert "rates.txt" in str(caught.value)
    assert "two columns" in str(caught.value)


def test_a_binary_file_is_no_history(tmp_path):
    path = tmp_path / "rates.dat"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="not a star-formation history"):
        read_history(str(path))


def test_a_history_that_is_not_there(survey, generator, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        shares_of(survey, generator, history=str(tmp_path / "rates.txt"))
    with pytest.raises(InputError, match=r"Did you mean 'declining'\?"):
        shares_of(survey, generator, history="decline")


def test_a_history_without_stars_at_the_fields_ages(survey, tmp_path):
    path = tmp_path / "rates.txt"
    path.write_text("7.0 1\n8.0 1\n", encoding="utf-8")
    settings = with_field(survey, history=str(path), log_age=(9.0, 10.0)).galaxy.field
    with pytest.raises(InputError, match="forms no stars"):
        mass_per_bin(settings, LOG_AGE)
