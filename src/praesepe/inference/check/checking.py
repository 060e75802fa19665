"""Is this image like what the model was trained on? it is measured, before numbers are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from praesepe.errors import listed
from praesepe.files import atomic, check_output
from praesepe.images.inputs import Reading, input_files, split_reading
from praesepe.inference.check.judge import Judge
from praesepe.inference.check.measured import Measured, measure_mosaic, psf_widths
from praesepe.inference.check.reference import N_FIELDS, Reference, reference_of
from praesepe.inference.check.rows import Row, faults
from praesepe.inference.check.sections import on_own_grid
from praesepe.inference.check.verdicts import judged
from praesepe.inference.check.widths import PSFWidths
from praesepe.progress import Progress, Setup
from praesepe.provenance import now, provenance_of

if TYPE_CHECKING:
    from astropy.table import Table

    from praesepe.images.catalog.catalogs import Catalog
    from praesepe.images.mosaic.mosaic import Mosaic
    from praesepe.network.estimator import Estimator

N_SECTIONS, N_RESAMPLED = 49, 16
"""Sections of a full check, at most, and where they have to be resampled first."""


@dataclass(frozen=True, eq=False, repr=False)
class Check:
    """What a check found.

    Attributes
    ----------
    rows : tuple of Row
        Item, band, measured, expected, verdict, advice.
    meta : dict
        Model, version, survey, date.
    measured : Measured
        The numbers behind the rows.
    observation : Mosaic
        The images.
    widths : dict of str to PSFWidths
        The model's PSFs.
    reference : Reference or None
        The survey's own star fields.
    mags : ndarray or None, shape (star, band)
        AB magnitudes of the stars that all bands share.
    """

    rows: tuple[Row, ...]
    meta: dict[str, Any]
    measured: Measured
    observation: Mosaic
    widths: Mapping[str, PSFWidths]
    reference: Reference | None = None
    mags: NDArray[np.float64] | None = None
    inputs: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        found = listed(self.faults) if self.faults else "nothing wrong"
        return f"<Check of {listed(self.observation.band_names)}: {found}>"

    @property
    def fine(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong: items with their bands."""
        return faults(list(self.rows))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as the JSON file has them."""
        return {
            "fine": self.fine,
            "faults": list(self.faults),
            "rows": [asdict(row) for row in self.rows],
            **self.meta,
        }

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the rows.

        Parameters
        ----------
        path : str or Path
            ``.json``; `praesepe.check` writes a page with figures as well.
        overwrite : bool
            Whether an existing file may be replaced.
        """
        path = check_output(path, (".json",), overwrite=overwrite, inputs=self.inputs)
        with atomic(path, overwrite=overwrite) as part:
            part.write_text(json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n")
        return path


def check_images(
    model: Estimator | str | Path,
    images: Mapping[str, Any] | Mosaic,
    catalog: Catalog | Table | str | Path | None = None,
    *,
    n_fields: int = N_FIELDS,
    progress: Progress | None = None,
    setup: Setup | None = None,
    **reading: Unpack[Reading],
) -> Check:
    """Measure whether images are like those that a model was trained on.

    Parameters
    ----------
    model : Estimator, str or Path
        As for `praesepe.predict`.
    images : mapping or Mosaic
        As for `praesepe.predict`.
    catalog : Table, str, Path or Catalog, optional
        Positions of clusters to check as well.
    n_fields : int
        Star fields of the model's survey that tell what to expect.
    progress : callable, optional
        Called with (sections done, all sections).
    setup : callable, optional
        Called with (stage, done, total) before.
    **reading
        How images and catalog are read, as for `praesepe.predict`.

    Returns
    -------
    Check

    Notes
    -----
    Up to 49 sections of 512 × 512 pixels are looked at, so that a large mosaic costs no more than a
    small one; 16 where they have to be resampled, which nothing else is. Images that share one
    grid of another scale than the survey's are looked at as they are. What to expect is measured
    by the same code on star fields of the model's survey.
    """
    from praesepe.images.catalog.catalogs import Catalog
    from praesepe.images.mosaic.band_images import refuse_copies
    from praesepe.images.mosaic.mosaic import Mosaic
    from praesepe.inference.band_choice import survey_of
    from praesepe.inference.check.positions import position_rows
    from praesepe.network.estimator import Estimator

    of_images, of_catalog = split_reading(check_images, reading, catalog)
    read = tuple(input_files(model, images, catalog))
    estimator = Estimator.load(model)
    survey = survey_of(estimator, images, of_images.get("hdu"))
    mosaic = on_own_grid(Mosaic.read(images, survey, sampled=True, **of_images))
    refuse_copies(mosaic.bands)
    positions = None if catalog is None else Catalog.read(catalog, **of_catalog).on(mosaic)
    widths = psf_widths(survey)
    reference = reference_of(survey, widths, n_fields, setup=setup)
    n_sections = N_RESAMPLED if mosaic.reprojected else N_SECTIONS
    measured = measure_mosaic(mosaic, widths, n_sections, progress)
    judge = Judge(mosaic, measured, widths, reference)
    rows = judged(judge)
    if positions is not None:
        rows += position_rows(mosaic, *positions, survey)
    meta = provenance_of(survey, model=estimator, date=now())
    return Check(tuple(rows), meta, measured, mosaic, widths, reference, judge.mags, read)
