"""A flow that infers further quantities, and keeps what it has learned of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from praesepe import quantities
from praesepe.network.heads.base import Head
from praesepe.network.heads.flow import APART, FlowHead


def settings_for_more(
    settings: Mapping[str, Any], head: Head, more: Sequence[str]
) -> dict[str, Any]:
    """Settings of a head that infers quantities beside those of a head with these settings.

    Each coordinate of the leading quantity's flow has as many hidden units as before.
    """
    joined = [n for n in more if n not in APART and not quantities.get(n).is_categorical]
    if not isinstance(head, FlowHead) or head.leading is None or not joined:
        return dict(settings)
    old = next(len(group) for group in head.groups if head.leading in group)
    wider = [-(-units // old) * (old + len(joined)) for units in settings["hidden_features"]]
    return {**settings, "hidden_features": wider}


def flows_that_grow(old: Head, new: Head) -> dict[str, tuple[int, int]]:
    """Numbers of coordinates of the flows in two heads, by the name of the flow.

    None where no flow grows, or where a quantity has come before others of its flow.
    """
    if not isinstance(old, FlowHead) or not isinstance(new, FlowHead):
        return {}
    pairs = list(zip(old.groups, new.groups, strict=False))
    if any(group[: len(was)] != was for was, group in pairs) or all(a == b for a, b in pairs):
        return {}
    return {f"flows.{k}.": (len(was), len(group)) for k, (was, group) in enumerate(pairs)}


@torch.no_grad()
def grow_flow(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor], old: int, new: int) -> None:
    """Copy a flow of `old` coordinates to a wider one, with others after them in one order or none.

    The density of the old ones stays what it is. Units of a hidden layer belong to the coordinates
    in turn (`zuko.nn.MaskedMLP`), and the new flow has as many of each, or more.

    Parameters
    ----------
    theirs, ours : mapping of str to Tensor
        States of the flows; the second is filled.
    old, new : int
        Coordinates of both.
    """

    def units(n: int) -> Tensor:
        of = torch.arange(n)
        return of // old * new + of % old

    last = max(_layer(key) for key in theirs if ".hyper." in key)
    for key, there in theirs.items():
        layer = _layer(key) if ".hyper." in key else last
        rows = torch.arange(len(there)) if layer == last else units(len(there))
        if key.endswith(".weight"):
            columns = torch.arange(there.shape[1]) if layer == 0 else units(there.shape[1])
            if layer == 0:  # coordinates, then the context
                columns[old:] += new - old
            ours[key][rows] = 0
            ours[key][rows[:, None], columns] = there
        elif not key.endswith((".mask", ".order")):
            ours[key][rows] = there


def _layer(key: str) -> int:
    """Number of a layer of a transform's network, from the name of its tensor."""
    return int(key.split(".hyper.")[1].split(".")[0])
