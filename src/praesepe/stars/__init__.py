"""From age, metallicity and initial mass to light in any filter.

Isochrones (embedded, or read from the files their authors distribute), spectra, filter curves,
dust, mass functions and binaries; `praesepe.stars.magnitudes` joins them.
"""

from typing import TYPE_CHECKING

from praesepe.lazy import lazy_names

if TYPE_CHECKING:
    from praesepe.stars.atmospheres import SpectralLibrary
    from praesepe.stars.curves import load_passband
    from praesepe.stars.imf import KROUPA2001, BrokenPowerLaw
    from praesepe.stars.isochrones import Isochrone, IsochroneGrid
    from praesepe.stars.magnitudes import StellarTable, build_table
    from praesepe.stars.passbands import Passband
    from praesepe.stars.store import load_isochrones

__all__ = [
    "KROUPA2001",
    "BrokenPowerLaw",
    "Isochrone",
    "IsochroneGrid",
    "Passband",
    "SpectralLibrary",
    "StellarTable",
    "build_table",
    "load_isochrones",
    "load_passband",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "KROUPA2001": "praesepe.stars.imf",
        "BrokenPowerLaw": "praesepe.stars.imf",
        "Isochrone": "praesepe.stars.isochrones",
        "IsochroneGrid": "praesepe.stars.isochrones",
        "Passband": "praesepe.stars.passbands",
        "SpectralLibrary": "praesepe.stars.atmospheres",
        "StellarTable": "praesepe.stars.magnitudes",
        "build_table": "praesepe.stars.magnitudes",
        "load_isochrones": "praesepe.stars.store",
        "load_passband": "praesepe.stars.curves",
    },
)
