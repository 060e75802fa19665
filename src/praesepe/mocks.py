"""Mock clusters in a FITS file: images in e-/s and the truth about them."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from praesepe.errors import InputError
from praesepe.parameters import PARAMETERS
from praesepe.sky.simulator import Mocks, Simulator
from praesepe.survey import Survey, load_survey

if TYPE_CHECKING:
    from astropy.io import fits

DRAWN_AT_ONCE = 256
"""Mocks rendered and written together: fixed, so that a seed always gives the same file."""

TRUTH_COLUMNS: dict[str, tuple[str | None, str]] = {
    **{p.name: (None, f"{p.description} [{p.unit}]") for p in PARAMETERS},
    "log_present_mass": (None, "log10 of the present mass, stars and remnants [dex(Msun)]"),
    "gamma": (None, "slope of the EFF profile"),
    "x": ("pixel", "x of the centre: pixels of the stamp, the first is 0"),
    "y": ("pixel", "y of the centre: pixels of the stamp, the first is 0"),
    "n_stars": (None, "number of stars drawn"),
    "field_density": ("solMass / pc2", "initial mass of the field stars per area"),
}
"""Unit and description of the columns of TRUTH; FITS has no logarithmic units."""

Progress = Callable[[int, int], None]


def simulate(
    survey: Survey | str | Path,
    out: str | Path,
    *,
    n: int,
    seed: int = 0,
    nuisances: bool = True,
    overwrite: bool = False,
    device: str = "cpu",
    command: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write mock clusters of a survey to a FITS file.

    Parameters
    ----------
    survey : Survey, str or Path
        The survey, its built-in name or its TOML file.
    out : path
        FITS file: image extension IMAGES (n, band, y, x), float32, e-/s; table TRUTH.
    n : int
        Number of clusters.
    seed : int
        The same seed gives the same clusters.
    nuisances : bool
        Draw zero points, blur and registration errors for every stamp and band.
    overwrite : bool
        Replace a file that exists.
    device : str
        Where the clusters are rendered.
    command : str, optional
        The command line, for the header.
    progress : callable, optional
        Called with (clusters done, all clusters), first with none done.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    InputError
        Where the survey or the output cannot be used.
    """
    from praesepe.images.tables import check_output, replace_file

    path = check_output(out, (".fits", ".fit"), overwrite=overwrite)
    if n < 1 or seed < 0:
        raise InputError(f"n = {n}, seed = {seed}: at least one cluster, and a seed of 0 or more.")
    survey = load_survey(survey)
    simulator = Simulator(survey, device=device, seed=seed, nuisances=nuisances)
    header = _header(survey, n=n, seed=seed, nuisances=nuisances, command=command)
    replace_file(path, lambda part: _write(part, header, simulator, n, progress))
    return path


def _write(
    path: Path, header: fits.Header, simulator: Simulator, n: int, progress: Progress | None
) -> None:
    """Stream the images batch by batch, then append the truth."""
    from astropy.io import fits

    truth: list[dict[str, np.ndarray]] = []
    images = fits.StreamingHDU(path, header)
    if progress is not None:
        progress(0, n)
    try:
        for start in range(0, n, DRAWN_AT_ONCE):
            mocks = simulator.draw(min(DRAWN_AT_ONCE, n - start))
            images.write(mocks.images.cpu().numpy())
            truth.append(_truth(mocks))
            if progress is not None:
                progress(start + len(mocks.labels), n)
    finally:
        images.close()
    names = truth[0].keys()
    columns = {name: np.concatenate([part[name] for part in truth]) for name in names}
    with fits.open(path, mode="append", memmap=False) as file:
        file.append(_truth_table(columns))


def _truth(mocks: Mocks) -> dict[str, np.ndarray]:
    """Labels and further truth of one batch, as float32 columns."""
    labels = mocks.labels.cpu().numpy()
    columns = {parameter.name: labels[:, i] for i, parameter in enumerate(PARAMETERS)}
    extra = {name: values.cpu().numpy() for name, values in mocks.truth.items()}
    return columns | {name: values.astype(np.float32) for name, values in extra.items()}


def _truth_table(columns: dict[str, np.ndarray]) -> fits.BinTableHDU:
    from astropy.io import fits

    described = {
        name: ("mag", f"AB magnitude of the cluster in {name.removeprefix('mag_')}")
        if name.startswith("mag_")
        else TRUTH_COLUMNS.get(name, (None, name))
        for name in columns
    }
    table = fits.BinTableHDU.from_columns(
        [fits.Column(name, "E", unit=described[name][0], array=columns[name]) for name in columns],
        name="TRUTH",
    )
    for i, (_, description) in enumerate(described.values(), start=1):
        table.header[f"TCOMM{i}"] = description
    return table


def _header(
    survey: Survey, *, n: int, seed: int, nuisances: bool, command: str | None
) -> fits.Header:
    """Header of IMAGES: shape, unit and where the mocks come from."""
    from astropy.io import fits

    from praesepe import __version__

    size, bands = survey.stamp_size, survey.bands
    cards: list[tuple[str, Any, str]] = [
        ("XTENSION", "IMAGE", "image extension"),
        ("BITPIX", -32, "float32"),
        ("NAXIS", 4, "cluster, band, y, x"),
        ("NAXIS1", size, "x"),
        ("NAXIS2", size, "y"),
        ("NAXIS3", len(bands), "band"),
        ("NAXIS4", n, "cluster"),
        ("PCOUNT", 0, ""),
        ("GCOUNT", 1, ""),
        ("EXTNAME", "IMAGES", ""),
        ("BUNIT", "electron/s", ""),
        ("SURVEY", survey.name, "survey of the simulation"),
        ("SURVHASH", survey.fingerprint(), ""),
        ("SEED", seed, "of the simulator"),
        ("NUISANCE", nuisances, "random zero points, blur, registration"),
        ("PIXSCALE", survey.pixel_scale_arcsec, "[arcsec] side of a pixel"),
        ("DISTANCE", survey.distance_pc, "[pc]"),
        ("PRAESEPE", __version__, "version of the code"),
        ("DATE", datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), ""),
    ]
    for i, band in enumerate(bands, start=1):
        cards.append((f"BAND{i}", band.name, f"{band.instrument} {band.filter}"[:45]))
        cards.append((f"ABZP{i}", band.zero_point_ab, "[mag] AB magnitude of 1 e-/s"))
    header = fits.Header([fits.Card(*card) for card in cards])
    if command:
        header["HISTORY"] = command
    return header
