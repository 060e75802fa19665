"""A tiny untrained model and a small field, as files: what the command line works on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from praesepe.mocks.mosaic_files import mosaic_hdus, mosaic_wcs
from praesepe.network.estimator import Estimator
from praesepe.survey import Survey, load_survey

SIZE = 192


@dataclass(frozen=True)
class Field:
    """Files of a small field, which a test may change."""

    folder: Path
    images: dict[str, Path]
    catalog: Path

    @property
    def arguments(self) -> list[str]:
        """``--image BAND=FILE …`` and ``--catalog FILE``."""
        pairs = [f"{band}={path}" for band, path in self.images.items()]
        return [word for pair in pairs for word in ("--image", pair)] + [
            "--catalog",
            str(self.catalog),
        ]

    def change(self, band: str, edit: Callable[[fits.HDUList], Any]) -> None:
        """Rewrite one image after `edit` has changed its HDUs."""
        with fits.open(self.images[band], memmap=False) as hdus:
            edit(hdus)
            hdus.writeto(self.images[band], overwrite=True)


@pytest.fixture(scope="session")
def phat() -> Survey:
    return load_survey("phat-nodust")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, phat: Survey) -> Path:
    """Folder of a tiny untrained model."""
    estimator = Estimator.untrained(phat, encoder="tiny", seed=1)
    curve = {"log_age": [6.6, 10.1], "fraction": [1.0, 0.5]}
    estimator.describe(present_mass=curve)
    return estimator.save(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def field(tmp_path: Path, phat: Survey) -> Field:
    """Three single-band mosaics of noise and a catalogue of 12 positions."""
    rng = np.random.default_rng(11)
    folder = tmp_path / "field"
    folder.mkdir()
    wcs = mosaic_wcs(phat, SIZE)
    images = {}
    for band in phat.bands:
        plane = rng.normal(0.05, 0.01, (SIZE, SIZE)).astype(np.float32)
        images[band.name] = folder / f"{band.name}.fits"
        mosaic_hdus(plane, band, wcs, phat).writeto(images[band.name])
    ra, dec = wcs.pixel_to_world_values(*rng.uniform(40, SIZE - 40, (2, 12)))
    catalog = folder / "clusters.csv"
    table = Table({"name": [f"c{i}" for i in range(12)], "ra": ra, "dec": dec})
    table.write(catalog, format="ascii.csv")
    return Field(folder, images, catalog)
