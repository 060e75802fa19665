"""The included surveys without a model of their own simulate, and their clusters can be seen."""

import numpy as np
import pytest
import torch

from praesepe.sky import Simulator
from praesepe.sky.instrument.detector import Detector
from praesepe.survey import load_survey

PHANGS_NOISE = {"F275W": 0.003, "F336W": 0.006, "F438W": 0.007, "F555W": 0.013, "F814W": 0.012}
"""e-/s per pixel in empty parts of the released mosaics"""


def one_kind_of_star(name):
    """The survey without ranges of distance, dust and metallicity, whose tables take a minute."""
    one = {
        "clusters": {"a_v": 0.3, "metallicity": 0.02},
        "galaxy": {"field": {"metallicity": (0.019, 0.02)}},
    }
    return load_survey(name).fixed().with_values(**one)


@pytest.mark.parametrize("name", ["m83", "legus", "phangs", "phat6"])
def test_a_bright_cluster_stands_out_in_every_band(name):
    survey = one_kind_of_star(name)
    cluster = {"log_age": 8.0, "log_mass": 5.3, "log_rh": -0.8}
    images = Simulator(survey, seed=2, n_fields=1).observe(cluster, n=8).images
    images = np.asarray(images)
    assert images.shape == (8, len(survey.bands), 64, 64)
    assert np.isfinite(images).all()
    middle = images[..., 28:36, 28:36].mean(axis=(-1, -2))
    edge = images[..., :8, :].reshape(8, len(survey.bands), -1)
    excess = (middle - np.median(edge, axis=-1)) / edge.std(axis=-1)
    assert (np.median(excess, axis=0) > 1.0).all()


def test_empty_parts_are_as_noisy_as_those_of_phangs():
    empty = {"field": {"surface_density": (0.01, 0.02)}}
    dark = one_kind_of_star("phangs").with_values(galaxy=empty)
    images = np.asarray(Simulator(dark, seed=2, n_fields=2).draw(32).images)
    edge = images[..., :8, :].reshape(32, 5, -1)
    noise = np.quantile(edge.std(axis=-1), 0.3, axis=0)
    assert noise == pytest.approx(list(PHANGS_NOISE.values()), rel=0.35)


def test_six_bands_of_phat_have_the_optics_of_three():
    three, six = load_survey("phat"), load_survey("phat6")
    for band in three.bands:
        other = six.band(band.name)
        assert (other.psf, other.filter) == (band.psf, band.filter)
        shortest, longest = other.exposure_range_s
        assert shortest < band.typical_exposure_s < longest
        assert other.sky_e_s[0] < band.sky_e_s[0] < band.sky_e_s[1] < other.sky_e_s[1]


def test_the_infrared_noise_of_an_empty_stamp_is_correlated():
    """At 1 to 4 pixels, of native pixels of 0.128 arcsec on a grid of 0.05."""
    plain = {"nuisance": {"noise_correlation": (1, 1)}, "detector": {"gaps": 0, "cosmic_rays": 0}}
    survey = load_survey("phat6").with_values(observation=plain)
    empty = torch.zeros((200, 6, 64, 64))
    stamps = Detector(survey).expose(empty, generator=torch.Generator().manual_seed(3))
    stamps = (stamps - stamps.mean(dim=(-1, -2), keepdim=True)).double()
    inner = stamps[..., :60]
    lags = [(inner * stamps[..., lag : 60 + lag]).mean(dim=(0, 2, 3)) for lag in range(5)]
    correlation = (torch.stack(lags) / lags[0]).numpy().T  # (band, lag)
    for band in (4, 5):
        assert correlation[band] == pytest.approx([1, 0.70, 0.26, 0.013, 0], abs=0.015)
    assert correlation[2] == pytest.approx([1, 0.25, 0, 0, 0], abs=0.015)  # ACS, of 0.05 arcsec
