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
        Unit as printed in figures and tables.
    label : str
        Axis label, in matplotlib's mathtext.
    description : str
        One line for table headers and documentation.
    """

    name: str
    unit: str
    label: str
    description: str

    @property
    def axis_label(self) -> str:
        """Label with the unit, for a figure's axis."""
        return f"{self.label} [{self.unit}]"


LOG_AGE = Parameter("log_age", "dex(yr)", r"$\log_{10}\,t$", "log10 of the age in years")
LOG_MASS = Parameter(
    "log_mass",
    "dex(Msun)",
    r"$\log_{10}\,M$",
    "log10 of the total initial mass of the stars drawn, in solar masses",
)
LOG_RH = Parameter(
    "log_rh",
    "dex(arcsec)",
    r"$\log_{10}\,r_\mathrm{h}$",
    "log10 of the projected half-light radius of the profile, in arcsec",
)

PARAMETERS = (LOG_AGE, LOG_MASS, LOG_RH)
"""The parameters in the order used by every array whose last axis is `parameter`."""

PARAMETER_NAMES = tuple(parameter.name for parameter in PARAMETERS)
