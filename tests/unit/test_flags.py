"""Flags: bits that scripts rely on, each with a name and a meaning."""

from __future__ import annotations

from praesepe.flags import NO_VALUE, Flag


def test_the_bits_are_those_of_every_table_written_so_far() -> None:
    assert {flag.name: int(flag) for flag in Flag} == {
        "OFF_IMAGE": 1,
        "MISSING": 2,
        "PARTLY_MISSING": 4,
        "BAD_COORDINATE": 8,
        "EDGE": 16,
        "AT_PRIOR_EDGE": 32,
        "OUT_OF_DOMAIN": 64,
        "SATURATED": 128,
        "FEW_DRAWS": 256,
        "SECOND_MODE": 512,
        "ODD_PHOTOMETRY": 1024,
        "ODD_SHAPE": 2048,
        "ODD_REGISTRATION": 4096,
        "ODD_NOISE": 8192,
    }
    assert NO_VALUE == 1 + 2 + 8


def test_a_sum_of_flags_says_what_it_means() -> None:
    assert Flag(20).names == ("PARTLY_MISSING", "EDGE")
    assert Flag(20).description == f"{Flag(4).description}; {Flag(16).description}"
    assert Flag(0).names == ()
    assert all(flag.description for flag in Flag)
