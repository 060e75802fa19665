"""Colours of cool stars: a smooth correction of Kurucz's spectra below 6250 K.

    python tools/cool_stars.py PARSEC_FILE --sedfit SEDFIT

fits it to the magnitudes of every other isochrone of a PARSEC file (CMD web form, WFC3 filters),
prints how well it serves the isochrones in between and regions left out, and writes
`cool_stars.json` (60 numbers). The grid is built from that table: rebuilding it needs no PARSEC
file. The table in use was fitted with F438W's filter alone (docs/decisions.md, 2026-11-27).

The method is that of Lejeune, Cuisinier & Buser (1997, A&AS 125, 229): each spectrum is multiplied
by a smooth function of wavelength that gives it the wanted colours.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import kurucz_spectra
import numpy as np

from praesepe.stars import load_passband
from praesepe.stars.atmospheres import QUANTUM_DEX, MagnitudeTable, SpectralLibrary, metals_dex
from praesepe.stars.readers import IsochroneFile, read_isochrones

TABLE = Path(__file__).with_name("cool_stars.json")
NODES = (3300.0, 3900.0, 4350.0, 4850.0)  # Angstrom: about F336W, F390W, F438W and F475W
VANISHES = (2700.0, 5900.0)  # Angstrom: nothing is changed outside
NONE_TO, FULL_FROM, FULL_TO, NONE_FROM = 3750.0, 4000.0, 6000.0, 6250.0  # K
DEGREES = (2, 4)  # of the polynomials in log T and log g
BANDS = ("F336W", "F390W", "F438W", "F475W", "F555W")
ZERO_TEFF = (6500.0, 8000.0)  # K: where the bands of both agree by definition
FITTED_TEFF = (4000.0, 6250.0)  # K
JUDGED_TEFF = (4000.0, 6000.0)  # K
LIMIT_MAG = 0.1
ROUNDS = 3
STIFFNESS = 1.0
"""Weight of a magnitude of bend between three nodes, against that of a magnitude of one star."""
STEP_MAG = 0.1


@dataclass(frozen=True, eq=False)
class Correction:
    """Brightening of cool spectra at `NODES`: polynomials of log T and log g.

    Attributes
    ----------
    coefficients : ndarray, shape (nodes, terms)
        Mag, for the terms of `polynomials`.
    """

    coefficients: np.ndarray

    @classmethod
    def read(cls, path: Path = TABLE) -> Correction:
        """The correction that the embedded grid is made with."""
        record = json.loads(path.read_text())
        if (record["nodes_angstrom"], record["degrees_log_teff_log_g"]) != ([*NODES], [*DEGREES]):
            raise SystemExit(f"{path} was fitted with other nodes or degrees; fit it again")
        return cls(np.array(record["coefficients_mag"]))

    @classmethod
    def none(cls) -> Correction:
        """The correction that changes nothing."""
        return cls(np.zeros((len(NODES), (DEGREES[0] + 1) * (DEGREES[1] + 1))))

    def __call__(self, teff: float, log_g: float, wavelength: np.ndarray) -> np.ndarray:
        """Log10 of the factor, shape (w,), for one spectrum: linear between the nodes."""
        strength = ramp(teff) * (self.coefficients @ polynomials(teff, log_g))
        points = (VANISHES[0], *NODES, VANISHES[1])
        return 0.4 * np.interp(wavelength, points, (0.0, *strength, 0.0))

    def removed(self, library: SpectralLibrary) -> SpectralLibrary:
        """The library as it was before its cool Kurucz spectra were corrected."""
        spectra = library.spectra.copy()
        wave = library.wavelength_angstrom
        for i in np.flatnonzero(
            (library.teff >= kurucz_spectra.KURUCZ_FROM) & (library.teff < NONE_FROM)
        ):
            for j, log_g in enumerate(library.log_g):
                rows = np.unique(library.index[i, j])
                plain = library.spectra[rows] * 10.0 ** -self(library.teff[i], log_g, wave)
                before = np.trapezoid(library.spectra[rows] / wave, wave, axis=1)
                after = np.trapezoid(plain / wave, wave, axis=1)
                spectra[rows] = plain * (before / after)[:, None]
        return replace(library, spectra=spectra)


def ramp(teff: float) -> float:
    """One from `FULL_FROM` to `FULL_TO`, zero to `NONE_TO` and from `NONE_FROM`, linear between."""
    return float(np.interp(teff, (NONE_TO, FULL_FROM, FULL_TO, NONE_FROM), (0.0, 1.0, 1.0, 0.0)))


def bends() -> np.ndarray:
    """Second differences between the nodes all over the grid, (n, nodes * terms)."""
    at = [(teff, log_g) for teff in np.arange(4000.0, 6001.0, 250.0) for log_g in np.arange(11) / 2]
    terms = polynomials(*np.transpose(at))  # (point, term)
    ends = np.eye(len(NODES) + 2)[:, 1:-1]  # nothing is changed at either end
    difference = np.diff(ends, n=2, axis=0)  # (node, node)
    return np.einsum("ij,pt->pijt", difference, terms).reshape(-1, len(NODES) * terms.shape[1])


def polynomials(teff: np.ndarray | float, log_g: np.ndarray | float) -> np.ndarray:
    """Products of Legendre polynomials of log T and log g, shape (..., terms)."""
    x = np.clip((np.log10(teff) - 3.685) / 0.115, -1.0, 1.0)  # 3715 to 6310 K
    x, y = np.broadcast_arrays(x, (np.asarray(log_g) - 2.5) / 2.5)
    return np.polynomial.legendre.legvander2d(x, y, DEGREES).reshape(*x.shape, -1)


@dataclass(frozen=True, eq=False)
class Calibration:
    """The spectra before the correction, and the stars to which they are fitted.

    Attributes
    ----------
    kurucz, settl : dict
        Libraries of `kurucz_spectra.read_library`.
    parsec : IsochroneFile
    """

    kurucz: dict
    settl: dict
    parsec: IsochroneFile

    def table(self, correction: Correction) -> MagnitudeTable:
        """Vega magnitudes in `BANDS` from corrected spectra."""
        grid = kurucz_spectra.spectral_grid(self.kurucz, self.settl, correction)
        axes = (grid["wavelength"], grid["teff"], grid["logg"], grid["feh"], grid["index"])
        library = SpectralLibrary(*axes, 10.0 ** (grid["spectra"] * QUANTUM_DEX))
        curves = [load_passband(f"wfc3_uvis_{band.lower()}") for band in BANDS]
        table = library.bolometric_corrections(curves)
        vega = np.array([curve.vega_minus_ab for curve in curves])
        return replace(table, magnitude=table.magnitude + vega)

    def residual(self, table: MagnitudeTable) -> np.ndarray:
        """Magnitudes from the table minus PARSEC's, (n, B)."""
        stars = self.parsec
        metals = metals_dex(stars.metallicity)
        ours = table(stars.log_l, stars.log_teff, stars.log_g, metals)
        return ours - own_magnitudes(stars, BANDS)

    def fit(self, stars: np.ndarray) -> Correction:
        """Least squares on the chosen stars (n,), a mask; repeated, as it is nearly linear.

        The zero point of each band (0.02 mag: filter curves, the Sun's luminosity) is that of
        hotter stars, so that it does not pass for a colour of cool ones. How magnitudes respond
        to a node is taken from the grid, brightened there by `STEP_MAG`.
        """
        teff, log_g = self.parsec.log_teff[stars], self.parsec.log_g[stars]
        metals = metals_dex(self.parsec.metallicity[stars])
        hot = 10.0**self.parsec.log_teff
        hot = (hot > ZERO_TEFF[0]) & (hot < ZERO_TEFF[1])
        zero = np.median(self.residual(self.table(Correction.none()))[hot], axis=0)
        correction = Correction.none()
        for _ in range(ROUNDS):
            table = self.table(correction)
            terms = polynomials(10.0 ** table.log_teff[:, None], table.log_g)  # (t, g, p)
            columns = []
            for node in range(len(NODES)):
                step = np.zeros_like(correction.coefficients)
                step[node, 0] = STEP_MAG
                brighter = self.table(Correction(correction.coefficients + step))
                slope = (brighter.magnitude - table.magnitude) / STEP_MAG  # (t, g, z, B)
                for term in np.moveaxis(terms, -1, 0):
                    response = replace(table, magnitude=slope * term[:, :, None, None])
                    columns.append(response(0.0, teff, log_g, metals).ravel())
            missing = (zero - self.residual(table)[stars]).ravel()
            bend = STIFFNESS * bends()
            present = correction.coefficients.ravel()
            change, *_ = np.linalg.lstsq(
                np.concatenate([np.stack(columns, axis=-1), bend]),
                np.concatenate([missing, -bend @ present]),
                rcond=None,
            )
            correction = Correction((present + change).reshape(len(NODES), -1))
        return correction


def own_magnitudes(parsec: IsochroneFile, bands: tuple[str, ...]) -> np.ndarray:
    """Vega magnitudes (n, B) that PARSEC's file has beside its stars."""
    lines = [line for line in parsec.path.read_text().splitlines() if line.strip()]
    names = next(line for line in lines if "logTe" in line).strip("# \t").split()
    rows = [line.split() for line in lines if not line.startswith("#")]
    return np.array([[row[names.index(band)] for band in bands] for row in rows], dtype=float)


def fitted_half(log_age: np.ndarray) -> np.ndarray:
    """Mask (n,) of the stars of every other isochrone, from the youngest on."""
    return np.unique(log_age, return_inverse=True)[1] % 2 == 0


def cool_part(kurucz: dict) -> dict:
    """The models that the fit needs: up to 8000 K, [Fe/H] 0 and +0.2."""
    rows = (kurucz["teff"] <= 8000.0) & (kurucz["feh"] > -0.1) & (kurucz["feh"] < 0.3)
    return {key: value if key == "wavelength" else value[rows] for key, value in kurucz.items()}


def print_residual(what: str, residual: np.ndarray) -> None:
    """Print the share of stars within `LIMIT_MAG`, and the largest difference, band by band."""
    shares = (np.abs(residual) < LIMIT_MAG).mean(axis=0)
    cells = zip(BANDS, shares, np.abs(residual).max(axis=0), strict=True)
    text = "  ".join(f"{band} {share:7.2%} ({worst:.2f})" for band, share, worst in cells)
    print(f"{what:34}{len(residual):5} stars  {text}")


def main() -> None:
    """Fit, print how good the fit is on stars that it has not seen, write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parsec", type=Path)
    parser.add_argument("--sedfit", type=Path, required=True, help=".tar.gz, or unpacked folder")
    options = parser.parse_args()
    sources = {
        name: kurucz_spectra.read_member(options.sedfit, f"sed_{name}.p")
        for name in ("kurucz", "btsettl")
    }
    kurucz, settl = (kurucz_spectra.read_library(content) for content in sources.values())
    (parsec,) = read_isochrones(options.parsec)
    data = Calibration(cool_part(kurucz), settl, parsec)
    teff, log_g, half = 10.0**parsec.log_teff, parsec.log_g, fitted_half(parsec.log_age)
    fitted = half & (teff > FITTED_TEFF[0]) & (teff < FITTED_TEFF[1])
    judged = (teff > JUDGED_TEFF[0]) & (teff < JUDGED_TEFF[1])
    correction = data.fit(fitted)
    print("share of stars within 0.1 mag (largest difference, mag)")
    for what, used in (("uncorrected", Correction.none()), ("corrected", correction)):
        print_residual(
            f"{what}, isochrones not fitted", data.residual(data.table(used))[judged & ~half]
        )
    for what, region in (
        ("giants of log g 2 to 2.5", (log_g >= 2.0) & (log_g < 2.5)),
        ("supergiants of log g 0.5 to 1", (log_g >= 0.5) & (log_g < 1.0)),
        ("dwarfs of 4500 to 5000 K", (log_g > 4.3) & (teff > 4500) & (teff < 5000)),
        ("all of 4750 to 5250 K", (teff > 4750) & (teff < 5250)),
    ):
        table = data.table(data.fit(fitted & ~region))
        print_residual(f"left out: {what}", data.residual(table)[judged & region])
    parsec_name, sedfit_name = options.parsec.name, options.sedfit.name
    record = {
        "what": "brightening of cool Kurucz spectra, see tools/cool_stars.py",
        "command": f"python tools/cool_stars.py {parsec_name} --sedfit {sedfit_name}",
        **{
            f"{name}_sha256": hashlib.sha256(content).hexdigest()
            for name, content in (
                ("parsec", options.parsec.read_bytes()),
                *sources.items(),
            )
        },
        "nodes_angstrom": NODES,
        "degrees_log_teff_log_g": DEGREES,
        "coefficients_mag": np.round(correction.coefficients, 4).tolist(),
    }
    TABLE.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
