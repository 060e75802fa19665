"""What can be wrong with a measured cluster, as bits of the column ``flags``."""

from __future__ import annotations

from enum import IntFlag


class Flag(IntFlag):
    """What a user should know about a measurement; bits that add up.

    Examples
    --------
    >>> Flag(20).names
    ('PARTLY_MISSING', 'EDGE')
    >>> Flag.EDGE.description
    'the stamp reaches over the edge of the mosaic'
    """

    OFF_IMAGE = 1
    MISSING = 2
    PARTLY_MISSING = 4
    BAD_COORDINATE = 8
    EDGE = 16
    AT_PRIOR_EDGE = 32
    OUT_OF_DOMAIN = 64
    SATURATED = 128
    FEW_DRAWS = 256
    SECOND_MODE = 512
    ODD_PHOTOMETRY = 1024
    ODD_SHAPE = 2048
    ODD_REGISTRATION = 4096
    ODD_NOISE = 8192

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the bits that are set."""
        return tuple(str(flag.name) for flag in Flag if flag in self)

    @property
    def description(self) -> str:
        """What the bits that are set mean."""
        return "; ".join(_DESCRIPTIONS[flag] for flag in Flag if flag in self)


_DESCRIPTIONS = {
    Flag.OFF_IMAGE: "the position is not on the image",
    Flag.MISSING: "more than half of the stamp is missing in some band",
    Flag.PARTLY_MISSING: "some of the stamp is missing and was filled",
    Flag.BAD_COORDINATE: "the catalog has no usable position",
    Flag.EDGE: "the stamp reaches over the edge of the mosaic",
    Flag.AT_PRIOR_EDGE: (
        "the 68 % interval reaches an edge of the prior (other than the age of the Universe and "
        "no extinction); the truth may lie beyond"
    ),
    Flag.OUT_OF_DOMAIN: "unlike anything the model was trained on; do not trust the values",
    Flag.SATURATED: "the core of a saturated star lies in the stamp",
    Flag.FEW_DRAWS: (
        "the posterior hardly reaches what the prior, or what is known, allows: fewer than 100 "
        "draws count, or 4 standard deviations lie between; no values where no draw counts"
    ),
    Flag.SECOND_MODE: (
        "a second age, or age and extinction, holds more than 15 % of the posterior: percentiles "
        "do not show it, see the columns of the modes"
    ),
    Flag.ODD_PHOTOMETRY: (
        "no cluster like the answer has this light in every band: bands swapped, or wrong units or "
        "zero points"
    ),
    Flag.ODD_SHAPE: "too smooth or too resolved: a wider PSF, or another distance, than was told",
    Flag.ODD_REGISTRATION: "the bands do not lie on each other",
    Flag.ODD_NOISE: "noise without stars in some band, no noise at all, or cosmic rays",
}

ODD = {
    "photometry": Flag.ODD_PHOTOMETRY,
    "shape": Flag.ODD_SHAPE,
    "registration": Flag.ODD_REGISTRATION,
    "noise": Flag.ODD_NOISE,
    "known": Flag.FEW_DRAWS,
}
"""What each kind of doubt about a stamp is called; `OUT_OF_DOMAIN` stands beside it."""

NO_VALUE = Flag.OFF_IMAGE | Flag.MISSING | Flag.BAD_COORDINATE
"""Where one of these is set, nothing was measured."""
