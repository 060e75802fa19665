"""What a training tells: as often and as wrong as it says, and nothing that it does not know."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from praesepe.errors import InputError
from praesepe.network.conditions import KINDS
from praesepe.survey import Survey, load_survey
from praesepe.training.telling import tell

N = 20_000
BANDS = ("F336W", "F475W", "F814W")


@pytest.fixture(scope="module")
def survey() -> Survey:
    return load_survey("phat").with_values(galaxy={"foreground_a_v": 0.17})


@pytest.fixture(scope="module")
def truth() -> dict[str, Tensor]:
    values = {f"depth_{band}": 29.0 + torch.arange(N) % 2 for band in BANDS}
    values |= {f"fwhm_{band}": torch.full((N,), 2.0) for band in BANDS}
    return values | {"a_v": torch.linspace(0, 2.5, N), "distance_pc": torch.full((N,), 1e6)}


def told(names: str, survey: Survey, truth: dict[str, Tensor], seed: int = 3) -> Tensor:
    values = tell(tuple(names.split()), survey, truth, N, seed=(seed,))
    assert values is not None
    return values


def test_two_bands_or_more_are_present(survey: Survey, truth: dict[str, Tensor]) -> None:
    present = told("present", survey, truth)
    assert set(present.unique().tolist()) == {0.0, 1.0}
    number = present.sum(1)
    assert float(number.min()) == 2
    assert float((number == 3).float().mean()) == pytest.approx(0.4, abs=0.02)
    assert present.mean(0).tolist() == pytest.approx([0.8] * 3, abs=0.02)  # none is preferred


def test_of_the_cameras_of_a_channel_one_is_present(truth: dict[str, Tensor]) -> None:
    survey = load_survey("nearby")
    present = told("present", survey, truth)
    bands = [survey.band_names.index(band.name) for band in sum(survey.channels.values(), ())]
    assert bands == list(range(10))  # those of a channel stand together
    by_channel = torch.stack([part.sum(1) for part in present.split([1, 1, 2, 2, 2, 2], dim=1)], 1)
    assert float(by_channel.max()) == 1
    number = by_channel.sum(1)
    assert float(number.min()) == 2
    assert float((number == 6).float().mean()) == pytest.approx(0.4, abs=0.02)
    uvis, acs = present[:, 4::2].mean(0), present[:, 5::2].mean(0)
    assert uvis.tolist() == pytest.approx(acs.tolist(), abs=0.02)
    both = present[:, 4] * present[:, 7]  # F555W of UVIS beside F606W of ACS
    assert float(both.mean()) > 0.1


def test_what_is_measured_scatters_and_is_sometimes_missing(
    survey: Survey, truth: dict[str, Tensor]
) -> None:
    present, depth, fwhm = told("present depth psf_fwhm_px", survey, truth).split(3, dim=1)
    for values, columns, scale in ((depth, "depth", None), (fwhm, "fwhm", 2.0)):
        assert values[present == 0].isnan().all()
        missing = values.isnan().all(1)
        assert float(missing.float().mean()) == pytest.approx(0.1, abs=0.01)
        true = torch.stack([truth[f"{columns}_{band}"] for band in BANDS], 1)
        error = ((values - true) / (scale or 1.0))[~values.isnan()]
        assert float(error.std()) == pytest.approx(0.05 if scale else 0.1, rel=0.03)
        assert abs(float(error.mean())) < 0.003


def test_what_must_be_told_is_that_of_the_stamp_or_the_survey(
    survey: Survey, truth: dict[str, Tensor]
) -> None:
    assert (told("log_distance", survey, truth) == 6).all()
    assert told("log_distance", survey, {})[0].item() == pytest.approx(5.8949, abs=1e-4)
    assert (told("foreground_a_v", survey, truth) == torch.tensor(0.17)).all()
    varied = survey.with_values(galaxy={"foreground_a_v": (0.0, 0.4)})
    with pytest.raises(InputError, match="do not know the condition 'foreground_a_v'"):
        tell(("foreground_a_v",), varied, {}, N, seed=(1,))


def test_seed_and_order(survey: Survey, truth: dict[str, Tensor]) -> None:
    assert tell((), survey, truth, N, seed=(3,)) is None
    names = " ".join(KINDS)
    first, other = told(names, survey, truth), told(names, survey, truth, seed=4)
    torch.testing.assert_close(first, told(names, survey, truth), equal_nan=True)
    assert (first != other).any()
    swapped = told("psf_fwhm_px present", survey, truth)
    torch.testing.assert_close(
        swapped.roll(3, 1), told("present psf_fwhm_px", survey, truth), equal_nan=True
    )
