"""Files that the commands read whose faults are tried."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from praesepe.mocks.mosaic_files import mosaic_hdus, mosaic_wcs
from praesepe.network import Estimator
from praesepe.survey import load_survey

SIDE = 128
SECOND_BAND = """
[[observation.bands]]
name = "F814W"
filter = "acs_wfc_f814w"
zero_point_ab = 25.94
exposure_s = 1500.0
sky_e_s = [0.1, 0.2]
asinh_scale = 0.03
"""


@pytest.fixture(scope="session")
def inputs(
    tmp_path_factory: pytest.TempPathFactory, toy_survey: str, parsec_text: str
) -> dict[str, str]:
    """Files that the commands read."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "toy.toml").write_text(toy_survey + SECOND_BAND)
    (folder / "old.toml").write_text("name = 'old'\ndistance_pc = 785000.0\n")
    survey = load_survey(folder / "toy.toml")
    Estimator.untrained(survey, encoder="tiny", seed=1).save(folder / "model")
    rng, wcs, images = np.random.default_rng(1), mosaic_wcs(survey, SIDE), {}
    for band in survey.bands:
        plane = rng.normal(0.05, 0.01, (SIDE, SIDE)).astype(np.float32)
        images[band.name] = folder / f"{band.name}.fits"
        mosaic_hdus(plane, band, wcs, survey).writeto(images[band.name])
    ra, dec = wcs.pixel_to_world_values([40, 60, 80], [50, 50, 90])
    Table({"id": [1, 2, 3], "ra": ra, "dec": dec}).write(folder / "c.csv", format="ascii.csv")
    (folder / "parsec.dat").write_text(parsec_text)
    return {
        "toy": str(folder / "toy.toml"),
        "old": str(folder / "old.toml"),
        "model": str(folder / "model"),
        "images": " ".join(f"--image {band}={path}" for band, path in images.items()),
        "catalog": str(folder / "c.csv"),
        "isochrones": str(folder / "parsec.dat"),
    }
