"""Layer 1: from age, metallicity and initial mass to light in any filter."""

from praesepe.stars.atmospheres import SpectralLibrary
from praesepe.stars.imf import KROUPA2001, BrokenPowerLaw
from praesepe.stars.isochrones import Isochrone, IsochroneGrid
from praesepe.stars.passbands import Passband, load_passband
from praesepe.stars.population import StellarTable, build_table

__all__ = [
    "KROUPA2001",
    "BrokenPowerLaw",
    "Isochrone",
    "IsochroneGrid",
    "Passband",
    "SpectralLibrary",
    "StellarTable",
    "build_table",
    "load_passband",
]
