"""The quantities Praesepe measures, each described once: names, units, labels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Parameter:
    """A physical quantity that the network infers.

    Parameters
    ----------
    name : str
        Name in code and in output columns.
    unit : str
        Unit as written in tables.
    symbol, unit_symbol : str
        The quantity, without its logarithm, and its unit, in matplotlib's mathtext.
    description : str
        One line for table headers and documentation.
    """

    name: str
    unit: str
    symbol: str
    unit_symbol: str
    description: str

    @property
    def label(self) -> str:
        """Short label, for a figure's legend."""
        return rf"$\log_{{10}}\,{self.symbol}$"

    @property
    def axis_label(self) -> str:
        """Label with the unit, for a figure's axis: log10 (t / yr)."""
        return rf"$\log_{{10}}\,({self.symbol}\,/\,{self.unit_symbol})$"


LOG_AGE = Parameter("log_age", "dex(yr)", "t", r"\mathrm{yr}", "log10 of the age in years")
LOG_MASS = Parameter(
    "log_mass",
    "dex(Msun)",
    "M",
    r"M_\odot",
    "log10 of the total initial mass of the stars drawn, in solar masses",
)
LOG_RH = Parameter(
    "log_rh",
    "dex(arcsec)",
    r"r_\mathrm{h}",
    r"\mathrm{arcsec}",
    "log10 of the projected half-light radius of the profile, in arcsec",
)

PARAMETERS = (LOG_AGE, LOG_MASS, LOG_RH)
"""The parameters in the order used by every array whose last axis is `parameter`."""

PARAMETER_NAMES = tuple(parameter.name for parameter in PARAMETERS)
