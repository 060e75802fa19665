"""What `predict` returns: the measurements of a catalog, and what they came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from praesepe import quantities
from praesepe.errors import InputError, check_number, listed, must_be, unknown
from praesepe.files import as_path, refuse_inputs
from praesepe.inference.band_choice import fewest_bands
from praesepe.inference.measuring import ROWS_AT_ONCE, Sampling, infer_block
from praesepe.inference.told import Told

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.figure import Figure

    from praesepe.images.catalog.catalogs import Catalog
    from praesepe.images.mosaic.cutouts import Stamps
    from praesepe.images.mosaic.mosaic import Mosaic
    from praesepe.inference.check.measured import Measured
    from praesepe.inference.twins import Twins
    from praesepe.network.estimator import Estimator
    from praesepe.progress import Progress, Setup


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """Clusters of a catalog, measured.

    It reads like its table: ``result["flags"]``, ``result["log_age_p50"]``, ``len(result)``,
    ``result[3]``, ``result[result["flags"] == 0]``. Draws are kept only where that was asked for
    (``predict(…, keep="draws")``), since twenty thousand clusters have 120 MB of them; single
    clusters are drawn again when a figure or a density is wanted.

    Attributes
    ----------
    table : astropy.table.Table
        The catalog's rows in order with its columns, then the measured ones (`docs/images.md`);
        rows without a measurement are masked there.
    std : ndarray of float32, shape (n, quantity)
        Standard deviations of the draws of `infers`; NaN where nothing was measured, and of
        categories.
    model : Estimator
        What measured them.
    observation : Mosaic
        The images.
    catalog : Catalog
        The positions, as they were given.
    sampling : Sampling
        Number and seed of the draws.
    told : Told
        What the model was told of the images.
    measured : Measured or None
        What the images showed of themselves before; None where nobody looked.
    inputs : tuple of Path
        Files that it was made from: none is ever replaced.
    """

    table: Table
    std: NDArray[np.float32]
    model: Estimator
    observation: Mosaic
    catalog: Catalog
    sampling: Sampling
    told: Told
    _positions: tuple[NDArray[np.float64], NDArray[np.float64]] = field(repr=False)
    """On the common grid of the images, where the center of the first pixel is (0, 0)."""
    _draws: NDArray[np.float32] | None = field(default=None, repr=False)
    measured: Measured | None = None
    inputs: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, key: Any) -> Any:
        """A column by its name; rows of the table by number, slice or mask."""
        if isinstance(key, str) and key not in self.table.colnames:
            raise unknown("column of the result", key, self.table.colnames)
        return self.table[key]

    def __iter__(self) -> Iterator[Any]:
        """The rows of the table."""
        return iter(self.table)

    def __repr__(self) -> str:
        measured = int((~np.isnan(self.std).all(axis=-1)).sum())
        flagged = int((np.asarray(self.table["flags"]) != 0).sum())
        kept = "draws kept" if self._draws is not None else "percentiles kept"
        return (
            f"<Result: {measured} of {len(self)} clusters measured by {self.model.name} "
            f"({self.model.version}); {listed(self.infers)}; {self.sampling.n_samples} draws each, "
            f"{kept}; {flagged} flagged>"
        )

    @property
    def colnames(self) -> list[str]:
        """Names of the table's columns."""
        return list(self.table.colnames)

    @property
    def meta(self) -> Any:
        """What produced the table: model, version, survey, seed, date, command."""
        return self.table.meta

    @property
    def infers(self) -> tuple[str, ...]:
        """Names of the quantities that the model infers: the last axis of the draws."""
        return self.sampling.infers

    @property
    def samples(self) -> NDArray[np.float32]:
        """Posterior draws, shape (n, n_samples, quantity); NaN where nothing was measured.

        They all count the same: where a prior was given, or something is known, they were drawn
        again from the weighted ones, so that some come more than once.

        Raises
        ------
        InputError
            Where the draws were not kept.
        """
        if self._draws is None:
            raise InputError(
                "the draws of this result were not kept, only their percentiles",
                given=None,
                remedy="keep them, or write them to a file",
                code='keep="draws", or samples="draws.parquet"',
            )
        return self._draws

    @property
    def weights(self) -> NDArray[np.float32]:
        """Weights of the draws, shape (n, n_samples); all count the same, and sum to 1."""
        shape = (len(self), self.sampling.n_samples)
        return np.broadcast_to(np.float32(1 / shape[1]), shape)

    def to_table(self) -> Table:
        """The table, as a copy of its own.

        Returns
        -------
        astropy.table.Table
        """
        return self.table.copy()

    def draws(self, row: int) -> NDArray[np.float32]:
        """Posterior draws of one cluster: those kept, or the same ones drawn again.

        Parameters
        ----------
        row : int
            Number of the catalog's row, from 0.

        Returns
        -------
        ndarray of float32, shape (n_samples, quantity)
            NaN where nothing was measured.
        """
        row = self._row(row)
        if self._draws is not None:
            return self._draws[row]
        return infer_block(self.model, self.stamp(row), self.told, self.sampling, row).draws[0]

    def stamp(self, row: int) -> Stamps:
        """The stamp of one cluster as it was measured, cut again.

        Parameters
        ----------
        row : int
            Number of the catalog's row, from 0.

        Returns
        -------
        Stamps
            One, in e-/s, and what is missing in it.
        """
        from praesepe.images.mosaic.cutouts import extract_stamps

        row = self._row(row)
        x, y = self._positions
        size = self.model.survey.stamp_size
        one, fewest = slice(row, row + 1), fewest_bands(self.model)
        return extract_stamps(self.observation, x[one], y[one], size, fewest_bands=fewest)

    def simulate(
        self,
        k: int = 5,
        *,
        rows: Sequence[int] | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        setup: Setup | None = None,
    ) -> Twins:
        """Simulate twins: clusters drawn from the posteriors, seen as the real ones are.

        Age, mass and all else that the model infers are drawn together, where it infers a class
        among the draws of a cluster; what it does not infer is drawn from its survey. The twins'
        PSFs are as wide, and their noise is as large, as what the model was told or the images
        showed; zero points and registration are off as in training. Each lies on that of a few
        fields of the survey which scatters most like the real one's surroundings, at the level of
        its background, so that both can be shown in one stretch.

        Parameters
        ----------
        k : int
            Twins of each cluster.
        rows : sequence of int, optional
            Numbers of the catalog's rows, from 0; by default all that were measured.
        seed : int
            The same seed gives the same twins of a row, whatever else is asked with it.
        progress : callable, optional
            Called with (clusters done, all clusters).
        setup : callable, optional
            Called with (stage, done, total) before, as the simulator is made; the next call finds
            it there.

        Returns
        -------
        Twins

        Raises
        ------
        InputError
            Where none of the rows was measured, or the files of the model's training are gone.
        """
        from praesepe.inference.twin_simulation import simulate_twins

        return simulate_twins(self, k, rows=rows, seed=seed, progress=progress, setup=setup)

    def log_prob(self, row: int, values: ArrayLike) -> NDArray[np.float32]:
        """Posterior log-density of one cluster.

        Parameters
        ----------
        row : int
            Number of the catalog's row, from 0.
        values : array_like, shape (quantity,) or (k, quantity)
            Points, in the order of `infers`.

        Returns
        -------
        ndarray of float32, shape () or (k,)
            Per unit of every quantity (per dex³ for age, mass and size); NaN where nothing was
            measured, and where a quantity is known without an error.
        """
        points = np.asarray(values, np.float32)
        if points.ndim not in (1, 2) or points.shape[-1] != len(self.infers):
            allowed = f"that of {listed(self.infers)} of one point, or of several in rows"
            raise must_be("the shape of values", points.shape, allowed)
        row = self._row(row)
        stamp = self.stamp(row)
        known = self.sampling.leading(np.array([row]))
        certain = known is not None and bool(np.any(known[1] == 0))
        if not stamp.usable[0] or certain:
            return np.full(points.shape[:-1], np.nan, np.float32)
        many = np.atleast_2d(points)
        found = []
        for start in range(0, len(many), ROWS_AT_ONCE):
            part = many[start : start + ROWS_AT_ONCE]
            again = np.zeros(len(part), int)
            images, conditions = self.told.inputs(self.model, stamp, again, row)
            asked = self.model.predict(images, conditions=conditions, n_samples=1)
            found.append(asked.log_prob(part))
        density = np.concatenate(found)
        sampling = self.sampling.knowing(self.sampling.known)  # all by weights
        if weighting := sampling.weighting:
            block = infer_block(self.model, stamp, self.told, sampling, row)
            at_points = weighting.log_weights(many[None], np.array([row]))[0]
            mean = block.log_mean_weight[0]
            density += (at_points - (mean if np.isfinite(mean) else np.nan)).astype(np.float32)
        return density.reshape(points.shape[:-1])

    def plot(self, row: int = 0) -> Figure:
        """Corner figure of one cluster's posterior, titled with the cluster and the model.

        Parameters
        ----------
        row : int
            Number of the catalog's row, from 0.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        InputError
            Where nothing was measured in this row.
        """
        from praesepe.plots.posterior import figure_posterior

        draws = self.draws(row)
        if not np.isfinite(draws).all():
            flags = int(self.table["flags"][row])
            fault = f"was not measured (flags {flags})"
            raise InputError(f"row {row} {fault}", given=row, remedy="choose one that was")
        figure = figure_posterior(draws, [quantities.get(name) for name in self.infers])
        column = self.catalog.id_column
        who = f"row {row}" if column is None else str(self.catalog.table[column][row])
        figure.suptitle(f"{who} ({self.model.name} {self.model.version})", ha="right", x=0.98)
        return figure

    def save(
        self, path: str | Path, *, overwrite: bool = False, escape_formulas: bool = False
    ) -> Path:
        """Write the table, or the clusters as regions.

        Parameters
        ----------
        path : str or Path
            ``.ecsv``, ``.fits``, ``.vot``, ``.csv`` or ``.parquet``: the table; ``.reg``: DS9
            regions, a circle of the median half-light radius for every cluster.
        overwrite : bool
            Whether an existing file may be replaced.
        escape_formulas : bool
            Of ``.csv``, for spreadsheets: see `praesepe.images.write_table`.

        Returns
        -------
        Path
            The file that was written.
        """
        from praesepe.images.catalog.region_files import write_regions
        from praesepe.images.catalog.tables import write_table

        path = as_path(path)
        refuse_inputs([path], self.inputs)
        if path.suffix.lower() != ".reg":
            return write_table(
                self.table, path, overwrite=overwrite, escape_formulas=escape_formulas
            )
        mosaic, sky, pixel = self.observation, self.catalog.sky, None
        band = self.catalog.pixels_of or mosaic.pixel_band
        if sky is None:
            x, y = mosaic.to_image(band, *self._positions)
            pixel = (x + 1, y + 1)
        return write_regions(
            self.table,
            path,
            self._radius_arcsec(),
            sky=sky,
            pixel=pixel,
            pixel_scale_arcsec=mosaic.pixel_scale_arcsec if mosaic.wcs is None else None,
            pixels_of=mosaic.band(band).label,
            overwrite=overwrite,
        )

    def _radius_arcsec(self) -> NDArray[np.float64]:
        """Median half-light radius; NaN where there is none."""
        if quantities.RH_ARCSEC not in quantities.reported(
            self.infers
        ):  # a column of that name is the user's
            return np.full(len(self), np.nan)
        return np.ma.filled(np.ma.asarray(self.table["rh_arcsec_p50"], dtype=float), np.nan)

    def _row(self, row: int) -> int:
        """Number of a row from 0, which may be given from the end."""
        check_number("row", row, -len(self), len(self) - 1)
        return row % len(self)
