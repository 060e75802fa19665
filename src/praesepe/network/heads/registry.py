"""The heads by name. A new head is one entry here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

from praesepe.errors import InputError, must_be, unknown
from praesepe.network.heads.base import Axis, Head
from praesepe.network.heads.flow import FlowHead
from praesepe.network.heads.grid import GridHead

HEADS: dict[str, type[Head]] = {"flow": FlowHead, "grid": GridHead}

LEADING = "a_v"
"""What a flow can be conditioned on, where it infers that: extinctions are often known."""

FLOW_SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"transforms": 2, "hidden_features": [32], "bins": 4},
    "small": {"transforms": 3, "hidden_features": [96, 96], "bins": 8},
    "paper": {"transforms": 4, "hidden_features": [128, 128], "bins": 8},
}
"""Settings of a flow as large as the encoder of that name."""


def head_settings(
    head: str, encoder: str, infers: Sequence[str], settings: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Settings of a head: those given, or those that suit the encoder and what is inferred."""
    if not isinstance(settings, Mapping | None):
        raise must_be("head_options", settings, "a mapping of names to values")
    fitting = FLOW_SIZES.get(encoder, FLOW_SIZES["small"]) if head == "flow" else {}
    leading = {"leading": LEADING} if head == "flow" and LEADING in infers else {}
    return {**fitting, **leading, **(settings or {})}


def make_head(name: str, features: int, axes: Sequence[Axis], settings: Mapping[str, Any]) -> Head:
    """Make a head with random weights; see `Head` for what it takes.

    Raises
    ------
    InputError
        Where there is no such head, or it has no such setting.
    """
    if name not in HEADS:
        raise unknown("head", name, HEADS)
    allowed = [
        p.name for p in signature(HEADS[name]).parameters.values() if p.kind == p.KEYWORD_ONLY
    ]
    for key in settings:
        if key not in allowed:
            raise unknown(f"setting of head {name!r}:", str(key), allowed)
    try:
        return HEADS[name](features, axes, **settings)
    except (TypeError, AttributeError) as error:
        raise InputError(
            f"settings of head {name!r}: {dict(settings)} are not of the right kind",
            given=settings,
            remedy=f"see {HEADS[name].__name__} for them",
        ) from error
