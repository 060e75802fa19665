"""What the numbers of a survey may be: one table, with a unit for every message.

The limits are wide: beyond them a number is a mistake of its unit or of its sign, or nothing can
be computed with it. What a key means, and what else it must be, stands where it is declared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple


class Limit(NamedTuple):
    """Lowest and highest value of a key, and the unit of both."""

    low: float
    high: float
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g} {self.unit}".rstrip()


_SHARE, _PX, _MAG = Limit(0, 1), Limit(0, 128, "px"), Limit(0, 20, "mag")
_LOG_AGE, _METALLICITY = Limit(0, 15, "dex (yr)"), Limit(-1, 1)
"""Those of the stellar models are narrower, and say so."""

LIMITS: dict[str, dict[str, Limit]] = {
    "Observation": {"pixel_scale_arcsec": Limit(1e-3, 10, "arcsec")},
    "Band": {
        "zero_point_ab": Limit(10, 45, "mag (AB)"),
        "exposure_s": Limit(1e-3, 1e8, "s"),
        "n_exposures": Limit(1, 1e5),
        "read_noise_e": Limit(0, 1e4, "e-"),
        "dark_e_s": Limit(0, 1e4, "e-/s"),
        "sky_e_s": Limit(0, 1e6, "e-/s"),
        "sky_left": Limit(-10, 10),
        "asinh_scale": Limit(1e-9, 1e6, "e-/s"),
        "saturation_e": Limit(1, 1e12, "e-"),
        "noise_kernel": Limit(-1e3, 1e3),
    },
    "PSF": {
        "file_scale_arcsec": Limit(1e-5, 10, "arcsec"),
        "file_energy_fraction": Limit(1e-3, 1),
        "file_extension": Limit(0, 1e4),
        "file_position": Limit(0, 1e6),
        "diameter_m": Limit(0.01, 50, "m"),
        "obscuration": Limit(0, 0.95),
        "struts": Limit(0, 100),
        "strut_width": Limit(0, 0.5),
        "strut_angle_deg": Limit(-360, 360, "deg"),
        "wavelength_angstrom": Limit(900, 3e5, "Angstrom"),
        "native_pixel_arcsec": Limit(1e-5, 10, "arcsec"),
        "diffusion_arcsec": Limit(0, 10, "arcsec"),
        "jitter_arcsec": Limit(0, 10, "arcsec"),
        "halo_fraction": _SHARE,
        "halo_arcsec": Limit(1e-3, 100, "arcsec"),
        "pixfrac": _SHARE,
    },
    "FilterCurve": {
        "wavelength_angstrom": Limit(1, 1e8, "Angstrom"),
        "throughput": Limit(-1e6, 1e6),
    },
    "Nuisance": {
        "zero_point_mag": Limit(0, 5, "mag"),
        "blur_px": Limit(-0.6, 20, "px"),
        "halo_share": Limit(-0.3, 0.5),
        "flux_mag": Limit(0, 5, "mag"),
        "registration_px": Limit(0, 16, "px"),
        "noise_correlation": _SHARE,
        "focus_nm": Limit(0, 1000, "nm"),
    },
    "DetectorErrors": {
        "flat_field": Limit(0, 0.5),
        "cosmic_rays": Limit(0, 1e4, "per 10^4 pixels"),
        "cosmic_ray_e": Limit(1e-3, 1e9, "e-"),
        "bad_pixels": Limit(0, 0.1),
        "gaps": _SHARE,
    },
    "Galaxy": {
        "distance_pc": Limit(10, 1e10, "pc"),
        "foreground_a_v": _MAG,
    },
    "Tides": {
        "circular_speed_km_s": Limit(0.1, 1e4, "km/s"),
        "galactocentric_kpc": Limit(1e-4, 1e4, "kpc"),
        "endless_share": _SHARE,
    },
    "StarField": {
        "surface_density": Limit(0, 1e6, "Msun/pc2"),
        "log_age": _LOG_AGE,
        "decline_gyr": Limit(1e-3, 1e3, "Gyr"),
        "burst_log_age": _LOG_AGE,
        "burst_share": _SHARE,
        "burstiness": Limit(0, 5),
        "metallicity": _METALLICITY,
        "a_v": _MAG,
        "dust_share": _SHARE,
        "dust_a_v": _MAG,
        "gradient_dex": Limit(0, 5, "dex"),
        "clump_share": _SHARE,
        "clump_pc": Limit(1e-3, 1e6, "pc"),
        "neighbor_share": _SHARE,
        "neighbor_rh": Limit(0.01, 1e3, "half-light radii"),
        "galaxies_per_arcmin2": Limit(0, 1e4, "per arcmin2"),
    },
    "ClusterPrior": {
        "log_age": _LOG_AGE,
        "log_mass": Limit(0, 8, "dex (Msun)"),
        "rh_arcsec": Limit(1e-5, 1e4, "arcsec"),
        "rh_pc": Limit(1e-3, 1e4, "pc"),
        "log_rh_normal": Limit(-6, 6, "dex"),
        "gamma": Limit(0, 100),
        "king_concentration": Limit(0.01, 4, "dex"),
        "ellipticity": Limit(0, 0.99),
        "segregation": Limit(-1, 1),
        "center_shift_px": _PX,
        "metallicity": _METALLICITY,
        "a_v": _MAG,
        "nebular": _SHARE,
        "a_v_scatter": Limit(0, 10, "mag"),
    },
    "Stars": {
        "binary_fraction": _SHARE,
        "binary_mass_ratio": Limit(1e-3, 1),
        "binary_mass_ratio_slope": Limit(-1, 100),
        "r_v": Limit(2, 6),
        "color_error_mag": Limit(0, 0.5, "mag"),
    },
    "MassFunction": {
        "edges": Limit(1e-3, 1e4, "Msun"),
        "slopes": Limit(-20, 20),
    },
    "Contaminants": {
        "fraction": _SHARE,
        "off_center_px": Limit(1e-3, 256, "px"),
        "aside": _SHARE,
        "group_stars": Limit(1, 1e5),
        "group_arcsec": Limit(1e-5, 1e3, "arcsec"),
        "star_mag": Limit(-30, 60, "mag (AB)"),
        "galaxy_mag": Limit(-30, 60, "mag (AB)"),
    },
    "ContaminantShares": dict.fromkeys(
        ("empty", "group", "star", "galaxy", "artefact", "off_center"), Limit(0, 1e6)
    ),
    "NetworkSettings": {"stamp_size": Limit(16, 256, "px")},
}
"""By the table's settings and the key."""


def numbers_in(value: Any) -> Iterator[float]:
    """All numbers in a value, however deep in lists; a truth value is none."""
    if isinstance(value, list | tuple):
        for inner in value:
            yield from numbers_in(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value
