"""From age, metallicity and initial mass to light in any filter.

Isochrones (embedded, or read from the files their authors distribute), spectra, filter curves,
dust, mass functions and binaries; `praesepe.stars.magnitudes` joins them.
"""

from praesepe.lazy import lazy_names

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
