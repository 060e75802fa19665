"""Whether images are like those of a model's training: measured, and written as a page or JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from praesepe.files import check_output
from praesepe.inference.check.checking import Check, check_images
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
    x: str | None = None,
    y: str | None = None,
    origin: int | None = None,
    columns: Sequence[str] | str | None = None,
    pixels_of: str | None = None,
    units: Mapping[str, str] | None = None,
    zero_points: Mapping[str, float | str] | None = None,
    allow_no_wcs: bool = False,
    reproject: Literal["auto", "never"] = "auto",
    progress: Progress | None = None,
    setup: Setup | None = None,
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
    x, y, origin, columns, pixels_of, units, zero_points, allow_no_wcs, reproject
        As for `praesepe.predict`.
    progress : callable, optional
        Called with (sections done, all sections).
    setup : callable, optional
        Called with (stage, done, total) before, as the survey's own star fields are made.

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
    if out is not None:
        out = check_output(out, (".html", ".json"), overwrite=overwrite)
    found = check_images(
        model,
        images,
        catalog,
        x=x,
        y=y,
        origin=origin,
        columns=columns,
        pixels_of=pixels_of,
        units=units,
        zero_points=zero_points,
        allow_no_wcs=allow_no_wcs,
        reproject=reproject,
        progress=progress,
        setup=setup,
    )
    if out is not None and out.suffix.lower() == ".json":
        found.save(out, overwrite=overwrite)
    elif out is not None:
        from praesepe.report.check_page import write_check_page

        write_check_page(found, out, overwrite=overwrite)
    return found
