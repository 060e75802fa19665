"""Files of mock clusters, FITS or Zarr: images in e-/s, the truth about them, their origin."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from praesepe.blocks import BLOCK_SIZE, Block, blocks_of
from praesepe.errors import PraesepeWarning, unusable
from praesepe.files import atomic
from praesepe.mocks.checksums import KEYWORD, ZARR_SUFFIX, add_checksum, is_intact
from praesepe.provenance import add_cards, any_text, ascii_text, cards, now, provenance_of
from praesepe.sky.clusters.profiles import PROFILES
from praesepe.sky.simulator import RANDOM_STREAM
from praesepe.sky.stamps import Mocks
from praesepe.sky.truth import describe
from praesepe.stars.atmospheres import SpectralLibrary
from praesepe.stars.store import key_of
from praesepe.survey import Survey

if TYPE_CHECKING:
    from astropy.io import fits

FITS_SUFFIXES = (".fits", ".fit")
SUFFIXES = (*FITS_SUFFIXES, ZARR_SUFFIX)
"""File name endings of a set of mocks."""

Truth = dict[str, NDArray[np.float32]]

ZARR_CHUNK = 32
"""Stamps in a compressed chunk: about a megabyte and a half for three bands of 64 × 64 pixels."""


def truth_column(name: str) -> tuple[str | None, str]:
    """Unit and description of a column of the truth; FITS has no logarithmic units."""
    unit, description = describe(name)
    if unit.startswith("dex"):
        return None, f"{description} [{unit}]"
    return unit or None, description


def simulated_by(survey: Survey, **settings: Any) -> dict[str, Any]:
    """The provenance of what was simulated: also the random stream, and what the stars are."""
    return provenance_of(
        survey,
        stream=RANDOM_STREAM,
        spectra=SpectralLibrary.embedded_key(),
        stars=" ".join(key_of(model)[:12] for model in survey.clusters.stars.models),
        **settings,
    )


@dataclass(frozen=True)
class MockArrays:
    """Mocks as files hold them: plain arrays, which go from one process to another.

    Attributes
    ----------
    images : ndarray of float32, shape (n, band, y, x)
        e-/s.
    truth : dict of str to ndarray of float32, each of shape (n,)
    """

    images: NDArray[np.float32]
    truth: Truth

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def of(cls, mocks: Mocks) -> MockArrays:
        """The arrays of simulated stamps."""
        truth = {name: values.cpu().numpy() for name, values in mocks.truth.items()}
        columns = {name: values.astype(np.float32) for name, values in truth.items()}
        return cls(mocks.images.cpu().numpy(), columns)

    @classmethod
    def joined(cls, parts: Iterable[MockArrays]) -> MockArrays:
        """Several blocks as one."""
        images, truths = zip(*((part.images, part.truth) for part in parts), strict=True)
        return cls(np.concatenate(images), _joined(truths))

    @classmethod
    def read(cls, path: Path) -> MockArrays:
        """What a file that `write_mocks` wrote holds; refused where it is not as it was written."""
        if not is_intact(path):
            fault = "is missing, damaged, or was changed since it was written"
            raise unusable(path, fault, "simulate it again")
        if path.suffix.lower() == ZARR_SUFFIX:
            import zarr

            root: Any = zarr.open_group(path, mode="r", zarr_format=3)
            return cls(root["images"][:], {name: root["truth"][name][:] for name in root["truth"]})
        from astropy.io import fits

        # Bytes behind the end of a header, of which astropy warns, are none of what was checked.
        with warnings.catch_warnings(action="ignore"), fits.open(path, memmap=False) as file:
            truth = file["TRUTH"].data
            columns = {any_text(name): truth[name].astype(np.float32) for name in truth.names}
            return cls(file["IMAGES"].data.astype(np.float32), columns)


@dataclass(frozen=True)
class MockSet:
    """What a file of mocks holds, and which part of which set it is.

    Attributes
    ----------
    survey : Survey
    seed : int
    nuisances : bool
    first, n : int
        Number of the file's first mock in the set, from 0, and how many follow.
    command : str, optional
        The command line.
    """

    survey: Survey
    seed: int
    nuisances: bool
    n: int
    first: int = 0
    command: str | None = None

    def record(self) -> dict[str, Any]:
        """What two files must share to hold the same mocks."""
        return simulated_by(
            self.survey, seed=self.seed, nuisances=self.nuisances, first=self.first, n=self.n
        )

    def cards(self) -> list[tuple[str, Any, str]]:
        """Keywords, values and comments: FITS cards, or Zarr attributes."""
        found: list[tuple[str, Any, str]] = [
            ("BUNIT", "electron/s", ""),
            *cards({**self.record(), "date": now()}),
            ("PIXSCALE", self.survey.pixel_scale_arcsec, "[arcsec] side of a pixel"),
            ("DISTANCE", self.survey.distance_pc, "[pc]"),
        ]
        for i, band in enumerate(self.survey.bands, start=1):
            found.append(
                (f"BAND{i}", band.name, ascii_text(f"{band.instrument} {band.filter}")[:45])
            )
            found.append((f"ABZP{i}", band.zero_point_ab, "[mag] AB magnitude of 1 e-/s"))
        for number, name in enumerate(self.survey.clusters.stars.models):
            found.append((f"MODEL{number}", name, f"stellar model {number} of the truth"))
        for number, name in enumerate(PROFILES):
            found.append((f"PROFILE{number}", name, f"profile {number} of the truth"))
        return found

    def blocks(self, size: int = BLOCK_SIZE) -> list[Block]:
        """The blocks of the set that the file holds."""
        return blocks_of(self.n, first=self.first, size=size)

    @property
    def bytes(self) -> int:
        """Size of the uncompressed images."""
        return 4 * self.n * len(self.survey.bands) * self.survey.stamp_size**2


def write_mocks(path: Path, mocks: MockSet, blocks: Iterable[MockArrays]) -> None:
    """Write a file of mocks as its ending says; it appears when it is complete, not before."""
    write = _write_zarr if path.suffix.lower() == ZARR_SUFFIX else _write_fits
    with atomic(path) as part:
        write(part, mocks, blocks)
        add_checksum(part)


def holds(path: Path, mocks: MockSet) -> bool:
    """Whether a file is there, is by its header the one that `mocks` describes, and is intact.

    One that is damaged is told by a warning.
    """
    same = {key: value for key, value in mocks.record().items() if key != "survey"}  # a mere word
    found: Any
    try:
        if path.suffix.lower() == ZARR_SUFFIX:
            import zarr

            found = zarr.open_group(path, mode="r", zarr_format=3).attrs
            described = all(found.get(key) == value for key, value, _ in cards(same))
        else:
            from astropy.io import fits

            with warnings.catch_warnings(action="ignore"), fits.open(path) as file:
                found = file["IMAGES"].header
                described = all(found.get(key) == value for key, value, _ in cards(same))
                described &= file[-1].name == "TRUTH" and file[-1].header["NAXIS2"] == mocks.n
    except Exception:  # whatever a library makes of damage
        return False
    if not described:
        return False
    if not is_intact(path):
        told = f"{path} is damaged, or was changed since it was written; it is simulated again"
        warnings.warn(told, PraesepeWarning, stacklevel=4)
        return False
    return True


def _write_zarr(path: Path, mocks: MockSet, blocks: Iterable[MockArrays]) -> None:
    """Arrays ``images`` (n, band, y, x) and ``truth/...`` (n,), with units as attributes."""
    import zarr
    from zarr.codecs import BloscCodec

    size, n_bands = mocks.survey.stamp_size, len(mocks.survey.bands)
    attributes = {key: value for key, value, _ in mocks.cards()}
    if mocks.command:
        attributes["HISTORY"] = mocks.command
    root = zarr.create_group(path, zarr_format=3, attributes=attributes)
    images = root.create_array(
        "images",
        shape=(mocks.n, n_bands, size, size),
        chunks=(min(ZARR_CHUNK, mocks.n), n_bands, size, size),
        dtype="float32",
        attributes={"unit": "electron/s"},
        dimension_names=("cluster", "band", "y", "x"),
        compressors=BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
    )
    truths, start = [], 0
    for block in blocks:
        images[start : start + len(block.images)] = block.images
        start += len(block.images)
        truths.append(block.truth)
    truth = root.create_group("truth")
    for name, values in _joined(truths).items():
        unit, description = truth_column(name)
        column = truth.create_array(name, data=values, dimension_names=("cluster",))
        column.attrs.update({"unit": unit or "", "description": description})


def _write_fits(path: Path, mocks: MockSet, blocks: Iterable[MockArrays]) -> None:
    """Stream the images block by block, then append the truth."""
    from astropy.io import fits

    truths = []
    with path.open("ab+") as stream:  # astropy leaves its own file open where a header fails
        images = fits.StreamingHDU(stream, _header(mocks))
        for block in blocks:
            images.write(block.images)
            truths.append(block.truth)
        images.close()
    with fits.open(path, mode="append", memmap=False) as file:
        truth = truth_hdu(_joined(truths))
        truth.add_checksum()  # room for it
        file.append(truth)


def _joined(truths: Sequence[Truth]) -> Truth:
    """Truth of several blocks as one."""
    return {name: np.concatenate([truth[name] for truth in truths]) for name in truths[0]}


def _header(mocks: MockSet) -> fits.Header:
    """Header of IMAGES: shape, unit and where the mocks come from."""
    from astropy.io import fits

    size = mocks.survey.stamp_size
    shape: list[tuple[str, Any, str]] = [
        ("XTENSION", "IMAGE", "image extension"),
        ("BITPIX", -32, "float32"),
        ("NAXIS", 4, "cluster, band, y, x"),
        ("NAXIS1", size, "x"),
        ("NAXIS2", size, "y"),
        ("NAXIS3", len(mocks.survey.bands), "band"),
        ("NAXIS4", mocks.n, "cluster"),
        ("PCOUNT", 0, ""),
        ("GCOUNT", 1, ""),
        ("EXTNAME", "IMAGES", ""),
        (KEYWORD, "0" * 16, ""),
        ("DATASUM", "0", ""),
    ]
    header = fits.Header()
    add_cards(header, shape + mocks.cards(), mocks.command)
    return header


def truth_hdu(truth: Truth) -> fits.BinTableHDU:
    """The extension TRUTH of a file."""
    from astropy.io import fits

    described = [(name, values, *truth_column(name)) for name, values in truth.items()]
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column(ascii_text(name), "E", unit=unit, array=values)
            for name, values, unit, _ in described
        ],
        name="TRUTH",
    )
    for i, (*_, description) in enumerate(described, start=1):
        table.header[f"TCOMM{i}"] = ascii_text(description)
    return table
