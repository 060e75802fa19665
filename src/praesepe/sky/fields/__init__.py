"""Star fields that clusters lie on: simulated, or cut from real mosaics."""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "galaxies": "draw_galaxies",
        "histories": "HISTORIES read_history",
        "pool": "SimulatedFieldPool field_pool",
        "real": "RealFieldPool",
        "simulated": "draw_field",
    },
)
