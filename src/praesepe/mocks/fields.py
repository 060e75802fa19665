"""Star fields of one's own mosaics: find clean places, cut them, keep them for training."""

from __future__ import annotations

import json
import math
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from praesepe.errors import InputError, PraesepeWarning, check_number, refuse_unused
from praesepe.files import check_space, output_folder, replace_set
from praesepe.images.inputs import Reading, input_files, split_reading
from praesepe.locks import working_folder
from praesepe.mocks.places import (
    Removed,
    choose,
    clean_places,
    cluster_cells,
    saturation_e_s,
    scan,
)
from praesepe.progress import Progress
from praesepe.provenance import now, provenance_of
from praesepe.rng import check_seed
from praesepe.sky.fields.real import DESCRIPTION, FIELDS, FORMAT, checksum_of
from praesepe.survey import Survey, load_survey
from praesepe.survey.toml import survey_files

if TYPE_CHECKING:
    from praesepe.images.catalog.catalogs import Catalog
    from praesepe.images.mosaic.mosaic import Mosaic

PLACES = "places.ecsv"
"""Table of where each field was cut, beside the fields."""

FILES = (FIELDS, PLACES, DESCRIPTION)


@dataclass(frozen=True, repr=False)
class StarFields:
    """Star fields in a folder, made by `build_fields`.

    Attributes
    ----------
    path : Path
        For `praesepe.sky.fields.real.RealFieldPool`, or ``galaxy.field.files`` of a survey.
    n : int
        Number of fields.
    removed : Removed
        What was left out, and why.
    """

    path: Path
    n: int
    removed: Removed

    def __repr__(self) -> str:
        return (
            f"<StarFields in {self.path}: {self.n} fields; {'; '.join(self.removed.sentences())}>"
        )

    @property
    def images(self) -> NDArray[np.float32]:
        """The fields (n, band, y, x), e-/s, mapped into memory."""
        return np.asarray(np.load(self.path / FIELDS, mmap_mode="r"))

    def save(self, out: str | Path, *, overwrite: bool = False) -> StarFields:
        """Copy the files to another folder; return the fields there."""
        folder = output_folder(out, FILES, overwrite=overwrite)
        if folder.samefile(self.path):
            return self
        with replace_set(folder, FILES) as part:
            for name in FILES:
                shutil.copyfile(self.path / name, part / name)
        return replace(self, path=folder)


def build_fields(
    survey: Survey | str | Path,
    images: Mapping[str, Any] | Mosaic,
    catalog: Any = None,
    *,
    out: str | Path,
    exclude_radius_arcsec: float | None = None,
    edge_px: int = 0,
    n: int = 500,
    size: int = 192,
    seed: int = 0,
    overwrite: bool = False,
    command: str | None = None,
    progress: Progress | None = None,
    **reading: Unpack[Reading],
) -> StarFields:
    """Cut star fields at clean places of mosaics.

    Parameters
    ----------
    survey : Survey, str or Path
        Gives the bands, their zero points and the pixel scale that the fields are brought to.
    images : mapping or Mosaic
        Band name to image, as for `praesepe.images.Mosaic.read`.
    catalog : Catalog, Table or path, optional
        Known clusters.
    out : path
        Folder to make: ``fields.npy`` (n, band, y, x) float32, e-/s; ``fields.json``, what they
        are; ``places.ecsv``, where they were cut.
    exclude_radius_arcsec : float, optional
        How far the fields keep from known clusters; half a stamp by default.
    edge_px : int
        How far the fields keep from the mosaic's edge, where detectors are vignetted.
    n : int
        Number of fields, at most: two fields share at most half of their side in x or in y.
    size : int
        Side of a field, pixels; at least a stamp.
    seed : int
        The same seed chooses the same places.
    overwrite : bool
        Replace fields that exist.
    command : str, optional
        The command line, for the description.
    progress : callable, optional
        Called with (rows of the mosaic seen, all rows).
    **reading
        How images and catalog are read, as for `praesepe.predict`.

    Returns
    -------
    StarFields

    Raises
    ------
    InputError
        Where images, catalog or output cannot be used, or no clean place is left.
    """
    from praesepe.images.catalog.catalogs import Catalog
    from praesepe.images.mosaic.mosaic import Mosaic

    files_of_survey, survey = survey_files(survey), load_survey(survey)
    n, seed = check_number("n", n, 1), check_seed(seed)
    size, edge_px = (
        check_number("size", size, survey.stamp_size),
        check_number("edge_px", edge_px, 0),
    )
    of_images, of_catalog = split_reading(build_fields, reading, catalog)
    if catalog is None:
        refuse_unused("no catalog is given", exclude_radius_arcsec=exclude_radius_arcsec)
    read = [*input_files(None, images, catalog), *files_of_survey]
    with working_folder(out):
        folder = output_folder(out, FILES, overwrite=overwrite, inputs=read)
        mosaic = Mosaic.read(images, survey, **of_images)
        known = None if catalog is None else Catalog.read(catalog, **of_catalog)
        radius = _radius_arcsec(exclude_radius_arcsec, survey)
        clean, removed = _clean_places(mosaic, known, radius, size, edge_px, progress)
        corners = choose(clean, n, size, np.random.default_rng(seed))
        if len(corners) < n:
            warnings.warn(
                f"only {len(corners)} of {n} fields of {size} px fit into the clean places, "
                "overlapping by half at most",
                PraesepeWarning,
                stacklevel=2,
            )
        description = {
            **_description(mosaic, images, size=size, n=len(corners), seed=seed, command=command),
            "excluded": {
                "catalog": str(catalog) if isinstance(catalog, str | Path) else None,
                "radius_arcsec": radius,
                "edge_px": edge_px,
                "saturated_above_e_s": saturation_e_s(survey),
            },
            "removed": asdict(removed),
        }
        _write(folder, mosaic, corners, size, description)
    return StarFields(folder, len(corners), removed)


def _clean_places(
    mosaic: Mosaic,
    known: Catalog | None,
    radius_arcsec: float,
    size: int,
    edge_px: int,
    progress: Progress | None,
) -> tuple[NDArray[np.bool_], Removed]:
    """Where fields may lie, and what was left out; stop where they cannot lie anywhere."""
    if min(mosaic.shape) - 2 * edge_px < size:
        raise InputError(
            f"the mosaic of {mosaic.shape[1]}×{mosaic.shape[0]} px holds no field of {size} px "
            f"{edge_px} px from its edge",
            given=(size, edge_px),
            remedy="give smaller fields, or a smaller distance from the edge",
        )
    clusters = cluster_cells(mosaic, known, radius_arcsec)
    missing, saturated = scan(mosaic, progress)
    clean, removed = clean_places(clusters, missing, saturated, size, edge_px=edge_px)
    if not removed.clean:
        raise InputError(
            f"a mosaic with no clean field left: {'; '.join(removed.sentences())}.",
            given=size,
            remedy=f"Give fields smaller than {size} px, a smaller radius around the excluded "
            "clusters, or another mosaic; where too much counts as saturated, put saturation_e "
            "into the survey's bands.",
        )
    return clean, removed


def _radius_arcsec(given: float | None, survey: Survey) -> float:
    """How far the fields keep from known clusters; half a stamp by default."""
    radius = survey.stamp_size / 2 * survey.pixel_scale_arcsec if given is None else given
    return float(check_number("exclude_radius_arcsec", radius, 0, whole=False))


# Files


def _description(
    mosaic: Mosaic,
    images: Mapping[str, Any] | Mosaic,
    *,
    size: int,
    n: int,
    seed: int,
    command: str | None,
) -> dict[str, Any]:
    """What the fields are and where they are from."""
    survey = mosaic.survey
    record = provenance_of(survey, seed=seed, command=command, date=now())
    bands = []
    for band in survey.bands:
        found = mosaic.bands[band.name]
        image = images[band.name] if isinstance(images, Mapping) else None
        bands.append(
            {
                "name": band.name,
                "filter": band.filter,
                "zero_point_ab": band.zero_point_ab,
                "image": str(image) if isinstance(image, str | Path) else found.label,
                "image_zero_point_ab": found.calibration.zero_point_ab,
                "exposure_s": found.calibration.exposure_s,
                "reprojected": found.reprojected,
            }
        )
    return {
        "format": FORMAT,
        "n": n,
        "size": size,
        "unit": "electron/s",
        "pixel_scale_arcsec": mosaic.pixel_scale_arcsec,
        "bands": bands,
        "praesepe": record.pop("praesepe_version"),
        **record,
    }


def _write(
    folder: Path,
    mosaic: Mosaic,
    corners: NDArray[np.int64],
    size: int,
    description: dict[str, Any],
) -> None:
    """Write the files of a folder, the description last."""
    from praesepe.images.catalog.tables import write_table

    shape = (len(corners), len(mosaic.band_names), size, size)
    check_space(folder, 4 * math.prod(shape), f"a set of {shape[0]} star fields")
    with replace_set(folder, FILES) as part:
        _write_pixels(part / FIELDS, mosaic, corners, shape)
        write_table(_places(mosaic, corners, size), part / PLACES)
        description["checksum"] = checksum_of(
            json.loads(json.dumps(description)), np.load(part / FIELDS, mmap_mode="r")
        )
        text = json.dumps(description, indent=1, allow_nan=False) + "\n"
        (part / DESCRIPTION).write_text(text, encoding="utf-8")


def _write_pixels(
    path: Path, mosaic: Mosaic, corners: NDArray[np.int64], shape: tuple[int, ...]
) -> None:
    """Cut the fields, a few at a time, in order of their place in the files."""
    from praesepe.images.mosaic.cutouts import extract_stamps

    size, together = shape[-1], 16
    with path.open("wb") as file:  # not mapped: a full disk would end the process
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(corners), together):
            y, x = (corners[start : start + together] + size // 2).T
            file.write(extract_stamps(mosaic, x, y, size).images.astype("<f4").tobytes())


def _places(mosaic: Mosaic, corners: NDArray[np.int64], size: int) -> Any:
    """Table of the fields' centers."""
    from astropy.table import Column, Table

    on_grid = (corners.T + (size - 1) / 2)[::-1]
    x, y = mosaic.to_image(mosaic.pixel_band, *on_grid)
    label = mosaic.band(mosaic.pixel_band).label
    what = f"center of the field on {label}, where the center of the first pixel is 0"
    table = Table(
        {
            "field": np.arange(len(corners)),
            "x": Column(x, unit="pixel", description=what),
            "y": Column(y, unit="pixel", description=what),
        }
    )
    if mosaic.wcs is not None:
        ra, dec = mosaic.wcs.pixel_to_world_values(*on_grid)
        table["ra"] = Column(np.round(ra, 8), unit="deg")
        table["dec"] = Column(np.round(dec, 8), unit="deg")
    return table
