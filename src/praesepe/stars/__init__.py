"""From age, metallicity and initial mass to light in any filter.

Isochrones (embedded, or read from the files their authors distribute), spectra, filter curves,
dust, mass functions and binaries; `praesepe.stars.magnitudes` joins them.
"""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "atmospheres": "SpectralLibrary",
        "curves": "load_passband",
        "imf": "BrokenPowerLaw KROUPA2001",
        "isochrones": "Isochrone IsochroneGrid",
        "magnitudes": "StellarTable build_table",
        "passbands": "Passband",
        "store": "load_isochrones",
    },
)
