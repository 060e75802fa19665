"""What subclasses of arrays carry beside their numbers: masks, units, uncertainties."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from praesepe.errors import InputError, check_type, must_be


class Plain(NamedTuple):
    """An array and what came with it.

    Attributes
    ----------
    values : ndarray
        The numbers, of no subclass.
    mask : ndarray of bool or None
        True where they are no values.
    unit : Unit or None
        Of astropy.
    """

    values: NDArray[Any]
    mask: NDArray[np.bool_] | None
    unit: Any


def plain(array: Any) -> Plain:
    """Take apart a masked array, `Quantity`, `Column`, `Masked`, `NDData` or `CCDData`.

    Masked is also what has an uncertainty that is not finite, or zero where others are not.
    Astropy is not needed: what it has made tells by its attributes.
    """
    masked, unit = getattr(array, "mask", None), getattr(array, "unit", None)
    data = array
    if not isinstance(array, np.ndarray) and hasattr(array, "uncertainty"):
        data = array.data
    elif hasattr(array, "unmasked"):
        data = array.unmasked
    values = np.asarray(np.ma.getdata(data))
    mask = np.zeros(values.shape, bool)
    if masked is not None and masked is not np.ma.nomask:
        mask |= np.asarray(masked, bool)
    spread = getattr(getattr(array, "uncertainty", None), "array", None)
    if spread is not None and np.shape(spread) == values.shape:
        spread = np.asarray(spread)
        mask |= ~np.isfinite(spread) | ((spread == 0) & bool(np.any(spread != 0)))
    return Plain(values, mask if mask.any() else None, unit)


def rates(array: Any, what: str) -> NDArray[np.float32]:
    """Values in e-/s as single precision, NaN where masked; a unit must fit.

    Raises
    ------
    InputError
        For what is not numbers of equal shape, and other units.
    """
    try:
        values, mask, unit = plain(array)
    except (TypeError, ValueError):
        values = np.array(None)
    if values.dtype.kind not in "iuf":
        kind = "" if values.dtype.hasobject else f" but of type {values.dtype}"
        raise InputError(
            f"{what} are not real numbers of equal shape{kind}",
            given=values.dtype.name,
            allowed="integers or floats",
            remedy="give one array (n, band, y, x)",
        )
    values = np.asarray(values, np.float32)
    if unit is not None:
        try:
            values = values * np.float32(unit.to("electron / s"))
        except Exception as error:  # astropy's are many, and a unit may be text
            raise InputError(
                f"{what} in {unit or 'no unit'}",
                given=str(unit),
                allowed="electron / s",
                remedy="give e-/s at the survey's zero points, or plain numbers of these",
            ) from error
    return values if mask is None else np.where(mask, np.float32(np.nan), values)


def check_tensor(name: str, value: object, shape: tuple[int | str, ...]) -> None:
    """Refuse what is no tensor of a shape, whose axes of any size are named by letters.

    Raises
    ------
    InputError
        With the type or the shape that was given.
    """
    from torch import Tensor

    allowed = f"a Tensor ({', '.join(map(str, shape))})"
    check_type(name, value, Tensor, allowed, "torch.as_tensor makes one of an array")
    found = tuple(value.shape)  # type: ignore[attr-defined]
    fits = len(found) == len(shape) and all(
        isinstance(wanted, str) or size == wanted for size, wanted in zip(found, shape, strict=True)
    )
    if not fits:
        raise must_be(f"the shape of {name}", found, allowed)
