"""Simulated PHAT fields of M31's disc at 5, 10 and 15 kpc, beside what the literature says of them.

    python benchmarks/m31_fields.py --out docs/figures/m31_fields.png

Draws star fields as the survey `phat` describes them, with the history, metallicity and dust that
the literature gives M31's disc, and compares

1. surface brightness: with the disc and bulge of Courteau et al. 2011 (ApJ 739, 20; abstract),
   normalised to the galaxy's V = 3.44 (RC3);
2. colours, tip of the red giant branch and red clump: with de Vaucouleurs 1958 (ApJ 128, 465),
   Tempel et al. 2011 (A&A 526, A155), Bellazzini 2008 (MmSAI 79, 440), Stanek & Garnavich 1998
   (ApJ 503, L131);
3. stars per magnitude and arcsec²: with Williams et al. 2014 (ApJS 215, 9) and Hodge et al. 1988
   (ApJ 324, 172);
4. the pixel histogram: with the distribution P(D) that Poisson-distributed stars of the isochrones'
   luminosity function give through the PSF (Scheuer 1957; Condon 1974), without drawing a star.

The surface density of each field is not fitted: it is the density whose light, with the embedded
stellar model's mass-to-light ratio, is the literature's surface brightness. docs/fields.md
discusses the numbers and how well each is known.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass

import matplotlib
import numpy as np
import torch
from astropy.visualization import make_lupton_rgb
from matplotlib import pyplot as plt

from praesepe.rng import stream
from praesepe.sky.fields.histories import age_metallicity_fractions, mass_per_bin
from praesepe.sky.fields.simulated import draw_field, field_extinction
from praesepe.sky.instrument.detector import Detector
from praesepe.sky.instrument.render import Renderer
from praesepe.sky.massive.sampler import CrowdedSampler
from praesepe.sky.tables import FIELD_METALLICITY_STEP_DEX
from praesepe.stars import build_table, load_passband
from praesepe.stars.imf import KROUPA2001
from praesepe.stars.interpolation import refine_metallicity
from praesepe.stars.isochrones import IsochroneGrid
from praesepe.stars.magnitudes import StellarTable, imf_weights
from praesepe.survey import Band, Survey, load_survey

CPU = torch.device("cpu")
RADII_KPC = (5.0, 10.0, 15.0)
DISTANCE_MODULUS = 24.47  # 785 kpc, McConnachie et al. 2005

# Absolute I magnitudes: of the tip -4.05 for metal-poor giants (Bellazzini 2008, MmSAI 79, 440),
# 0.258 [M/H]² + 0.676 [M/H] - 3.629 for others (Bellazzini et al. 2004, A&A 424, 199): -3.63 for
# solar ones. Of the red clump -0.23 (Stanek & Garnavich 1998), with a scatter of 0.2 mag.
TIP_I = (-4.05, -3.63)
CLUMP_I = (-0.43, -0.03)
COLOURS = ("#D55E00", "#009E73", "#0072B2")  # Okabe & Ito: distinct to the colour-blind
GREY = "0.35"

# Courteau et al. 2011, abstract: shares of the light, scale length and effective radius in kpc,
# ellipticities; total magnitude V of RC3 (as SIMBAD gives it).
TOTAL_V = 3.44
DISC = {"share": 0.73, "scale_kpc": 5.3, "error_kpc": 0.5, "ellipticity": 0.73}
BULGE = {"share": 0.23, "re_kpc": 1.0, "sersic": 2.2, "ellipticity": 0.37}

# Conroy & van Dokkum 2016, ApJ 827, 9, abstract: pixel colour-magnitude diagrams of M31's disc.
DECLINE_GYR = 4.0
# Wang et al. 2025, arXiv:2503.18367: mean foreground extinction towards M31.
FOREGROUND_A_V = 0.185
# Tempel et al. 2010, A&A 509, A91, abstract: extinction in V by M31's own dust, 0.4 to 0.5 mag at
# 6 to 13 kpc, less inside and outside. Half of the stars lie behind it (Dalcanton et al. 2015).
INTERNAL_A_V = {5.0: 0.40, 10.0: 0.45, 15.0: 0.40}
DUST_SHARE = 0.5
# Gregersen et al. 2015, AJ 150, 189, abstract: -0.020 dex/kpc; the range at 5 kpc is our choice.
METALLICITY_AT_5_KPC = (0.008, 0.03)
METALLICITY_DEX_PER_KPC = -0.020

EXTRA_BANDS = {"B": "bessell_B", "V": "bessell_V", "I": "bessell_I"}


@dataclass(frozen=True)
class Place:
    """A place in M31's disc: its survey settings and the surface density they need."""

    radius_kpc: float
    survey: Survey
    table: StellarTable
    shares: np.ndarray  # (age, Z)
    a_v: tuple[float, float]  # in front of and behind the dust layer
    magnitude_per_msun: np.ndarray  # Vega, absolute, behind the dust, by band
    density: float  # initial Msun/pc2


def surface_brightness_v(
    radius_kpc: np.ndarray, scale_kpc: float = DISC["scale_kpc"]
) -> np.ndarray:
    """V surface brightness along the major axis, mag/arcsec², disc and bulge."""
    arcsec_per_kpc = 206264.8 / 785.0
    area = 2 * math.pi * (scale_kpc * arcsec_per_kpc) ** 2 * (1 - DISC["ellipticity"])
    disc = DISC["share"] / area * np.exp(-np.asarray(radius_kpc) / scale_kpc)
    n = BULGE["sersic"]
    b = 2 * n - 1 / 3 + 4 / (405 * n)
    effective = (BULGE["re_kpc"] * arcsec_per_kpc) ** 2 * (1 - BULGE["ellipticity"])
    total = 2 * math.pi * n * effective * math.exp(b) * b ** (-2 * n) * math.gamma(2 * n)
    steep = (np.asarray(radius_kpc) / BULGE["re_kpc"]) ** (1 / n) - 1
    bulge = BULGE["share"] / total * np.exp(-b * steep)
    return TOTAL_V - 2.5 * np.log10(disc + bulge)


def field_table(
    filters: list[str], metallicity: tuple[float, float], a_v: tuple[float, float]
) -> StellarTable:
    """Stars of all metallicities of a field, as the simulator takes them."""
    grid = refine_metallicity(IsochroneGrid.embedded(), FIELD_METALLICITY_STEP_DEX, *metallicity)
    return build_table([load_passband(name) for name in filters], grid=grid, a_v=a_v)


def all_filters(phat: Survey) -> list[str]:
    """Filters of the survey, and the extra ones."""
    return [band.filter for band in phat.bands] + list(EXTRA_BANDS.values())


def make_place(radius_kpc: float, phat: Survey) -> Place:
    """Settings of the field, and the density that gives the literature's surface brightness."""
    lost = 10 ** (-0.4 * INTERNAL_A_V[radius_kpc])
    layer = -2.5 * math.log10((lost - 1 + DUST_SHARE) / DUST_SHARE)
    change = 10 ** (METALLICITY_DEX_PER_KPC * (radius_kpc - 5))
    settings = {
        "history": "declining",
        "decline_gyr": DECLINE_GYR,
        "burstiness": 0.0,
        "metallicity": tuple(z * change for z in METALLICITY_AT_5_KPC),
        "a_v": FOREGROUND_A_V,
        "dust_share": (DUST_SHARE, DUST_SHARE),
        "dust_a_v": (layer, layer),
    }
    more = tuple(
        Band(name=k, filter=v, zero_point_ab=25.0, exposure_s=1, sky_e_s=(0.0, 0.0))
        for k, v in EXTRA_BANDS.items()
    )
    survey = phat.with_values(galaxy={"field": settings}, observation={"bands": phat.bands + more})
    a_v = (FOREGROUND_A_V, FOREGROUND_A_V + layer)
    table = field_table(all_filters(phat), survey.galaxy.field.metallicity, (0.0, 1.6))
    shares = age_metallicity_fractions(survey, table, generator=stream((0,), CPU)).numpy()
    parts = zip(a_v, (1 - DUST_SHARE, DUST_SHARE), strict=True)
    light = sum(part * light_per_msun(table, shares, dust) for dust, part in parts)
    per_msun = -2.5 * np.log10(light) + vega_minus_ab(survey)
    wanted = surface_brightness_v(np.array(radius_kpc))
    v = survey.band_names.index("V")
    per_arcsec2 = 10 ** (-0.4 * (wanted - DISTANCE_MODULUS - per_msun[v]))
    density = float(per_arcsec2 / survey.pc_per_arcsec**2)
    return Place(radius_kpc, survey, table, shares, a_v, per_msun, density)


def light_per_msun(table: StellarTable, shares: np.ndarray, a_v: float) -> np.ndarray:
    """Light of one Msun of all ages and metallicities together, 10^(-0.4 M_AB), by band."""
    flux = 10 ** (-0.4 * table.magnitudes(a_v))
    light = np.zeros(flux.shape[-1])
    for (age, z), share in np.ndenumerate(shares):
        if share > 0:
            weights = imf_weights(table.initial_mass[age, z], KROUPA2001)
            light += share / KROUPA2001.mean_mass * (weights @ flux[age, z])
    return light


def vega_minus_ab(survey: Survey) -> np.ndarray:
    """Vega minus AB magnitude of each band."""
    return np.array([load_passband(band.filter).vega_minus_ab for band in survey.bands])


def star_list(place: Place, mass_msun: float) -> tuple[np.ndarray, float]:
    """Vega magnitudes of the stars brighter than 28 AB in V, F475W or F814W; area in arcsec²."""
    names = place.survey.band_names
    zero_point = np.array([band.zero_point_ab for band in place.survey.bands])
    wanted = np.isin(names, ["V", "F475W", "F814W"])
    limit = np.where(wanted, 10 ** (-0.4 * (28.0 - zero_point)), np.inf)
    sampler = CrowdedSampler(
        place.table,
        unit_magnitude=(zero_point - DISTANCE_MODULUS).tolist(),
        flux_limit=limit.tolist(),
    )
    generator = stream((11,), CPU)
    expected = torch.as_tensor(place.shares).flatten() * mass_msun / sampler.mean_mass
    row = torch.nonzero(expected).flatten()
    n_stars = torch.cat(
        [
            torch.poisson(expected[row] * part, generator=generator)
            for part in (1 - DUST_SHARE, DUST_SHARE)
        ]
    )
    a_v = torch.tensor(place.a_v).repeat_interleave(len(row))
    stars = sampler.draw(
        row.repeat(2),
        n_stars,
        generator=generator,
        a_v=a_v,
        compute_truth=False,
        max_points=1 << 24,
    )
    flux = stars.flux.double().numpy()
    flux = flux[:, (flux > limit[:, None]).any(0)]
    magnitude = zero_point[:, None] - 2.5 * np.log10(flux) + vega_minus_ab(place.survey)[:, None]
    area_arcsec2 = mass_msun / place.density / place.survey.pc_per_arcsec**2
    return magnitude, area_arcsec2


def pixel_distribution(
    place: Place, renderer: Renderer, band: str
) -> tuple[np.ndarray, np.ndarray]:
    """Distribution of noiseless pixel values by the P(D) formula: values in e-/s, density."""
    index = place.survey.band_names.index(band)
    steps, size = 8, renderer.size
    grid = renderer.empty(steps**2)
    shift = (torch.arange(steps) + 0.5) / steps
    where = torch.stack(torch.meshgrid(shift, shift, indexing="ij")).reshape(2, -1) + size // 2
    renderer.scatter(grid, torch.arange(steps**2), where, torch.ones(renderer.n_bands, steps**2))
    response = renderer.convolve(grid)[:, index].double().flatten().numpy()
    # Pixels that see alike shares of a star's light are taken together, and the faintest left out.
    response = response[response > 1e-7]
    bin_of = np.floor(np.log10(response / response.min()) * 100).astype(int)
    number = np.bincount(bin_of)
    used = number > 0
    share = np.bincount(bin_of, response)[used] / number[used]
    pixels = number[used] / steps**2
    width, n = 0.001, 1 << 18
    rate = np.zeros(n)
    zero_point = place.survey.bands[index].zero_point_ab
    pc2_per_pixel = (place.survey.pixel_scale_arcsec * place.survey.pc_per_arcsec) ** 2
    per_pixel = place.density * pc2_per_pixel / KROUPA2001.mean_mass
    for dust, part in zip(place.a_v, (1 - DUST_SHARE, DUST_SHARE), strict=True):
        magnitudes = place.table.magnitudes(dust)[..., index]
        for (age, z), of_mass in np.ndenumerate(place.shares):
            if of_mass * part == 0:
                continue
            flux = 10 ** (-0.4 * (magnitudes[age, z] + DISTANCE_MODULUS - zero_point))
            weight = imf_weights(place.table.initial_mass[age, z], KROUPA2001)
            luminous = flux > 0
            value = (flux[luminous, None] * share / width).ravel()
            often = (weight[luminous, None] * pixels * per_pixel * of_mass * part).ravel()
            low = np.floor(value).astype(int)
            # Shared between two neighbouring values, so that the mean stays the same.
            rate += np.bincount(low, often * (1 - (value - low)), minlength=n)[:n]
            rate += np.bincount(low + 1, often * (value - low), minlength=n)[:n]
    rate[0] = 0  # nothing seen changes nothing
    spectrum = np.exp(np.fft.rfft(rate) - rate.sum())
    return width * np.arange(n), np.fft.irfft(spectrum, n) / width


def count_slope(place: Place) -> float:
    """Slope of log10 N per mag between M_V = -5 and -1, from the isochrones without drawing."""
    edges = np.arange(-5, -0.99, 0.5)
    v = place.survey.band_names.index("V")
    to_vega = vega_minus_ab(place.survey)[v]
    counts = np.zeros(len(edges) - 1)
    for dust, part in zip(place.a_v, (1 - DUST_SHARE, DUST_SHARE), strict=True):
        magnitude = place.table.magnitudes(dust)[..., v] + to_vega
        for (age, z), share in np.ndenumerate(place.shares):
            weights = share * part * imf_weights(place.table.initial_mass[age, z], KROUPA2001)
            counts += np.histogram(magnitude[age, z], edges, weights=weights)[0]
    return float(np.polyfit((edges[1:] + edges[:-1]) / 2, np.log10(counts), 1)[0])


def peak(magnitude: np.ndarray, low: float, high: float) -> float:
    """Most common magnitude between two limits, over a straight line through the counts."""
    counts, edges = np.histogram(magnitude, np.arange(low, high + 0.01, 0.05))
    middle = (edges[1:] + edges[:-1]) / 2
    trend = np.polyfit(middle, counts, 1)
    smooth = np.convolve(counts - np.polyval(trend, middle), np.ones(5) / 5, mode="same")
    return float(middle[smooth.argmax()])


def tip(magnitude: np.ndarray) -> float:
    """Magnitude of the steepest rise of the counts of red stars, between 20 and 21.5 mag."""
    counts, edges = np.histogram(magnitude, np.arange(19.5, 22.01, 0.1))
    log_count = np.log10(np.maximum(counts, 1))
    rise = log_count[3:] + log_count[2:-1] - log_count[1:-2] - log_count[:-3]
    at = edges[2:-2][: len(rise)]
    inside = (at >= 20) & (at <= 21.5)
    return float(at[inside][rise[inside].argmax()])


def mass_to_light_table(phat: Survey) -> None:
    """Print what a solar mass of several histories shines, without dust."""
    table = field_table(all_filters(phat), METALLICITY_AT_5_KPC, (0.0, 1.6))
    band_names = list(phat.band_names) + list(EXTRA_BANDS)
    v, b, i = (band_names.index(name) for name in "VBI")
    blue, red = band_names.index("F475W"), band_names.index("F814W")
    vega = np.array([load_passband(name).vega_minus_ab for name in all_filters(phat)])
    print("\nhistory            initial M/L_V   B-V    V-I   F475W-F814W (Vega), Z = 0.008 to 0.03")
    for history, tau in (
        ("constant", 1.0),
        ("declining", 8.0),
        ("declining", 4.0),
        ("declining", 2.0),
    ):
        settings = phat.galaxy.field.model_copy(update={"history": history, "decline_gyr": tau})
        mass = mass_per_bin(settings, table.log_age)
        shares = mass[:, None] * np.ones(len(table.metallicity))
        light = light_per_msun(table, shares / shares.sum(), 0.0)
        m = -2.5 * np.log10(light) + vega
        label = history if history == "constant" else f"{history}, {tau:g} Gyr"
        print(
            f"{label:18s} {10 ** (0.4 * (m[v] - 4.81)):8.2f}      {m[b] - m[v]:6.2f} "
            f"{m[v] - m[i]:6.2f} {m[blue] - m[red]:8.2f}"
        )


def draw_images(place: Place, renderer: Renderer, size: int) -> tuple[np.ndarray, np.ndarray]:
    """An even field in all bands before the PSF, and one with structure as PHAT would see it."""
    phat = place.survey.with_values(observation={"bands": place.survey.bands[: renderer.n_bands]})
    detector = Detector(phat, device=CPU)
    limit = 0.3 * detector.noise.numpy() / renderer.peak  # as the simulator draws its fields
    low, high = field_extinction(place.survey) or (0.0, 0.0)
    assert place.table.a_v[0] <= low <= high <= place.table.a_v[1]
    sampler = CrowdedSampler(
        place.table,
        unit_magnitude=[band.zero_point_ab - DISTANCE_MODULUS for band in place.survey.bands],
        flux_limit=[*limit, *[np.inf] * len(EXTRA_BANDS)],
    )
    shape = (size, size)
    even = draw_field(
        place.survey, sampler, place.density, shape_px=shape, generator=stream((1,), CPU)
    )
    structure = {
        "burstiness": 0.7,
        "gradient_dex": 0.1,
        "clump_share": (0.3, 0.3),
        "galaxies_per_arcmin2": 80.0,
    }
    real = place.survey.with_values(galaxy={"field": structure})
    light = draw_field(real, sampler, place.density, shape_px=shape, generator=stream((2,), CPU))
    seen = renderer.convolve(light[None, : renderer.n_bands])
    return even.numpy(), detector.expose(seen, generator=stream((3,), CPU))[0].numpy()


def column(
    axes: np.ndarray, place: Place, renderer: Renderer, colour: str, size: int
) -> dict[str, np.ndarray | float]:
    """Picture, colour-magnitude diagram and pixel histogram of one place; what was measured."""
    survey, vega = place.survey, vega_minus_ab(place.survey)
    zero_point = np.array([band.zero_point_ab for band in survey.bands])
    even, image = draw_images(place, renderer, size)
    area = (size * survey.pixel_scale_arcsec) ** 2
    brightness = zero_point + vega - 2.5 * np.log10(even.sum((1, 2)) / area)
    stars, star_area = star_list(place, mass_msun=6e6)
    blue, red = stars[survey.band_names.index("F475W")], stars[survey.band_names.index("F814W")]
    before_dust = (blue - red > 1.3) & (blue - red < 2.1)
    pixels = renderer.convolve(torch.from_numpy(even[None, : renderer.n_bands]))[0, 2].numpy()
    expected = pixel_distribution(place, renderer, "F814W")
    found: dict[str, np.ndarray | float] = {
        "brightness": brightness,
        "red": red,
        "area": star_area,
        "deep": float(((red < 27.1) & (blue < 27.9)).sum() / star_area),
        "stars_per_pixel": place.density
        * (survey.pixel_scale_arcsec * survey.pc_per_arcsec) ** 2
        / KROUPA2001.mean_mass,
        "clump": peak(red[before_dust], 23.6, 25.2),
        "tip": tip(red[(blue - red > 2) & (blue - red < 3.2)]),
        "slope": count_slope(place),
    }
    picture(axes[0], place, image)
    diagram(axes[2], blue - red, red, found)
    histogram(axes[3], pixels, expected, colour)
    report(place, found, pixels, expected)
    return found


def report(
    place: Place,
    found: dict[str, np.ndarray | float],
    pixels: np.ndarray,
    expected: tuple[np.ndarray, np.ndarray],
) -> None:
    """Print what was measured at one place."""
    names = place.survey.band_names
    b, v, i, blue, red = (names.index(name) for name in ("B", "V", "I", "F475W", "F814W"))
    mu = found["brightness"]
    value, chance = expected
    width = value[1] - value[0]
    mean = float((value * chance).sum() * width)
    share = np.cumsum(chance) * width
    z = sorted({float(x) for x in place.table.metallicity[place.shares.sum(0) > 0]})
    print(
        f"\n{place.radius_kpc:g} kpc: Z = {z}, A_V = {place.a_v[0]:.2f} and {place.a_v[1]:.2f}\n"
        f"  surface density {place.density:.0f} initial Msun/pc2\n"
        f"  V {mu[v]:.2f} mag/arcsec2 (literature "
        f"{float(surface_brightness_v(np.array(place.radius_kpc))):.2f}), B-V {mu[b] - mu[v]:.2f}, "
        f"V-I {mu[v] - mu[i]:.2f}, F475W-F814W {mu[blue] - mu[red]:.2f}\n"
        f"  RGB tip F814W {found['tip']:.2f}, red clump {found['clump']:.2f}, slope of the V "
        f"counts {found['slope']:.2f}\n"
        f"  {found['deep']:.1f} stars/arcsec2 above PHAT's limits, {found['stars_per_pixel']:.0f} "
        f"stars per pixel\n"
        f"  pixels in F814W (e-/s): mean {pixels.mean():.3f} (P(D): {mean:.3f}), quantiles "
        + ", ".join(
            f"{100 * q:g} %: {np.quantile(pixels, q):.3f} ({value[np.searchsorted(share, q)]:.3f})"
            for q in (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
        )
    )


def picture(axis: plt.Axes, place: Place, image: np.ndarray) -> None:
    """Colour picture with one stretch for all places (Lupton et al. 2004)."""
    zero_point = np.array([band.zero_point_ab for band in place.survey.bands[:3]])
    scaled = image * 10 ** (-0.4 * (zero_point - 25.94))[:, None, None]
    shown = scaled[:, :240, :240]
    uv, blue, red = shown
    rgb = make_lupton_rgb(red * 0.5, blue * 1.3, uv * 4.5, minimum=0.02, stretch=0.3, Q=8)
    side = 240 * place.survey.pixel_scale_arcsec
    axis.imshow(rgb, origin="lower", extent=(0, side, 0, side), interpolation="nearest")
    axis.set_title(
        f"{place.radius_kpc:g} kpc: {place.density:.0f} M$_\\odot$ pc$^{{-2}}$ (initial)",
        fontsize=12,
    )
    axis.set_xlabel("arcsec")
    axis.set_ylabel("arcsec")
    axis.text(
        0.03,
        0.03,
        "F814W, F475W, F336W",
        color="w",
        transform=axis.transAxes,
        fontsize=9,
        bbox={"facecolor": "k", "alpha": 0.6, "edgecolor": "none", "pad": 2},
    )


def behind_foreground(absolute: tuple[float, float]) -> tuple[float, float]:
    """Apparent F814W magnitudes of stars that only the Milky Way's dust dims; A_F814W = 0.6 A_V."""
    low, high = (m + DISTANCE_MODULUS + 0.6 * FOREGROUND_A_V for m in absolute)
    return low, high


def diagram(
    axis: plt.Axes, colour: np.ndarray, red: np.ndarray, found: dict[str, np.ndarray | float]
) -> None:
    """Density of stars in colour and magnitude, with the literature's tip and clump."""
    counts, x, y = np.histogram2d(
        colour, red, bins=[np.arange(-1, 4.51, 0.06), np.arange(18.5, 28.01, 0.08)]
    )
    shown = axis.pcolormesh(
        x,
        y,
        np.where(counts > 0, counts, np.nan).T / found["area"] / 0.06 / 0.08,
        norm=matplotlib.colors.LogNorm(vmin=1e-2, vmax=3e2),
        cmap="viridis",
        rasterized=True,
    )
    inside = axis.inset_axes((0.05, 0.93, 0.42, 0.03))
    plt.colorbar(shown, cax=inside, orientation="horizontal")
    inside.set_xlabel("stars arcsec$^{-2}$ mag$^{-2}$", fontsize=8, labelpad=1)
    inside.tick_params(labelsize=8)
    for absolute, label in ((TIP_I, "RGB tip"), (CLUMP_I, "red clump")):
        axis.axhspan(*behind_foreground(absolute), color="k", alpha=0.15, lw=0)
        box = {"facecolor": "w", "alpha": 0.85, "edgecolor": "none", "pad": 1.5}
        above = behind_foreground(absolute)[0] - 0.12
        axis.text(4.4, above, label, ha="right", fontsize=9, bbox=box, zorder=3)
    axis.set(xlim=(-1, 4.5), ylim=(27.4, 18), ylabel="F814W [Vega mag]")
    axis.set_xlabel("F475W − F814W [Vega mag]")


def histogram(
    axis: plt.Axes, pixels: np.ndarray, expected: tuple[np.ndarray, np.ndarray], colour: str
) -> None:
    """Pixel values of the simulated field, and the distribution that P(D) predicts."""
    edges = np.geomspace(0.01, 60, 66)
    middle = np.sqrt(edges[1:] * edges[:-1])
    counts = np.histogram(pixels, edges)[0] / pixels.size / np.diff(np.log10(edges))
    value, chance = expected
    cumulative = np.concatenate(([0.0], np.cumsum(chance) * (value[1] - value[0])))
    below = np.interp(edges, np.append(value, 2 * value[-1] - value[-2]), cumulative)
    axis.step(middle, counts, where="mid", color=colour, lw=1.8, label="simulated field")
    axis.plot(
        middle,
        np.diff(below) / np.diff(np.log10(edges)),
        color="k",
        lw=1.1,
        ls="--",
        label="P(D) of the luminosity function",
    )
    axis.set(xscale="log", yscale="log", ylim=(1e-4, 40), xlim=(0.015, 60))
    axis.set_xlabel("F814W, e$^-$ s$^{-1}$ per pixel (without noise)")
    axis.set_ylabel("share of pixels per dex")
    axis.legend(fontsize=9, loc="upper right")


def summary(
    axes: np.ndarray, places: list[Place], found: list[dict[str, np.ndarray | float]]
) -> None:
    """Surface brightness, colours and counts of all places."""
    radius = np.linspace(2.5, 20, 200)
    names = places[0].survey.band_names
    b, v, i = (names.index(name) for name in "BVI")
    error = DISC["error_kpc"]
    scales = np.array([DISC["scale_kpc"] - error, DISC["scale_kpc"] + error])
    band = np.array([surface_brightness_v(radius, scale) for scale in scales])
    axes[0].fill_between(radius, *band, color="0.85", label="its R$_d$ = 5.3 ± 0.5 kpc")
    axes[0].plot(
        radius, surface_brightness_v(radius), color="k", lw=1.2, label="Courteau+ 2011, scaled"
    )
    axes[0].plot(
        35.5 * 60 / 206264.8 * 785,
        22.62 - 0.85,
        "s",
        mfc="w",
        color="k",
        ms=8,
        label="de Vaucouleurs 1958 (B − 0.85)",
    )
    for place, measured, colour in zip(places, found, COLOURS, strict=True):
        mu = measured["brightness"]
        style = {"ms": 9, "color": colour, "ls": "none"}
        axes[0].plot(place.radius_kpc, mu[v], "o", **style)
        axes[1].plot(place.radius_kpc, mu[b] - mu[v], "o", **style)
        axes[1].plot(place.radius_kpc, mu[v] - mu[i], "^", **style)
        counts, edges = np.histogram(measured["red"], np.arange(18, 27.41, 0.2))
        axes[2].step(
            (edges[1:] + edges[:-1]) / 2,
            counts / measured["area"] / 0.2,
            where="mid",
            color=colour,
            label=f"{place.radius_kpc:g} kpc",
        )
    axes[0].plot([], [], "o", color=GREY, label="simulated")
    axes[0].set(ylim=(24.6, 20.2), xlim=(2.5, 18), ylabel="$\\mu_V$ [mag arcsec$^{-2}$]")
    axes[0].legend(fontsize=8.5, loc="lower left")
    reddening = FOREGROUND_A_V / 3.1
    axes[1].axhspan(0.85, 0.91, color="0.85", label="B − V: disc, galaxy (de Vaucouleurs 1958)")
    vi = 0.63 + 0.53  # intrinsic, Tempel et al. 2011
    axes[1].axhspan(
        vi + 1.25 * reddening,
        vi + 1.25 * (reddening + 0.15),
        color="#cfe3f3",
        label="V − I: Tempel+ 2011, reddened",
    )
    axes[1].plot([], [], "o", color=GREY, label="B − V, simulated")
    axes[1].plot([], [], "^", color=GREY, label="V − I, simulated")
    axes[1].set(ylim=(0.6, 2.0), xlim=(2.5, 18), ylabel="colour of the field's light [Vega mag]")
    axes[1].legend(fontsize=8.5, loc="upper left")
    for axis in axes[:2]:
        axis.set_xlabel("radius on the major axis [kpc]")
    for absolute, label in ((TIP_I, "RGB tip"), (CLUMP_I, "red clump")):
        low, high = behind_foreground(absolute)
        axes[2].axvspan(low, high, color="0.85", lw=0)
        axes[2].text((low + high) / 2, 1.3e-3, label, rotation=90, ha="center", fontsize=9)
    axes[2].axvline(27.1, color="k", lw=1, ls=":")
    axes[2].text(27.0, 1.3e-3, "PHAT, 4σ", rotation=90, ha="right", fontsize=9)
    axes[2].set(yscale="log", xlim=(18, 27.4), ylim=(1e-3, 3e2))
    axes[2].set_xlabel("F814W [Vega mag]")
    axes[2].set_ylabel("stars arcsec$^{-2}$ mag$^{-1}$")
    axes[2].legend(fontsize=9, loc="upper left")


def default_range(phat: Survey) -> None:
    """Print the V surface brightness of the survey's own range of densities."""
    table = field_table(all_filters(phat), phat.galaxy.field.metallicity, (0.0, 1.6))
    shares = age_metallicity_fractions(
        phat.with_values(galaxy={"field": {"burstiness": 0.0}}),
        table,
        generator=stream((0,), CPU),
    ).numpy()
    v = len(phat.bands) + list(EXTRA_BANDS).index("V")
    per_msun = -2.5 * np.log10(light_per_msun(table, shares, 0.0)[v])
    per_msun += load_passband(EXTRA_BANDS["V"]).vega_minus_ab
    shown = [
        f"{sigma:g} Msun/pc2: V = "
        f"{per_msun + DISTANCE_MODULUS - 2.5 * math.log10(sigma * phat.pc_per_arcsec**2):.2f}"
        for sigma in phat.galaxy.field.surface_density
    ]
    print("phat's own fields, without dust: " + ", ".join(shown))


def cost(phat: Survey) -> None:
    """Print the CPU time of one wide field of the pool with each feature, ms."""
    filters = [band.filter for band in phat.bands]
    table = field_table(filters, phat.galaxy.field.metallicity, (0.0, 1.5))
    noise = Detector(phat, device=CPU).noise.numpy()
    sampler = CrowdedSampler(
        table,
        unit_magnitude=[band.zero_point_ab - phat.distance_modulus for band in phat.bands],
        flux_limit=(0.3 * noise / Renderer(phat, device=CPU).peak).tolist(),
    )
    features = {
        "history": {"history": "declining"},
        "dust": {"dust_share": (0.5, 0.5)},
        "gradient": {"gradient_dex": 0.2},
        "clumps": {"clump_share": (0.5, 0.5)},
        "galaxies": {"galaxies_per_arcmin2": 80.0},
    }
    everything = {k: v for settings in features.values() for k, v in settings.items()}
    for name, settings in {"phat": {}, **features, "all": everything}.items():
        survey = phat.with_values(galaxy={"field": settings})
        times = []
        for density in (5.0, 30.0, 200.0):
            runs = []
            for k in range(15):
                start = time.process_time()
                draw_field(
                    survey, sampler, density, shape_px=(384, 384), generator=stream((k,), CPU)
                )
                runs.append(1e3 * (time.process_time() - start))
            times.append(float(np.median(runs)))
        print(f"{name:10s}" + "".join(f"{ms:8.0f}" for ms in times))


def main() -> None:
    """Draw, measure, print and plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="m31_fields.png")
    parser.add_argument("--cost", action="store_true", help="time the drawing instead")
    parser.add_argument("--size", type=int, default=384, help="side of the fields, pixels")
    args = parser.parse_args()
    matplotlib.use("Agg")
    phat = load_survey("phat-nodust")
    if args.cost:
        cost(phat)
        return
    mass_to_light_table(phat)
    default_range(phat)
    places = [make_place(radius, phat) for radius in RADII_KPC]
    figure, axes = plt.subplots(4, 3, figsize=(13.5, 17), layout="constrained")
    renderer = Renderer(phat, size=args.size, pad=0)
    curves = [
        column(axes[:, k], place, renderer, COLOURS[k], args.size) for k, place in enumerate(places)
    ]
    summary(axes[1], places, curves)
    figure.savefig(args.out, dpi=110)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
