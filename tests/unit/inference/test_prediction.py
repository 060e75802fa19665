"""From mosaics and a catalogue to a table: the right stamp, the right row, the right numbers."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.table import Table
from astropy.units import Unit
from astropy.wcs import WCS

import praesepe
from praesepe.errors import InputError, PraesepeError, PraesepeWarning
from praesepe.flags import Flag
from praesepe.images import Mosaic
from praesepe.images.catalog.tables import read_table
from praesepe.inference.columns import ModelContext, columns_of, summarise
from praesepe.inference.draws import open_samples, read_samples
from praesepe.inference.measuring import at_prior_edge
from praesepe.inference.prediction import predict
from praesepe.network.estimator import Estimator
from praesepe.network.posterior import Posterior
from praesepe.quantities import DEFAULT_INFERRED, reported
from praesepe.report.checks import check
from praesepe.stars.curves import band_curve
from praesepe.survey import load_survey, parse_survey

SIZE = 200
PHAT = load_survey("phat-nodust")
OFF_IMAGE, MISSING, BAD_COORDINATE = 1, 2, 8


class CentralPixels(Estimator):
    """A model that "infers" the central pixel of each band: known truth for the plumbing."""

    scale = np.array([1e-3, 1e-3, 1e-4], dtype=np.float32)
    offset = np.array([8.0, 3.0, -0.5], dtype=np.float32)
    spread = 0.0
    score_of_all = 0.0

    def predict(self, stamps: Any, *, n_samples: int = 500, seed: int = 0, **_: Any) -> Posterior:
        """Draws around offset + scale × central pixel."""
        center = np.asarray(stamps)[:, :, 32, 32] * self.scale + self.offset
        noise = np.random.default_rng(seed).normal(size=(len(center), n_samples, 3))
        draws = (center[:, None, :] + self.spread * noise).astype(np.float32)
        score = np.full(len(center), self.score_of_all, dtype=np.float32)
        return Posterior(draws, score, lambda values: values[:, 0])


def make(kind: type[Estimator] = Estimator) -> Any:
    """A tiny untrained model that loses mass as the real ones do."""
    estimator = kind.untrained(PHAT, encoder="tiny", seed=3)
    curve = {"log_age": [6.6, 10.1], "fraction": [1.0, 0.5]}
    return estimator.describe(present_mass=curve)


@pytest.fixture(scope="module")
def untrained() -> Estimator:
    return make()


@pytest.fixture
def central() -> CentralPixels:
    return make(CentralPixels)


@pytest.fixture(scope="module")
def images(wcs: WCS) -> dict[str, Any]:
    """Every pixel of every band has a value of its own: band × 100 + x + y × 0.001."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    return {name: (100 * (i + 1) + x + y / 1000, wcs) for i, name in enumerate(PHAT.band_names)}


def at_pixels(wcs: WCS, x: Any, y: Any) -> Table:
    """A catalogue of zero-based pixel positions."""
    ra, dec = wcs.pixel_to_world_values(np.asarray(x, float), np.asarray(y, float))
    table = Table({"id": np.arange(len(ra)) + 100, "ra": ra, "dec": dec})
    table["note"] = [f"row {i}" for i in range(len(ra))]
    return table


def expected_log_age(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 8 + 1e-3 * (100 + x + y / 1000)


def test_rows_stay_in_order_and_bands_in_place(
    central: CentralPixels, images: dict[str, Any], wcs: WCS, rng: np.random.Generator
) -> None:
    x, y = rng.integers(40, 160, (2, 600))
    catalog = at_pixels(wcs, x, y)
    shuffled = dict(reversed(images.items()))  # the order of the images does not matter
    result = predict(central, shuffled, catalog, n_samples=3)
    assert result.colnames[:4] == ["id", "ra", "dec", "note"]
    for name in catalog.colnames:
        assert list(result[name]) == list(catalog[name])
    np.testing.assert_allclose(result["log_age_p50"], expected_log_age(x, y), atol=1.1e-4)
    np.testing.assert_allclose(result["log_mass_p50"], 3 + 1e-3 * (200 + x), atol=4e-4)
    np.testing.assert_allclose(result["x"], x + 1, atol=2e-3)
    np.testing.assert_allclose(result["y"], y + 1, atol=2e-3)
    # negative control: with x and y exchanged the same comparison fails
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(result["log_age_p50"], expected_log_age(y, x), atol=1.1e-4)


def test_pixel_columns_and_their_origin(central: CentralPixels, images: dict[str, Any]) -> None:
    x, y = np.array([50.0, 60.0]), np.array([70.0, 80.0])
    catalog = Table({"x": x, "y": y})
    for origin in (0, 1):
        result = predict(central, images, catalog, x="x", y="y", origin=origin, n_samples=2)
        np.testing.assert_allclose(
            result["log_age_p50"], expected_log_age(x - origin, y - origin), atol=1.1e-4
        )
        assert list(result["x"]) == [50, 60]
        np.testing.assert_array_equal(result["x_image"], x - origin + 1)
    with pytest.raises(InputError, match="origin"):
        predict(central, images, catalog, x="x", y="y")


def test_images_are_put_on_the_survey_s_zero_point(
    central: CentralPixels, images: dict[str, Any], wcs: WCS, tmp_path: Path
) -> None:
    """The same stars in an image of 8 % less sensitivity give the same measurement."""
    files = {}
    for band in PHAT.bands:
        header = wcs.to_header()
        zero_point = band.zero_point_ab - 2.5 * np.log10(1.08)
        pivot = band_curve(band).pivot_angstrom
        photflam = 10 ** (-0.4 * (zero_point + 21.10 - 18.692)) / pivot**2
        header.update(BUNIT="ELECTRONS", PHOTFLAM=photflam, PHOTPLAM=pivot, FILTER=band.name)
        header.update(EXPTIME=band.exposure_s, INSTRUME=band.instrument.split("/")[0])
        files[band.name] = tmp_path / f"{band.name}.fits"
        data = (images[band.name][0] / 1.08 * band.exposure_s).astype(np.float32)
        fits.PrimaryHDU(data, header).writeto(files[band.name])
    catalog = at_pixels(wcs, [50], [60])
    ours = predict(central, files, catalog, n_samples=2)
    np.testing.assert_allclose(ours["log_age_p50"], expected_log_age(50, 60), atol=2e-4)


def test_percentiles_are_those_of_the_draws(central: CentralPixels, images: Any, wcs: WCS) -> None:
    central.spread = 0.1
    result = predict(central, images, at_pixels(wcs, [50], [60]), n_samples=40_000)[0]
    true_age, one_sigma = expected_log_age(50, 60), 0.99446 * 0.1  # 16th percentile of a normal
    assert result["log_age_p50"] == pytest.approx(true_age, abs=3e-3)
    assert result["log_age_p16"] == pytest.approx(true_age - one_sigma, abs=3e-3)
    assert result["log_age_p84"] == pytest.approx(true_age + one_sigma, abs=3e-3)
    # log r_h = -0.5 + 1e-4 × (300 + 50), and 1 arcsec is 3.806 pc at 785 kpc
    for percentile, shift in ((16, -one_sigma), (50, 0), (84, one_sigma)):
        rh = 10 ** (-0.5 + 0.035 + shift)
        assert result[f"rh_arcsec_p{percentile}"] == pytest.approx(rh, rel=0.01)
        assert result[f"rh_pc_p{percentile}"] == pytest.approx(rh * 3.8058, rel=0.01)


def test_present_mass_follows_from_age(untrained: Estimator) -> None:
    draws = np.zeros((1, 50, 3))
    draws[..., 0] = 10.1  # half of the mass is left
    draws[..., 1] = 4.0
    values = summarise(draws, DEFAULT_INFERRED, ModelContext(untrained))
    assert values["log_present_mass_p50"][0] == pytest.approx(4 + np.log10(0.5))
    assert values["log_mass_p50"][0] == pytest.approx(4)
    named = {c.name for q in reported(DEFAULT_INFERRED) for c in columns_of(q)}
    assert named == values.keys()


def test_draws_depend_on_seed_and_row_alone(
    untrained: Estimator, images: Any, wcs: WCS, tmp_path: Path, rng: np.random.Generator
) -> None:
    catalog = at_pixels(wcs, *rng.integers(40, 160, (2, 300)))

    def draws(name: str, catalog: Table = catalog, **settings: Any) -> np.ndarray:
        predict(untrained, images, catalog, samples=tmp_path / name, n_samples=20, **settings)
        return read_samples(tmp_path / name).values

    first = draws("a.parquet", seed=5)
    assert first.shape == (300, 20, 3)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(draws("b.parquet", catalog[:7], seed=5), first[:7])
    np.testing.assert_array_equal(draws("c.parquet", seed=5), first)
    # negative control: another seed gives other draws, and rows do not share theirs
    assert np.abs(draws("d.parquet", seed=6) - first).mean() > 0.1
    same_stamp = at_pixels(wcs, [50, 50], [50, 50])
    predict(untrained, images, same_stamp, samples=tmp_path / "e.parquet", n_samples=20)
    one, other = read_samples(tmp_path / "e.parquet").values
    assert np.abs(one - other).mean() > 0.1


def test_a_row_without_a_finite_answer_says_so(images: Any, wcs: WCS) -> None:
    broken = make()
    with torch.no_grad():
        for parameter in broken.net.head.parameters():
            parameter.fill_(np.nan)
    result = predict(broken, images, at_pixels(wcs, [50, 60], [50, 60]), n_samples=5, check=False)
    assert (result["flags"] & Flag.OUT_OF_DOMAIN).all()
    for name in ("log_age_p50", "log_mass_p16", "rh_arcsec_p84"):
        assert np.isnan(np.ma.filled(result[name], np.nan)).all()


def test_rows_without_a_stamp_are_kept_and_flagged(
    central: CentralPixels, images: Any, wcs: WCS, tmp_path: Path
) -> None:
    planes = {name: (plane.copy(), w) for name, (plane, w) in images.items()}
    planes["F475W"][0][:, :60] = np.nan
    catalog = at_pixels(wcs, [100, 30, -500, 100, 75], [100, 100, 100, 3, 100])
    catalog["ra"][3] = np.nan
    samples = tmp_path / "draws.parquet"
    result = predict(central, planes, catalog, n_samples=4, samples=samples)
    assert len(result) == 5
    assert result["flags"][0] == 0
    assert result["flags"][1] & MISSING
    assert result["flags"][2] & OFF_IMAGE
    assert result["flags"][3] & BAD_COORDINATE
    assert result["flags"][4] == 4  # a quarter was missing and filled
    assert result["missing_fraction"][4] == pytest.approx(17 / 64, abs=0.02)
    measured = ~np.ma.getmaskarray(result["log_mass_p50"])
    assert measured.tolist() == [True, False, False, False, True]
    assert np.isfinite(read_samples(samples).values).all(axis=(1, 2)).tolist() == measured.tolist()


def test_nothing_on_the_image_is_no_error(central: CentralPixels, images: Any, wcs: WCS) -> None:
    with pytest.warns(PraesepeWarning, match="none of its 2 positions"):
        result = predict(central, images, at_pixels(wcs, [-900, 5000], [10, 10]))
    assert result["log_age_p50"].mask.all()


def test_the_other_half_of_the_sky_is_off_the_image(central: CentralPixels, images: Any) -> None:
    catalog = Table({"ra": [200.0, 10.68], "dec": [10.0, -80.0]})
    with pytest.warns(PraesepeWarning, match="none of its 2 positions"):
        result = predict(central, images, catalog)
    assert result["flags"].tolist() == [OFF_IMAGE, OFF_IMAGE]
    assert result["x"].mask.all()


def test_prior_edges() -> None:
    middle, width = [8.0, 3.0, -0.5], 0.1
    young, heavy, small, old = (
        [6.7, *middle[1:]],
        [8.0, 4.4, -0.5],
        [8.0, 3.0, -1.0],
        [10.0, 3, -0.5],
    )
    medians = np.array([middle, young, heavy, small, old])
    priors = {"log_age": (6.6, 10.1), "log_mass": (2.0, 4.5), "log_rh": (-1.1, -0.1)}

    def found(half_width: float) -> list[bool]:
        low, high = (
            dict(zip(priors, (medians + step).T, strict=True)) for step in (-half_width, half_width)
        )
        return at_prior_edge(low, high, priors).tolist()

    assert found(width) == [False, True, True, True, False]
    assert not any(found(0))
    # negative control: an upper end of ages below that of the Universe counts
    priors["log_age"] = (6.6, 10.04)
    assert found(width) == [False, True, True, True, True]


def test_no_extinction_is_no_edge_of_a_prior() -> None:
    low, high = {"a_v": [0.0, 0.9, 2.3]}, {"a_v": [0.2, 1.1, 2.5]}
    assert at_prior_edge(low, high, {"a_v": (0.0, 2.5)}).tolist() == [False, False, True]
    assert at_prior_edge(low, high, {"a_v": (0.1, 2.5)}).tolist() == [True, False, True]


def test_flags_of_the_posterior(central: CentralPixels, images: Any, wcs: WCS) -> None:
    catalog = at_pixels(wcs, [100], [100])
    assert predict(central, images, catalog)["flags"][0] == 0
    central.score_of_all = 1.5
    assert predict(central, images, catalog)["flags"][0] == Flag.OUT_OF_DOMAIN
    central.offset = np.array([8.0, 4.5, -0.5], dtype=np.float32)
    assert predict(central, images, catalog)["flags"][0] == Flag.OUT_OF_DOMAIN + Flag.AT_PRIOR_EDGE


@pytest.mark.parametrize("suffix", ["ecsv", "fits", "vot", "parquet", "csv"])
@pytest.mark.filterwarnings("ignore::astropy.io.votable.exceptions.W50")
def test_table_files(
    central: CentralPixels, images: Any, wcs: WCS, tmp_path: Path, suffix: str
) -> None:
    out, regions = tmp_path / f"out.{suffix}", tmp_path / "out.reg"
    catalog = at_pixels(wcs, [50, -500, 70], [60, 60, 70])
    result = predict(central, images, catalog, out=out, regions=regions, n_samples=5)
    form = {"vot": "votable", "csv": "ascii.csv", "ecsv": "ascii.ecsv"}.get(suffix)
    read = Table.read(out, format=form)
    assert read.colnames == result.colnames
    assert len(read) == 3
    ages = np.ma.filled(np.ma.asarray(read["log_age_p50"], dtype=float), np.nan)
    np.testing.assert_allclose(ages, np.ma.filled(result["log_age_p50"], np.nan))
    assert np.isnan(ages[1])
    if suffix != "csv":
        assert str(read["rh_pc_p50"].unit) == "pc"
    # FITS and VOTable have no logarithmic units; ours come back from there all the same
    again, _ = read_table(out)
    assert str(again["log_age_p50"].unit) == ("None" if suffix == "csv" else "dex(yr)")
    kept = {
        "vot": str(again.meta.get("description")),
        "csv": central.version,  # has no place for it
    }.get(suffix, read.meta.get("model_version"))
    assert central.version in kept
    lines = regions.read_text().splitlines()
    radius = float(np.ma.filled(result["rh_arcsec_p50"], np.nan)[0])
    assert f'{radius:.4f}") # text={{100}}' in lines[2]
    assert [line.split("(")[0] for line in lines[2:]] == ["circle", "point", "circle"]


def test_the_metadata_of_a_catalog_do_not_mix_with_ours(
    central: CentralPixels, images: Any, wcs: WCS
) -> None:
    catalog = at_pixels(wcs, [50], [60])
    catalog.meta |= {"SEED": 99, "Date": "then", "AUTHOR": "me"}
    meta = predict(central, images, catalog, seed=4).meta
    assert meta["AUTHOR"] == "me"
    assert meta["seed"] == 4
    assert not {"SEED", "Date"} & set(meta)
    assert catalog.meta["SEED"] == 99


def test_metadata_say_where_it_comes_from(central: CentralPixels, images: Any, wcs: WCS) -> None:
    meta = predict(central, images, at_pixels(wcs, [50], [60]), seed=4, command="praesepe …").meta
    assert meta["model"] == PHAT.name
    assert meta["survey"] == PHAT.name
    assert meta["survey_fingerprint"] == PHAT.fingerprint()
    assert meta["praesepe_version"] == praesepe.__version__
    assert meta["command"] == "praesepe …"
    assert (meta["seed"], meta["n_samples"]) == (4, 500)
    assert meta["date"].endswith("+00:00")


def test_columns_of_the_catalogue_are_never_overwritten(
    central: CentralPixels, images: Any, wcs: WCS
) -> None:
    catalog = at_pixels(wcs, [50], [60])
    catalog["flags"] = ["mine"]
    with pytest.warns(PraesepeWarning, match="flags"):
        result = predict(central, images, catalog)
    assert result["flags_in"][0] == "mine"
    assert result["flags"][0] == 0
    assert "flags_in" not in catalog.colnames


def test_progress_counts_rows(central: CentralPixels, images: Any, wcs: WCS) -> None:
    seen: list[tuple[int, int]] = []
    catalog = at_pixels(wcs, np.full(300, 50), np.full(300, 50))
    predict(central, images, catalog, n_samples=2, progress=lambda *at: seen.append(at))
    assert seen == [(0, 300), (256, 300), (300, 300)]


class Unreachable(CentralPixels):
    """A model that must not be asked."""

    def predict(self, stamps: Any, **_: Any) -> Posterior:
        raise AssertionError("computed although the output could not be written")


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ({"out": "there.ecsv"}, "exists"),
        ({"out": "new.txt"}, r"\.txt"),
        ({"out": "none/new.ecsv"}, "folder"),
        ({"regions": "new.ds9"}, r"\.ds9"),
        ({"samples": "new.npz"}, r"\.npz"),
        ({"out": "new.ecsv", "samples": "there.parquet"}, "exists"),
        ({"out": "new.parquet", "samples": "new.parquet"}, "the same path"),
        ({"out": "."}, "format|folder"),
    ],
)
def test_outputs_are_checked_before_anything_is_computed(
    images: Any, wcs: WCS, tmp_path: Path, outputs: dict[str, str], said: str
) -> None:
    for name in ("there.ecsv", "there.parquet"):
        (tmp_path / name).write_text("keep me")
    paths: Any = {key: tmp_path / name for key, name in outputs.items()}
    with pytest.raises(InputError, match=said):
        predict(make(Unreachable), images, at_pixels(wcs, [50], [60]), **paths)
    assert (tmp_path / "there.ecsv").read_text() == "keep me"
    assert len(list(tmp_path.iterdir())) == 2
    # negative control: the model is reached where the outputs are fine
    with pytest.raises(AssertionError, match="computed"):
        predict(make(Unreachable), images, at_pixels(wcs, [50], [60]), out=tmp_path / "new.ecsv")


@pytest.mark.filterwarnings("ignore:.*taken from F814W_wht.fits")
def test_inputs_are_never_replaced(
    central: CentralPixels, images: Any, wcs: WCS, tmp_path: Path
) -> None:
    """An image was replaced by the table, a weight map by the regions' table, a catalog too."""
    files = {name: tmp_path / f"{name}_sci.fits" for name in images}
    for name, (data, frame) in images.items():
        fits.writeto(files[name], data, frame.to_header())
    weights = tmp_path / f"{name}_wht.fits"
    fits.writeto(weights, np.ones_like(data))
    catalog = tmp_path / "c.ecsv"
    at_pixels(wcs, [50], [60]).write(catalog)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for out in before:
        with pytest.raises(InputError, match="is an input: it would be replaced"):
            predict(make(Unreachable), files, catalog, out=out, overwrite=True)
        with pytest.raises(InputError, match="is an input: it would be replaced"):
            check(make(), files, catalog, out=out, overwrite=True)
    points = {band.name: band.zero_point_ab for band in central.survey.bands}
    units = dict.fromkeys(files, "electron/s")
    result = predict(central, files, catalog, check=False, units=units, zero_points=points)
    for out in (files[name], catalog):
        with pytest.raises(InputError, match="is an input: it would be replaced"):
            result.save(out, overwrite=True)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_columns_that_the_output_cannot_hold_are_known_before(
    images: Any, wcs: WCS, tmp_path: Path
) -> None:
    catalog = at_pixels(wcs, [50], [60])
    catalog["phot"] = np.empty(1, object)
    catalog["phot"][0] = np.arange(3.0)
    catalog["name"] = "Ć"
    many = at_pixels(wcs, [50], [60])
    many.add_columns(np.zeros((990, 1)).tolist(), names=[f"c{i}" for i in range(990)])
    for suffix, given, told in (
        ("csv", catalog, "phot hold arrays"),
        ("fits", catalog, "'name', such as 'Ć'"),
        ("fits", many, r"no place for 10\d\d columns"),
    ):
        with pytest.raises(InputError, match=told):
            predict(make(Unreachable), images, given, out=tmp_path / f"out.{suffix}")
    with pytest.raises(InputError, match=r"escaped in CSV, not in \.ecsv"):
        predict(make(Unreachable), images, many, out=tmp_path / "a.ecsv", escape_formulas=True)
    assert not list(tmp_path.iterdir())


def test_formulas_are_escaped(
    central: CentralPixels, images: Any, wcs: WCS, tmp_path: Path
) -> None:
    catalog = at_pixels(wcs, [50], [60])
    catalog["name"] = "=1+1"
    out = {"out": tmp_path / "t.csv", "regions": tmp_path / "t.reg"}
    predict(central, images, catalog, **out, escape_formulas=True)
    assert ",'=1+1," in out["out"].read_text()
    assert "'=1+1" not in out["regions"].read_text()


def test_overwrite(central: CentralPixels, images: Any, wcs: WCS, tmp_path: Path) -> None:
    out = {
        "out": tmp_path / "t.ecsv",
        "regions": tmp_path / "t.reg",
        "samples": tmp_path / "t.parquet",
    }
    catalog = at_pixels(wcs, [50], [60])
    predict(central, images, catalog, **out)
    with pytest.raises(InputError, match="exists"):
        predict(central, images, catalog, **out)
    predict(central, images, catalog, **out, overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.ecsv", "t.parquet", "t.reg"]


def test_names_of_outputs(
    central: CentralPixels,
    images: Any,
    wcs: WCS,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The ending decides about the format in capitals too, and ~ is the home folder."""
    import pyarrow.parquet as pq

    monkeypatch.setenv("HOME", str(tmp_path))
    predict(
        central, images, at_pixels(wcs, [50, 60], [60, 70]), n_samples=4,
        out="~/T.ECSV", regions="~/t.reg", samples="~/DRAWS.PARQUET",
    )  # fmt: skip
    assert sorted(p.name for p in tmp_path.iterdir()) == ["DRAWS.PARQUET", "T.ECSV", "t.reg"]
    assert pq.read_table(tmp_path / "DRAWS.PARQUET").num_rows == 2
    assert read_samples("~/DRAWS.PARQUET").values.shape == (2, 4, 3)


@pytest.mark.parametrize(
    "failing", ["catalog.tables.write_table", "catalog.region_files.write_regions"]
)
def test_what_is_written_is_kept(
    central: CentralPixels,
    images: Any,
    wcs: WCS,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failing: str,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise PraesepeError("could not write it: no space left")

    monkeypatch.setattr(f"praesepe.images.{failing}", fail)
    monkeypatch.setattr("praesepe.images.catalog.tables.check_fit", lambda *_, **__: None)
    paths = {"out": tmp_path / "t.ecsv", "regions": tmp_path / "t.reg"}
    catalog = at_pixels(wcs, [50], [60])
    draws = tmp_path / "t.parquet"
    with pytest.raises(
        PraesepeError, match=r"no space left; but the draws are kept in .*t\.parquet"
    ):
        predict(central, images, catalog, **paths, samples=draws, n_samples=4)
    assert np.isfinite(read_samples(draws).values).all()
    assert paths["out"].exists() == ("regions" in failing)
    # negative control: without draws nothing is said about them
    with pytest.raises(PraesepeError) as raised:
        predict(central, images, catalog, **paths, n_samples=4, overwrite=True)
    assert "draws" not in str(raised.value)


def test_what_headers_lack_can_be_given(central: CentralPixels, images: Any, wcs: WCS) -> None:
    catalog = at_pixels(wcs, [50], [60])
    fainter = {PHAT.bands[0].name: PHAT.bands[0].zero_point_ab - 2.5 * np.log10(1.08)}
    before = predict(central, images, catalog, n_samples=2)["log_age_p50"][0] - 8
    after = predict(central, images, catalog, n_samples=2, zero_points=fainter)["log_age_p50"][0]
    # an electron stands for 8 % more light
    assert after - 8 == pytest.approx(1.08 * before, abs=3e-4)
    with pytest.raises(InputError, match="reproject"):
        predict(central, images, catalog, reproject="maybe")


@pytest.mark.parametrize("settings", [{"n_samples": 0}, {"seed": -1}])
def test_impossible_numbers(images: Any, wcs: WCS, settings: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        predict(make(Unreachable), images, at_pixels(wcs, [50], [60]), **settings)


def test_an_interrupted_run_leaves_no_samples(tmp_path: Path) -> None:
    rows = {"row": np.arange(5)}
    with (
        contextlib.suppress(RuntimeError),
        open_samples(tmp_path / "draws.parquet", rows, DEFAULT_INFERRED, 4, {}) as append,
    ):
        append(np.zeros((2, 4, 3), np.float32))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_draws_say_what_they_are(
    central: CentralPixels, images: Any, wcs: WCS, tmp_path: Path, repository: Path
) -> None:
    """Identifier, position, and the units of the table."""
    import pyarrow.parquet as pq

    central.spread = 0.1
    catalog = at_pixels(wcs, [50, 60, 70], [60, 70, 80])
    path = tmp_path / "draws.parquet"
    result = predict(central, images, catalog, samples=path, n_samples=40, seed=3, keep="draws")
    table = pq.read_table(path)
    assert table.column_names == [
        "row", "id", "ra", "dec", "x", "y", "log_age", "log_mass", "rh_arcsec",
    ]  # fmt: skip
    assert table["id"].to_pylist() == [100, 101, 102]
    np.testing.assert_allclose(table["ra"].to_numpy(), catalog["ra"])
    np.testing.assert_allclose(table["x"].to_numpy(), result["x"], atol=1e-3)
    documents = (repository / "docs/images.md").read_text("utf-8")
    for name in table.column_names:
        assert table.schema.field(name).metadata[b"description"]
        assert f"`{name}`" in documents
    for name in ("log_age", "log_mass", "rh_arcsec"):
        unit = table.schema.field(name).metadata[b"unit"].decode()
        assert Unit(unit) == result[f"{name}_p50"].unit
        median = np.median(np.array(table[name].to_pylist()), axis=1)
        np.testing.assert_allclose(median, result[f"{name}_p50"], atol=1e-4)
    content = json.loads(table.schema.metadata[b"praesepe"])
    assert content["model"] == PHAT.name
    assert content["seed"] == 3
    assert [q["name"] for q in content["quantities"]] == ["log_age", "log_mass", "rh_arcsec"]
    np.testing.assert_allclose(read_samples(path).values, result.samples, atol=1e-6)


def test_draws_as_zarr(central: CentralPixels, images: Any, wcs: WCS, tmp_path: Path) -> None:
    """The same columns, units and numbers as in Parquet; other folders are never replaced."""
    import pyarrow.parquet as pq
    import zarr

    central.spread = 0.1
    catalog = at_pixels(wcs, np.full(300, 60), np.full(300, 70))
    catalog["id"] = [f"{i:05d}" for i in range(300)]
    for name in ("a.parquet", "a.zarr"):
        predict(central, images, catalog, samples=tmp_path / name, n_samples=8)
    table = pq.read_table(tmp_path / "a.parquet")
    root: Any = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert sorted(root.array_keys()) == sorted(table.column_names)
    for name in table.column_names:
        np.testing.assert_array_equal(root[name][:], table[name].to_pylist())
        metadata = table.schema.field(name).metadata
        for key in ("unit", "description"):
            assert root[name].attrs[key] == metadata[key.encode()].decode()
    about = json.loads(table.schema.metadata[b"praesepe"])
    assert {**root.attrs["praesepe"], "date": about["date"]} == about
    draws = read_samples(tmp_path / "a.zarr").values
    assert draws.shape == (300, 8, 3)
    np.testing.assert_array_equal(draws, read_samples(tmp_path / "a.parquet").values)
    for suffix in ("parquet", "zarr"):  # which clusters they are of
        read = read_samples(tmp_path / f"a.{suffix}")
        assert read.clusters["id"].tolist() == catalog["id"].tolist()
        assert read.clusters["row"].tolist() == list(range(300))
        np.testing.assert_allclose(read.clusters["ra"], catalog["ra"])
        assert (read.clusters["x"] == np.array(table["x"])).all()
        assert read.infers == ("log_age", "log_mass", "log_rh")
        assert (read.meta["model"], len(read)) == (central.name, 300)
        assert repr(read).startswith("<Samples: 8 draws of log_age")
    with pytest.raises(InputError, match="exists"):
        predict(central, images, catalog, samples=tmp_path / "a.zarr")
    predict(central, images, catalog[:2], samples=tmp_path / "a.zarr", overwrite=True, n_samples=4)
    assert read_samples(tmp_path / "a.zarr").values.shape == (2, 4, 3)
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "notes.txt").touch()
    with pytest.raises(InputError, match="holds no Zarr group"):
        predict(central, images, catalog, samples=tmp_path / "mine.zarr", overwrite=True)


def test_draws_of_earlier_versions_are_read(tmp_path: Path) -> None:
    import h5py

    draws = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    with h5py.File(tmp_path / "draws.h5", "w") as file:
        file["samples"] = draws
    np.testing.assert_array_equal(read_samples(tmp_path / "draws.h5").values, draws)


def test_what_is_no_file_of_draws(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no")
    (tmp_path / "text.h5").write_text("no")
    (tmp_path / "empty.zarr").mkdir()
    Table({"a": [1]}).write(tmp_path / "table.parquet")
    for name, said in (
        ("draws.csv", r"\.parquet"),
        ("none.parquet", "no file"),
        ("text.parquet", "damaged"),
        ("text.h5", "damaged"),
        ("empty.zarr", "damaged"),
        ("table.parquet", "damaged"),
    ):
        with pytest.raises(InputError, match=said):
            read_samples(tmp_path / name)


def test_a_loaded_model_is_not_moved_without_a_word(images: Any, wcs: WCS) -> None:
    with pytest.raises(InputError, match="device 'meta'"):
        predict(make(Unreachable), images, at_pixels(wcs, [50], [60]), device="meta")


def test_a_mosaic_of_another_survey_is_refused(
    central: CentralPixels, images: Any, wcs: WCS
) -> None:
    catalog = at_pixels(wcs, [50], [60])
    mosaic = Mosaic.read(images, PHAT)
    assert predict(central, mosaic, catalog)["flags"][0] == 0
    content = PHAT.model_dump()
    content["observation"]["bands"][0]["zero_point_ab"] += 0.3
    other = parse_survey(content)
    with pytest.raises(InputError, match="zero points"):
        predict(central, Mosaic.read(images, other), catalog)
    with pytest.raises(InputError, match="read already"):
        predict(central, mosaic, catalog, units={"F475W": "MJy/sr"})


def test_sizes_in_pc_are_empty_where_the_distance_varies(
    central: CentralPixels, images: Any, wcs: WCS
) -> None:
    catalog = at_pixels(wcs, [50], [60])
    central.survey = PHAT.with_values(galaxy={"distance_pc": (5e5, 1e6)})
    with pytest.warns(PraesepeWarning, match="sizes in pc are left empty"):
        table = predict(central, images, catalog)
    assert np.ma.is_masked(table["rh_pc_p50"])
    assert not np.ma.is_masked(table["rh_arcsec_p50"])


def test_blocks_are_measured_side_by_side(
    untrained: Estimator, images: Any, wcs: WCS, rng: np.random.Generator
) -> None:
    catalog = at_pixels(wcs, *rng.uniform(40, 160, (2, 600)))
    before, found, seen = torch.get_num_threads(), [], []
    try:
        for n in (1, 3):
            torch.set_num_threads(n)
            options: Any = {"keep": "draws", "progress": lambda *at: seen.append(at)}
            found.append(predict(untrained, images, catalog, n_samples=8, **options))
            assert torch.get_num_threads() == n
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(found[1].samples, found[0].samples)
    np.testing.assert_array_equal(found[1]["rh_pc_p84"], found[0]["rh_pc_p84"])
    assert seen == 2 * [(0, 600), (256, 600), (512, 600), (600, 600)]
