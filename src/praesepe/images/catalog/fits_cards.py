"""Metadata of tables as cards of FITS headers."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import MutableMapping
from typing import Any

from praesepe.provenance import ascii_text

MORE = "METADATA"
"""The card with the metadata, as JSON, that cannot be cards of their own."""


def as_cards(meta: MutableMapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Metadata of which FITS can make cards, and the keys of those that stand in `MORE`."""
    cards: dict[str, Any] = {}
    more: dict[str, Any] = {}
    keys = [key.upper() for key in meta]  # FITS knows no others
    for key, value in meta.items():
        alone = keys.count(key.upper()) == 1
        (cards if alone and _is_card(key, value) else more)[key] = value
    if more:
        cards[MORE] = json.dumps(more, default=str)
    return {key: _ascii_value(value) for key, value in cards.items()}, list(more)


def restore_meta(meta: MutableMapping[str, Any]) -> None:
    """Take what `as_cards` put into `MORE` out of it."""
    with contextlib.suppress(KeyError, ValueError, TypeError):  # somebody else's card
        meta.update(json.loads(meta[MORE]))
        del meta[MORE]


def _is_card(key: str, value: Any) -> bool:
    """Whether a card comes back with this key and value, but for case and what is not ASCII."""
    from astropy.io.fits import Card, VerifyError

    if isinstance(value, list):  # comments
        return True
    value = _ascii_value(value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of HIERARCH
            card = Card.fromstring(str(Card(key, value)))
            return bool(card.keyword.upper() == key.upper() and card.value == value)
    except (ValueError, VerifyError):
        return False


def _ascii_value(value: Any) -> Any:
    if isinstance(value, list):
        return [ascii_text(str(one)) for one in value]
    return ascii_text(value) if isinstance(value, str) else value
