"""Masks, units and uncertainties of array subclasses are honoured or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData, InverseVariance, NDData, StdDevUncertainty
from astropy.table import Column, MaskedColumn
from astropy.utils.masked import Masked

from praesepe.arrays import plain, rates
from praesepe.errors import InputError
from praesepe.images.reading.source import open_image
from praesepe.training.labelled import Labelled

VALUES = np.arange(1.0, 13.0).reshape(3, 4)
MASK = VALUES > 10
RATE = u.electron / u.s
SPREAD = np.where(MASK, 0.0, 0.1)

MASKED = {
    "np.ma": np.ma.MaskedArray(VALUES, MASK),
    "MaskedColumn": MaskedColumn(VALUES, mask=MASK, unit=RATE),
    "Masked": Masked(VALUES, MASK),
    "masked Quantity": Masked(VALUES * RATE, MASK),
    "NDData": NDData(VALUES, mask=MASK),
    "CCDData": CCDData(VALUES, unit=RATE, mask=MASK),
    "no weight": NDData(VALUES, uncertainty=InverseVariance(SPREAD)),
    "no error": NDData(VALUES, uncertainty=StdDevUncertainty(np.where(MASK, np.nan, 0.1))),
}


@pytest.mark.parametrize("name", MASKED)
def test_what_is_masked_is_no_value(name: str) -> None:
    expected = np.where(MASK, np.nan, VALUES).astype("f4")
    np.testing.assert_array_equal(rates(MASKED[name], "stamps"), expected)
    np.testing.assert_array_equal(np.asarray(open_image(MASKED[name], "A").pixels), expected)


@pytest.mark.parametrize("kind", [lambda v, unit: v * unit, lambda v, unit: Column(v, unit=unit)])
def test_units_are_honoured_or_refused(kind: Any) -> None:
    np.testing.assert_allclose(rates(kind(VALUES, u.electron / u.ks), "stamps"), VALUES / 1000)
    with pytest.raises(InputError, match="stamps in MJy / sr; give e-/s"):
        rates(kind(VALUES, u.MJy / u.sr), "stamps")
    assert open_image(kind(VALUES, u.MJy / u.sr), "A").unit == "MJy / sr"


def test_plain_numbers_stay() -> None:
    assert plain(VALUES).mask is None
    assert plain(np.ma.MaskedArray(VALUES)).mask is None
    assert rates(VALUES.tolist(), "stamps").dtype == np.float32
    all_zero = NDData(VALUES, uncertainty=StdDevUncertainty(0 * VALUES))
    assert plain(all_zero).mask is None
    with pytest.raises(InputError, match="stamps are not real numbers of equal shape"):
        rates([[1, 2], [3]], "stamps")


@pytest.mark.parametrize("kind", ["complex", "bool", "U", "S", "object", "M8[s]"])
def test_what_is_no_real_number_is_refused(kind: str) -> None:
    """Texts became numbers, True 1, and imaginary parts were lost."""
    with pytest.raises(InputError, match="stamps are not real numbers"):
        rates(VALUES.astype(int).astype(kind), "stamps")


def test_labelled_stamps_with_masks_are_refused() -> None:
    images = np.ma.MaskedArray(np.ones((20, 2, 4, 4)), False)
    labels = np.zeros((20, 3))
    Labelled(images, labels)
    images[3, 0, 1, 1] = np.ma.masked
    with pytest.raises(InputError, match="contain NaN"):
        Labelled(images, labels)
    with pytest.raises(InputError, match="contain NaN"):
        Labelled(np.ones((20, 2, 4, 4)), np.ma.masked_equal(labels, 0))
