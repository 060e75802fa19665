"""Whether images are like those of a model's training: measured, and written as a page or JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from praesepe.files import check_output
from praesepe.images.inputs import Reading, input_files, split_reading
from praesepe.inference.check.checking import Check, check_images
from praesepe.locks import locked
from praesepe.progress import Progress, Setup

if TYPE_CHECKING:
    from astropy.table import Table

    from praesepe.images.catalog.catalogs import Catalog
    from praesepe.images.mosaic.mosaic import Mosaic
    from praesepe.network.estimator import Estimator


def check(
    model: Estimator | str | Path,
    images: Mapping[str, Any] | Mosaic,
    catalog: Catalog | Table | str | Path | None = None,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    setup: Setup | None = None,
    **reading: Unpack[Reading],
) -> Check:
    """Measure whether images are like those that a model was trained on, before it is believed.

    Parameters
    ----------
    model : Estimator, str or Path
        As for `praesepe.predict`.
    images : mapping or Mosaic
        As for `praesepe.predict`.
    catalog : Table, str, Path or Catalog, optional
        Positions of clusters to check as well.
    out : path, optional
        ``.html``: a page with figures; ``.json``: the rows.
    overwrite : bool
        Replace an output that exists.
    progress : callable, optional
        Called with (sections done, all sections).
    setup : callable, optional
        Called with (stage, done, total) before, as the survey's own star fields are made.
    **reading
        How images and catalog are read, as for `praesepe.predict`.

    Returns
    -------
    Check
        ``fine``, ``faults``, and ``rows`` of what was measured, what the model's survey leads to
        expect, a verdict and advice.

    Raises
    ------
    InputError
        Where an input cannot be used or the output exists.

    Examples
    --------
    >>> import praesepe
    >>> model = praesepe.Estimator.load("phat")
    >>> sky = praesepe.simulate_mosaic(model.survey, n=8, size=512, density=40, seed=5)
    >>> praesepe.check(model, sky.images).fine  # doctest: +SKIP
    True
    """
    path = None
    if out is not None:
        read = input_files(model, images, catalog)
        path = check_output(out, (".html", ".json"), overwrite=overwrite, inputs=read)
    split_reading(check, reading, catalog)  # stops at names that are none
    with locked(path):
        found = check_images(model, images, catalog, progress=progress, setup=setup, **reading)
        if path is not None and path.suffix.lower() == ".json":
            found.save(path, overwrite=overwrite)
        elif path is not None:
            from praesepe.report.check_page import write_check_page

            write_check_page(found, path, overwrite=overwrite)
        return found
