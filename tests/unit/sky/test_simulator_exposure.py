"""How a stamp is seen: where on the detector, with which focus, and on which background."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from astropy.io import fits

from praesepe.sky.fields.real import DESCRIPTION, FIELDS, FORMAT
from praesepe.sky.simulator import Simulator
from praesepe.sky.tables import SurveyTables
from praesepe.survey import PSF, load_survey

N = 300


@pytest.fixture(scope="module")
def survey():
    return load_survey("phat-nodust")


@pytest.fixture(scope="module")
def tables(survey):
    return SurveyTables.build(survey)


# ---- PSFs


@pytest.fixture(scope="module")
def psf_file(tmp_path_factory):
    """Three positions on the detector, of different width."""
    index = np.arange(41) - 20
    square = index[:, None] ** 2 + index**2
    planes = np.stack([np.exp(-0.5 * square / sigma**2) for sigma in (2.0, 3.0, 4.0)])
    planes /= planes.sum((1, 2), keepdims=True)
    path = tmp_path_factory.mktemp("psf") / "cube.fits"
    header = fits.Header({"PIXELSCL": 0.02})
    fits.PrimaryHDU(planes.astype(np.float32), header).writeto(path)
    return str(path)


def with_psf_file(survey, path, *, bands, focus_nm=0.0):
    """The survey with a random place of the file in the first `bands` bands."""
    psf = PSF(file=path, file_position="random", file_energy_fraction=1.0)
    changed = [band.model_copy(update={"psf": psf}) for band in survey.bands[:bands]]
    return survey.with_values(
        observation={
            "bands": (*changed, *survey.bands[bands:]),
            "nuisance": {"focus_nm": focus_nm},
        }
    )


def psfs_drawn(survey, tables):
    """Which PSFs are drawn with and without nuisances, each (N, band)."""
    simulator = Simulator(survey, seed=4, tables=tables, n_fields=0)
    drawn = {}
    for simulator.nuisances in (True, False):
        drawn[simulator.nuisances] = simulator.draw_nuisances(N)["psf"]
    return drawn


@pytest.mark.filterwarnings("ignore:.*Hubble")
def test_the_place_on_the_detector_is_random_with_and_without_nuisances(survey, tables, psf_file):
    for drawn in psfs_drawn(with_psf_file(survey, psf_file, bands=3), tables).values():
        assert drawn.shape == (N, 3)
        assert torch.bincount(drawn[:, 0]).tolist() == pytest.approx([N / 3] * 3, rel=0.3)
        assert torch.equal(drawn[:, 0], drawn[:, 1])  # one place for all bands of a stamp


@pytest.mark.filterwarnings("ignore:.*Hubble")
def test_stamps_without_nuisances_show_all_places(survey, tables, psf_file):
    """The same cluster, in images: three widths of its PSF."""
    several = with_psf_file(survey, psf_file, bands=3)
    simulator = Simulator(several, seed=4, tables=tables, n_fields=0, nuisances=False)
    grids = simulator.renderer.empty(40)
    middle = torch.full((2, 40), 32.0)
    simulator.renderer.scatter(grids, torch.arange(40), middle, torch.ones(3, 40))
    seen = simulator.renderer.convolve(grids, **simulator.draw_nuisances(40))
    assert len(set(seen[:, 0, 32, 32].numpy().round(4))) == 3


@pytest.mark.filterwarnings("ignore:.*Hubble")
def test_without_nuisances_the_focus_is_the_sharpest(survey, tables, psf_file):
    """Place and focus are independent of each other; only the focus is a nuisance."""
    mixed = with_psf_file(survey, psf_file, bands=1, focus_nm=60.0)
    drawn = psfs_drawn(mixed, tables)
    assert drawn[True].amax(0).tolist() == [2, 7, 7]
    assert torch.equal(drawn[True][:, 1], drawn[True][:, 2])
    assert abs(float(torch.corrcoef(drawn[True][:, :2].T.double())[0, 1])) < 0.2
    assert drawn[False].amax(0).tolist() == [2, 0, 0]


# ---- real star fields


@pytest.fixture(scope="module")
def noisy(survey, tmp_path_factory):
    """A survey with strong nuisances, on one real field of the size of a stamp; its pixels."""
    path = tmp_path_factory.mktemp("fields")
    size = survey.stamp_size
    pixels = np.random.default_rng(3).normal(0.05, 0.01, (1, 3, size, size)).astype(np.float32)
    np.save(path / FIELDS, pixels)
    description = {
        "format": FORMAT,
        "n": 1,
        "size": size,
        "pixel_scale_arcsec": survey.pixel_scale_arcsec,
        "bands": [{"name": b.name, "zero_point_ab": b.zero_point_ab} for b in survey.bands],
    }
    (path / DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")
    strong = {"zero_point_mag": 0.5, "blur_px": (2.0, 3.0), "registration_px": 3.0}
    given = survey.with_values(
        galaxy={"field": {"files": str(path)}}, observation={"nuisance": strong}
    )
    return given, torch.from_numpy(pixels[0])


def turns(pixels):
    """All eight ways in which a crop can lie, (8, band, y, x)."""
    ways = [torch.rot90(pixels, k, (1, 2)) for k in range(4)]
    return torch.stack(ways + [way.flip(2) for way in ways])


def test_nuisances_and_noise_leave_a_real_background_alone(noisy, tables):
    """Where no cluster is, the result is the background: not its variance alone, every pixel."""
    survey, pixels = noisy
    simulator = Simulator(survey, seed=1, tables=tables)
    distance_pc = torch.full((16,), survey.distance_pc)
    seen, observed = simulator.image(simulator.renderer.empty(16), distance_pc)
    for stamp in seen:
        assert any(torch.equal(stamp, way) for way in turns(pixels))
    assert observed["field_density"].isnan().all()
    # On a simulated sky the same light gets sky and noise, which the comparison notices.
    simulated = survey.with_values(galaxy={"field": {"files": None}})
    other = Simulator(simulated, seed=1, tables=tables, n_fields=0)
    seen, _ = other.image(other.renderer.empty(2), distance_pc[:2])
    assert float(seen.var((2, 3)).min()) > 0


def test_nuisances_act_on_the_cluster_before_a_real_background(noisy, tables):
    survey, pixels = noisy
    light = {}
    for nuisances in (True, False):
        simulator = Simulator(survey, seed=1, tables=tables, nuisances=nuisances)
        grids = simulator.renderer.empty(60)
        middle = torch.full((2, 60), 32.0)
        simulator.renderer.scatter(grids, torch.arange(60), middle, torch.full((3, 60), 300.0))
        seen, _ = simulator.image(grids, torch.full((60,), survey.distance_pc))
        light[nuisances] = (seen - pixels.mean((1, 2))[:, None, None])[:, 1]
    total = {on: stamps.sum((1, 2)) for on, stamps in light.items()}
    scatter_mag = {on: float((-2.5 * values.log10()).std()) for on, values in total.items()}
    assert scatter_mag[True] == pytest.approx(0.5, rel=0.25)
    assert scatter_mag[False] < 0.02
    peak = {on: (light[on].amax((1, 2)) / total[on]).median() for on in light}
    assert peak[True] < 0.3 * peak[False]  # blurred


# ---- metallicities of the field


def test_field_stars_have_all_metallicities(survey, tables):
    """Steps of 0.1 dex over the field's range, interpolated where the grid has none."""
    z = tables.field.metallicity
    assert (z[0], z[-1]) == pytest.approx(survey.galaxy.field.metallicity)
    assert np.diff(np.log10(z)) == pytest.approx(np.diff(np.log10(z)).mean())
    assert np.diff(np.log10(z)).max() <= 0.1 + 1e-9


@pytest.mark.parametrize("given", [(0.02, 0.02), (0.01, 0.011), (0.00015, 0.00015), (0.03, 0.045)])
def test_narrow_ranges_of_metallicity(survey, given):
    """One metallicity, one between the grid's, and ends just beyond it."""
    few = survey.with_values(galaxy={"field": {"metallicity": given}})
    z = SurveyTables.build(few).field.metallicity
    assert z == pytest.approx(np.clip(given, 0.0002, 0.03)[: len(z)])
