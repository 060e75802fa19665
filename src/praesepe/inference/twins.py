"""Posterior predictive twins: clusters drawn from a posterior, as the same telescope sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from praesepe import quantities
from praesepe.errors import listed, must_be
from praesepe.files import atomic, check_output
from praesepe.provenance import ascii_text
from praesepe.sky.truth import describe
from praesepe.statistics.twins import (
    TwinStatistics,
    compare_with_twins,
)
from praesepe.survey import Survey

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.figure import Figure


Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False, repr=False)
class Twins:
    """Real stamps, and clusters drawn from their posteriors under the same observation.

    Attributes
    ----------
    survey : Survey
        Its bands are those of the stamps.
    rows : ndarray of int, shape (n,)
        Numbers of the catalog's rows, from 0.
    ids : ndarray, shape (n,)
        What the catalog calls them; their numbers where it has no names.
    real : ndarray of float32, shape (n, band, y, x)
        Stamps in e-/s; NaN where a pixel, or a band, is missing.
    images : ndarray of float32, shape (n, k, band, y, x)
        Twins in e-/s, each band at the background level of the real stamp; NaN in bands that it
        does not have.
    parameters : dict of str to ndarray, each of shape (n, k)
        What the twins are: the quantities that the model infers, and magnitudes of their stars.
    rh_px : ndarray of float64, shape (n,)
        Posterior median of the half-light radius, pixels.
    made_by : dict
        Model, survey, seed, date.
    inputs : tuple of Path
        Files that the clusters were measured from: none is ever replaced.
    """

    survey: Survey
    rows: NDArray[np.int64]
    ids: NDArray[Any]
    real: Array
    images: Array
    parameters: dict[str, NDArray[np.float64]]
    rh_px: NDArray[np.float64]
    made_by: dict[str, Any]
    inputs: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return (
            f"<Twins: {self.images.shape[1]} of each of {len(self)} clusters in "
            f"{', '.join(self.survey.band_names)}>"
        )

    def statistics(self) -> TwinStatistics:
        """How the real stamps differ from their twins; see `compare_with_twins`."""
        return compare_with_twins(self.real, self.images, 2 * self.rh_px)

    def to_table(self) -> Table:
        """A row for each cluster: how it compares with its twins.

        Returns
        -------
        astropy.table.Table
            ``row``, ``id``, ``p_twins``, and for each band ``flux_BAND``, ``twin_flux_BAND``,
            ``p_flux_BAND`` and ``chi2_BAND``; masked where there is no value.
        """
        from astropy.table import Column, MaskedColumn, Table

        found = self.statistics()
        table = Table({"row": self.rows, "id": self.ids}, meta=dict(self.made_by))

        def add(name: str, values: NDArray[Any], what: str, unit: str | None = None) -> None:
            bad = ~np.isfinite(values)
            kind = MaskedColumn if bad.any() else Column
            masked = {"mask": bad} if bad.any() else {}
            table[name] = kind(values, unit=unit, description=what, **masked)

        add("p_twins", found.p_twins, "share of twins that differ from the others at least as much")
        for i, band in enumerate(self.survey.band_names):
            where = f"inside 2 r_h in {band}"
            add(f"flux_{band}", found.flux[:, i], f"light {where}", "electron / s")
            middle = np.median(found.twin_flux[:, :, i], axis=1)
            add(f"twin_flux_{band}", middle, f"median of the twins' {where}", "electron / s")
            add(f"p_flux_{band}", found.p_flux[:, i], f"tail probability of the light {where}")
            add(f"chi2_{band}", found.chi2[:, i], f"mean square over annuli in {band}")
        return table

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write all stamps and tables into one FITS file.

        Parameters
        ----------
        path : str or Path
            ``.fits``.
        overwrite : bool
            Whether an existing file may be replaced.

        Returns
        -------
        Path
            The file: an image extension for each band, of shape (cluster, stamp, y, x), where the
            first stamp is the real one and the twins follow; table ``TWINS`` with the parameters
            of each; table ``CLUSTERS`` with what `to_table` tells.
        """
        from astropy.io import fits

        from praesepe.images.catalog.table_forms import suited

        path = check_output(path, (".fits",), overwrite=overwrite, inputs=self.inputs)
        first = fits.PrimaryHDU()
        for key, value in self.made_by.items():
            first.header.add_history(ascii_text(f"{key}: {value}"))
        stamps = np.concatenate((self.real[:, None], self.images), axis=1)
        hdus = [first]
        for i, band in enumerate(self.survey.band_names):
            image = fits.ImageHDU(np.ascontiguousarray(stamps[:, :, i]), name=ascii_text(band))
            image.header["BUNIT"] = "electron / s"
            image.header.add_comment("Axis 3: the real stamp, then its twins. Axis 4: clusters.")
            hdus.append(image)
        for name, table in (("TWINS", self._twin_table()), ("CLUSTERS", self.to_table())):
            table.meta.clear()
            if table["id"].dtype.kind == "U":  # rows are numbered, too
                table["id"] = [ascii_text(name) for name in table["id"].tolist()]
            table = suited(table, "fits")
            hdus.append(fits.table_to_hdu(table))
            hdus[-1].name = name
            for i, column in enumerate(table.itercols(), 1):
                hdus[-1].header[f"TCOMM{i}"] = ascii_text(column.info.description or "")
        with atomic(path, overwrite=overwrite) as part:
            fits.HDUList(hdus).writeto(part)
        return path

    def _twin_table(self) -> Table:
        """A row for each twin: whose it is, and what it is."""
        from astropy.table import Column, Table

        n, k = self.images.shape[:2]
        table = Table({"row": np.repeat(self.rows, k), "id": np.repeat(self.ids, k)})
        table["twin"] = np.tile(np.arange(1, k + 1), n)
        for name, values in self.parameters.items():
            unit, what = describe(name)
            table[name] = Column(values.ravel(), unit=unit or None, description=what)
        return table

    def plot(self, rows: Sequence[int] | None = None, *, most: int = 6) -> Figure:
        """Real stamps, their twins in the same stretch, and the light of both.

        Parameters
        ----------
        rows : sequence of int, optional
            Numbers of the catalog's rows; by default the first six that have twins.
        most : int
            Twins shown of each.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from praesepe.plots.twins import figure_twins

        wanted = self.rows[:6] if rows is None else np.atleast_1d(rows)
        unknown = [int(row) for row in wanted if row not in self.rows]
        if unknown:
            raise must_be("the row", unknown[0], f"one of those with twins: {listed(self.rows)}")
        here = [int(np.flatnonzero(self.rows == row)[0]) for row in wanted]
        shown = [name for name in ("log_age", "log_mass") if name in self.parameters]
        found = self.statistics()
        return figure_twins(
            self.real[here],
            self.images[here, :most],
            self.survey.bands,
            names=[str(self.ids[i]) for i in here],
            labels=[
                [
                    "\n".join(
                        quantities.get(name).value_text(self.parameters[name][i, j], digits=2)
                        for name in shown
                    )
                    for j in range(min(most, self.images.shape[1]))
                ]
                for i in here
            ],
            flux=found.flux[here],
            twin_flux=found.twin_flux[here],
            p_twins=found.p_twins[here],
            arcsec_per_px=self.survey.pixel_scale_arcsec,
        )
