"""The estimator: same predictions after saving, whole files, clear refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors.torch import load_file

from praesepe.errors import InputError, PraesepeError
from praesepe.network.estimator import Estimator, model_names
from praesepe.network.heads.flow_inverse import DRAWS_AT_ONCE
from praesepe.network.posterior import Posterior
from praesepe.network.schema import checksum, digest
from praesepe.network.storage import read_model, write_model
from praesepe.network.transform import prior_range
from praesepe.quantities import DEFAULT_INFERRED
from praesepe.survey import Survey


def make_estimator(survey: Survey, seed: int = 0, **changes: Any) -> Estimator:
    """Random weights whose posteriors differ from stamp to stamp."""
    estimator = Estimator.untrained(survey, encoder="tiny", seed=seed, **changes)
    with torch.no_grad():
        for parameter in estimator.net.head.parameters():
            parameter.mul_(2)
    return estimator


@pytest.fixture(scope="module")
def estimator(survey: Survey) -> Estimator:
    return make_estimator(survey)


@pytest.fixture(scope="module")
def stamps() -> np.ndarray:
    rng = np.random.default_rng(3)
    brightness = 10 ** rng.uniform(-2, 1, (150, 1, 1, 1))
    return (brightness * rng.normal(1, 0.3, (150, 2, 16, 16))).astype(np.float32)


@pytest.fixture(scope="module")
def posterior(estimator: Estimator, stamps: np.ndarray) -> Posterior:
    return estimator.predict(stamps, n_samples=64)


# The posterior


def test_posterior_holds_what_it_says(posterior: Posterior, stamps: np.ndarray) -> None:
    assert posterior.samples.shape == (len(stamps), 64, 3)
    assert posterior.samples.dtype == np.float32
    assert len(posterior) == len(stamps)
    assert posterior.names == ("log_age", "log_mass", "log_rh")
    assert posterior.names == DEFAULT_INFERRED
    assert posterior.out_of_domain.shape == (len(stamps),)
    assert np.isnan(posterior.out_of_domain).all()  # this model has not learnt what is familiar


def test_means_and_percentiles(posterior: Posterior) -> None:
    np.testing.assert_allclose(posterior.mean, posterior.samples.mean(1))
    assert posterior.percentile(50).shape == (150, 3)
    low, median, high = posterior.percentile([16, 50, 84])
    np.testing.assert_allclose(median, np.median(posterior.samples, 1), rtol=1e-6)
    assert (low < median).all()
    assert (median < high).all()
    inside = (posterior.samples > low[:, None]) & (posterior.samples < high[:, None])
    assert inside.mean() == pytest.approx(0.66, abs=0.01)  # 42 of 64


def test_log_prob_is_a_density_per_cubic_dex(
    estimator: Estimator, stamps: np.ndarray, survey: Survey
) -> None:
    n = 8000
    posterior = estimator.predict(stamps[:2], n_samples=n)
    first = estimator.predict(np.repeat(stamps[:1], n, axis=0), n_samples=1)
    draws = posterior.samples[0]
    log_prob = first.log_prob(draws)
    assert log_prob.shape == (n,)
    # E_p[q / p] = 1 for a normalised q inside p, in the units of the labels
    middle, width = np.median(draws, 0), 0.3 * draws.std(0)
    log_inner = (-0.5 * ((draws - middle) / width) ** 2 - np.log(width * np.sqrt(2 * np.pi))).sum(1)
    ratio = np.exp(log_inner - log_prob)
    assert ratio.mean() == pytest.approx(1, abs=5 * ratio.std() / n**0.5)
    assert ratio.std() / n**0.5 < 0.05
    volume = float(estimator.net.labels.std.log().sum())  # what forgetting the units would do
    assert abs(ratio.mean() * np.exp(volume) - 1) > 5 * ratio.std() / n**0.5


def test_weights_count(posterior: Posterior) -> None:
    """As a draw that is there several times; equal weights change nothing but interpolation."""
    counts = np.random.default_rng(1).integers(0, 4, posterior.samples.shape[:2])
    counts[:, 0] += 1
    weighted = Posterior(
        posterior.samples, posterior.out_of_domain, posterior.log_prob, weights=counts
    )
    np.testing.assert_allclose(weighted.weights.sum(axis=1), 1, rtol=1e-5)
    for row in (0, 7):
        repeated = np.repeat(posterior.samples[row], counts[row], axis=0)
        np.testing.assert_allclose(weighted.mean[row], repeated.mean(0), rtol=1e-5)
        np.testing.assert_allclose(weighted.std[row], repeated.std(0), rtol=1e-4)
        # 33 %: no level at which rounding decides
        exact = np.percentile(repeated, 33.0, axis=0, method="inverted_cdf")
        np.testing.assert_array_equal(weighted.percentile(33.0)[row], exact)
    assert posterior.weights is None
    np.testing.assert_allclose(posterior.std, posterior.samples.std(1))
    for wrong in (counts[:, 1:], -counts, 0 * counts, counts * np.nan):
        with pytest.raises(InputError, match="weights"):
            Posterior(posterior.samples, posterior.out_of_domain, posterior.log_prob, weights=wrong)


def test_log_prob_wants_one_point_per_stamp(posterior: Posterior) -> None:
    with pytest.raises(InputError, match=r"\(3,\).*log_age, log_mass and log_rh"):
        posterior.log_prob([8.0, 3.0, -0.5])
    values = posterior.mean.astype(float)
    values.flags.writeable = False
    assert np.isfinite(posterior.log_prob(values)).all()


# Prediction


@pytest.mark.parametrize("score", [False, True])
def test_a_row_is_the_same_in_any_company(survey: Survey, stamps: np.ndarray, score: bool) -> None:
    estimator = make_estimator(survey)
    if score:
        estimator.learn_domain(features(estimator, like_training(400, 1)))
    whole = estimator.predict(stamps, n_samples=20)
    density = whole.log_prob(whole.samples[:, 0])
    order = np.random.default_rng(1).permutation(len(stamps))
    for chosen in (order, order[:64], order[:65], order[3:4]):
        part = estimator.predict(stamps[chosen], n_samples=20, rows=chosen)
        np.testing.assert_array_equal(part.samples, whole.samples[chosen])
        np.testing.assert_array_equal(part.out_of_domain, whole.out_of_domain[chosen])
        np.testing.assert_array_equal(part.log_prob(part.samples[:, 0]), density[chosen])


def test_a_row_with_many_draws_is_the_same_in_any_company(
    estimator: Estimator, stamps: np.ndarray
) -> None:
    """So many that rows are drawn one by one."""
    together = estimator.predict(stamps[:3], n_samples=DRAWS_AT_ONCE).samples
    alone = estimator.predict(stamps[1:2], n_samples=DRAWS_AT_ONCE, rows=[1]).samples
    np.testing.assert_array_equal(together[1], alone[0])
    few = estimator.predict(stamps[:3], n_samples=64).samples
    np.testing.assert_allclose(together[:, :64], few, atol=1e-4)


@pytest.mark.filterwarnings("ignore:TF32 acceleration")
@pytest.mark.parametrize("elsewhere", ["cuda", "other kernels"])
def test_another_device_predicts_the_same(
    survey: Survey, stamps: np.ndarray, saved: Path, elsewhere: str
) -> None:
    """To 1e-3 dex, of given stamps; kernels without oneDNN stand for another processor."""
    if elsewhere == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    here = Estimator.load(saved).predict(stamps)
    with torch.backends.mkldnn.flags(enabled=False):
        device = "cuda" if elsewhere == "cuda" else "cpu"
        there = Estimator.load(saved, device=device).predict(stamps)
    assert np.abs(np.median(here.samples, 1) - np.median(there.samples, 1)).max() < 1e-3
    assert not np.array_equal(here.samples, there.samples)  # they did compute otherwise


def test_the_number_of_a_row_decides(estimator: Estimator, stamps: np.ndarray) -> None:
    one, other = (
        estimator.predict(stamps[:9], n_samples=20, rows=np.arange(9) + k) for k in (0, 1)
    )
    assert (one.samples != other.samples).all()
    few = estimator.predict(stamps[:9], n_samples=5).samples
    np.testing.assert_allclose(one.samples[:, :5], few, atol=1e-4)  # the first draws stay


@pytest.mark.parametrize(
    ("rows", "message"),
    [([0], r"'int64', \(1,\)"), ([0, -1], "rows = -1"), ([0.0, 1.0], "'float64'")],
)
def test_rows_are_numbers(
    estimator: Estimator, stamps: np.ndarray, rows: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        estimator.predict(stamps[:2], rows=rows)


def test_masked_pixels_are_refused(estimator: Estimator, stamps: np.ndarray) -> None:
    masked = np.ma.masked_array(stamps[:5].copy(), mask=False)
    expected = estimator.predict(stamps[:5], n_samples=3).samples
    np.testing.assert_array_equal(estimator.predict(masked, n_samples=3).samples, expected)
    masked[3, 1, 4, 4] = np.ma.masked
    with pytest.raises(InputError, match=r"1 of 5 stamps contain .* masked pixels"):
        estimator.predict(masked)


@pytest.mark.parametrize("bands", [[0], [1], [0, 1]])
@pytest.mark.parametrize("value", [0.0, 0.3])
def test_a_band_without_noise_is_flagged(
    estimator: Estimator, stamps: np.ndarray, bands: list[int], value: float
) -> None:
    """A dead band, or a stamp of nothing, without a critic: its answer came without a word."""
    assert estimator.critic is None
    dead = stamps[:8].copy()
    dead[np.ix_([2, 5], bands)] = value
    found = estimator.predict(dead, n_samples=8)
    assert (found.out_of_domain > 1).nonzero()[0].tolist() == [2, 5]
    assert (found.doubts["noise"] > 1).nonzero()[0].tolist() == [2, 5]
    again = found.again(np.array([1, 5]), 16)
    assert (again.out_of_domain > 1).tolist() == [False, True]
    assert not estimator.predict(stamps[:8], n_samples=8).doubts


def test_the_seed_decides(estimator: Estimator, stamps: np.ndarray) -> None:
    draws = [estimator.predict(stamps[:9], n_samples=20, seed=s).samples for s in (5, 5, 6)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).all()
    torch.manual_seed(99)  # the global generators do not
    again = estimator.predict(stamps[:9], n_samples=20, seed=5).samples
    np.testing.assert_array_equal(draws[0], again)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: torch.from_numpy(x.copy()),
        lambda x: torch.from_numpy(x.copy()).double().requires_grad_(),
        lambda x: x.astype(">f4"),
        lambda x: x.astype(float),
        lambda x: np.flip(np.flip(x, -1).copy(), -1),
        lambda x: np.asfortranarray(x),
        lambda x: np.frombuffer(x.tobytes(), np.float32).reshape(x.shape),  # read-only
        lambda x: x.tolist(),
    ],
    ids=["tensor", "double", "big-endian", "float64", "reversed", "fortran", "read-only", "list"],
)
def test_any_kind_of_array_will_do(
    estimator: Estimator, stamps: np.ndarray, posterior: Posterior, change: Any
) -> None:
    few = estimator.predict(stamps[:5], n_samples=8).samples
    changed = change(stamps[:5])
    np.testing.assert_array_equal(estimator.predict(changed, n_samples=8).samples, few)


def test_the_input_is_left_alone(estimator: Estimator, stamps: np.ndarray) -> None:
    before = stamps.copy()
    estimator.predict(stamps, n_samples=1)
    np.testing.assert_array_equal(stamps, before)


def test_progress_is_told(estimator: Estimator, stamps: np.ndarray) -> None:
    told: list[int] = []
    estimator.predict(stamps, n_samples=1, progress=told.append)
    assert told == [64, 128, 150]


def test_no_stamps_give_no_posteriors(estimator: Estimator) -> None:
    posterior = estimator.predict(np.zeros((0, 2, 16, 16)), n_samples=4)
    assert posterior.samples.shape == (0, 4, 3)
    assert posterior.percentile([16, 84]).shape == (2, 0, 3)
    assert posterior.out_of_domain.shape == (0,)
    assert posterior.log_prob(np.zeros((0, 3))).shape == (0,)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_bad_pixel_is_refused(estimator: Estimator, stamps: np.ndarray, value: float) -> None:
    bad = stamps.copy()
    bad[3, 1, 2, 2] = bad[7, 0, 0, 0] = value
    with pytest.raises(InputError, match="2 of 150 stamps contain NaN, infinite"):
        estimator.predict(bad)


@pytest.mark.parametrize("shape", [(2, 16, 16), (4, 3, 16, 16), (4, 2, 64, 64), (4, 2, 16, 18)])
def test_a_wrong_shape_is_refused(estimator: Estimator, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"\(n, 2, 16, 16\).*F475W, F814W") as refused:
        estimator.predict(np.zeros(shape))
    assert str(shape) in str(refused.value)  # both are said


@pytest.mark.parametrize("change", [{"n_samples": 0}, {"seed": -1}])
def test_impossible_numbers_are_refused(
    estimator: Estimator, stamps: np.ndarray, change: dict[str, int]
) -> None:
    name, value = next(iter(change.items()))
    with pytest.raises(InputError, match=f"{name} = {value}"):
        estimator.predict(stamps, **change)


def test_an_untrained_network_knows_its_seed_only(survey: Survey, stamps: np.ndarray) -> None:
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first, second, third = (
        Estimator.untrained(survey, encoder="tiny", seed=s).predict(stamps[:3], n_samples=5).samples
        for s in (1, 1, 2)
    )
    assert torch.equal(state, torch.random.get_rng_state())
    np.testing.assert_array_equal(first, second)
    assert (first != third).any()


# Stamps unlike those of the training


def features(estimator: Estimator, stamps: np.ndarray) -> torch.Tensor:
    with torch.inference_mode():
        return estimator.net.context(torch.from_numpy(stamps)).clone()


def like_training(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    brightness = 10 ** rng.uniform(-2, 1, (n, 1, 1, 1))
    return (brightness * rng.normal(1, 0.3, (n, 2, 16, 16))).astype(np.float32)


@pytest.mark.parametrize("n", [40, 150, 2000])
def test_the_score_tells_the_absurd_from_the_familiar(survey: Survey, n: int) -> None:
    # With 40 or 150 stamps the covariance of 32 features is poorly known.
    estimator = make_estimator(survey)
    estimator.learn_domain(features(estimator, like_training(n, 1)))
    new = estimator.predict(like_training(500, 2), n_samples=1).out_of_domain
    assert (new > 1).mean() < (0.01 if n == 2000 else 0.15)
    side = np.arange(16)
    absurd = np.zeros((4, 2, 16, 16), np.float32)
    absurd[0, :, 8:] = 1e6  # a constant everywhere would be the background
    absurd[1, :, 8:] = -100.0
    absurd[2] = 1e5 * (-1.0) ** (side[:, None] + side)
    absurd[3, 0, 8:] = 1e4
    assert (estimator.predict(absurd, n_samples=1).out_of_domain > 1).all()


def test_the_score_is_the_mahalanobis_distance(survey: Survey) -> None:
    estimator = make_estimator(survey)
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(32, 32))
    context = torch.from_numpy((rng.normal(size=(4000, 32)) @ mixing).astype(np.float32))
    estimator.learn_domain(context)
    x = context.numpy().astype(float)
    covariance = np.cov(x.T)
    covariance += 1e-3 * np.trace(covariance) / 32 * np.eye(32)
    delta = x - x.mean(0)
    distance = np.sqrt(np.einsum("ni,ij,nj->n", delta, np.linalg.inv(covariance), delta))
    expected = distance / np.quantile(distance, 0.999)
    np.testing.assert_allclose(estimator.domain.score(context), expected, rtol=2e-3)


def test_too_few_stamps_teach_nothing(survey: Survey) -> None:
    estimator = make_estimator(survey)
    estimator.learn_domain(torch.zeros((3, 32)))
    assert np.isnan(estimator.predict(like_training(2, 0), n_samples=1).out_of_domain).all()


def test_dead_features_do_no_harm(survey: Survey) -> None:
    estimator = make_estimator(survey)
    estimator.learn_domain(torch.zeros((400, 32)))
    assert (estimator.domain.score(torch.zeros((2, 32))) == 0).all()
    assert (estimator.domain.score(torch.ones((2, 32))) > 1).all()


# Present-day mass


def test_present_mass_fraction(survey: Survey) -> None:
    estimator = make_estimator(survey)
    assert np.isnan(estimator.present_mass_fraction([7.0, 8.0])).all()
    curve = {"log_age": [7.0, 9.0], "fraction": [0.9, 0.7]}
    estimator.describe(present_mass=curve)
    values = estimator.present_mass_fraction([[6.0, 7.0], [8.0, 10.0]])
    np.testing.assert_allclose(values, [[0.9, 0.9], [0.8, 0.7]])


# Saving and loading


@pytest.fixture
def saved(survey: Survey, tmp_path: Path) -> Path:
    estimator = make_estimator(survey, name="mine")
    estimator.learn_domain(features(estimator, like_training(400, 1)))
    estimator.describe(present_mass={"log_age": [7.0, 9.0], "fraction": [0.9, 0.7]})
    return estimator.save(tmp_path / "deep" / "er" / "model")


def test_a_loaded_model_predicts_the_same_bits(
    survey: Survey, stamps: np.ndarray, tmp_path: Path
) -> None:
    estimator = make_estimator(survey, name="mine")
    estimator.learn_domain(features(estimator, like_training(400, 1)))
    loaded = Estimator.load(estimator.save(tmp_path / "model"))
    ours, theirs = (e.predict(stamps, n_samples=30, seed=4) for e in (estimator, loaded))
    np.testing.assert_array_equal(ours.samples, theirs.samples)
    np.testing.assert_array_equal(ours.out_of_domain, theirs.out_of_domain)
    values = ours.mean
    np.testing.assert_array_equal(ours.log_prob(values), theirs.log_prob(values))
    assert loaded.survey == survey
    assert (loaded.name, loaded.version) == ("mine", estimator.version)
    assert not loaded.net.training


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(
    saved: Path, survey: Survey, tmp_path: Path, value: float
) -> None:
    content, blob = read_model(saved)
    tensors = safetensors.torch.load(blob)
    name = next(key for key, of in tensors.items() if of.is_floating_point())
    tensors[name].view(-1)[0] = value
    write_model(saved, safetensors.torch.save(tensors), content)
    with pytest.raises(InputError, match=r"not finite .*copy or train the model again"):
        Estimator.load(saved)
    estimator = make_estimator(survey)
    with torch.no_grad():
        next(estimator.net.head.parameters()).view(-1)[0] = value
    with pytest.raises(InputError, match="model 'toy' has weights that are not finite"):
        estimator.save(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_files_of_a_model(saved: Path) -> None:
    assert sorted(file.name for file in saved.iterdir()) == ["model.json", "weights.safetensors"]
    assert [p.name for p in saved.parent.iterdir()] == ["model"]  # no remains
    content = json.loads((saved / "model.json").read_text())
    assert content["format"] == 3
    assert content["name"] == "mine"
    assert content["encoder"] == {"name": "tiny", "settings": {}}
    assert content["head"]["name"] == "flow"
    assert content["survey"]["name"] == "toy"
    assert content["infers"] == ["log_age", "log_mass", "log_rh"]
    assert content["conditions"] == []
    blob = (saved / "weights.safetensors").read_bytes()
    assert content["version"] == digest(blob)
    assert content["checksum"] == checksum(content, blob)
    for file in saved.iterdir():  # neither a zip of torch.save nor a pickle
        assert file.read_bytes()[:2] not in (b"PK", b"\x80\x02", b"\x80\x04", b"\x80\x05")


def test_what_is_loaded_can_be_saved_again(saved: Path, tmp_path: Path) -> None:
    again = Estimator.load(saved).save(tmp_path / "copy")
    for name in ("model.json", "weights.safetensors"):
        assert (again / name).read_bytes() == (saved / name).read_bytes()


def test_the_transform_travels_with_the_weights(saved: Path, survey: Survey) -> None:
    net = Estimator.load(saved).net
    assert net.stamps.scale.flatten().tolist() == pytest.approx([0.03, 0.3])
    priors = [prior_range(survey, name) for name in survey.network.infers]
    low, high = torch.tensor(priors).T
    torch.testing.assert_close(net.labels.mean, (low + high) / 2)


def test_a_model_is_not_replaced_unasked(saved: Path, survey: Survey) -> None:
    before = (saved / "weights.safetensors").read_bytes()
    other = make_estimator(survey, seed=7)
    with pytest.raises(InputError, match="exists"):
        other.save(saved)
    assert (saved / "weights.safetensors").read_bytes() == before
    other.save(saved, overwrite=True)
    assert Estimator.load(saved).version == other.version != digest(before)
    assert sorted(file.name for file in saved.iterdir()) == ["model.json", "weights.safetensors"]


def test_other_files_in_the_folder_stay(saved: Path, survey: Survey) -> None:
    (saved / "card.md").write_text("notes")
    make_estimator(survey, seed=7).save(saved, overwrite=True)
    assert (saved / "card.md").read_text() == "notes"


def test_a_file_in_the_way_is_refused(survey: Survey, tmp_path: Path) -> None:
    file = tmp_path / "model"
    file.write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="is a file"):
            make_estimator(survey).save(file, overwrite=overwrite)
    assert file.read_text() == "mine"


def test_a_failed_first_save_leaves_nothing(
    survey: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(PraesepeError, match="No space left"):
        make_estimator(survey).save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_an_estimator_is_taken_as_it_is_and_where_it_is(survey: Survey) -> None:
    estimator = make_estimator(survey)
    assert Estimator.load(estimator) is estimator
    assert Estimator.load(estimator, device="cpu") is estimator
    with pytest.raises(InputError, match=r"device 'meta', but .* is on 'cpu'; .*model\.to\('meta'"):
        Estimator.load(estimator, device="meta")
    assert Estimator.load(estimator.to("meta"), device="meta") is estimator


def test_its_words_say_what_it_is(estimator: Estimator, posterior: Posterior) -> None:
    assert repr(estimator) == (
        "<Estimator 'toy' unsaved: log_age, log_mass, log_rh from stamps of 16 × 16 px in F475W, "
        "F814W; encoder 'tiny', head 'flow', on cpu>"
    )
    assert repr(posterior) == ("<Posterior of 150 clusters: 64 draws of log_age, log_mass, log_rh>")


# What is refused


def test_unknown_names_are_told_with_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from praesepe.network import estimator as module

    monkeypatch.setattr(module, "model_names", lambda: ("phat", "acsvcs"))
    with pytest.raises(InputError, match=r"unknown model 'pha'.*Did you mean 'phat'\?.*'acsvcs'"):
        Estimator.load("pha")
    with pytest.raises(InputError, match="praesepe train"):
        Estimator.load(tmp_path / "nothing")


def test_included_models_can_be_loaded() -> None:
    for name in model_names():
        assert Estimator.load(name).name


def test_a_file_is_not_a_model(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    file.write_bytes(b"PK")
    with pytest.raises(InputError, match="is a file, not a Praesepe model"):
        Estimator.load(file)


def edit(saved: Path, **changes: Any) -> None:
    """Change entries of ``model.json``, with a checksum that fits."""
    path = saved / "model.json"
    content = json.loads(path.read_text()) | changes
    content = {k: v for k, v in content.items() if v is not ...}
    if "checksum" in content and "checksum" not in changes:
        content["checksum"] = checksum(content, (saved / "weights.safetensors").read_bytes())
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: (p / "model.json").unlink(), "not a Praesepe model.*model.json"),
        (lambda p: (p / "weights.safetensors").unlink(), "lacks its weights.safetensors"),
        (lambda p: (p / "model.json").write_text("{"), "not a Praesepe model"),
        (lambda p: (p / "model.json").write_bytes(b"\xff\xfe\x00"), "not a Praesepe model"),
        (lambda p: (p / "model.json").write_text("[1]"), "lacks the usual entries"),
        (lambda p: edit(p, checksum=...), "is damaged, or was changed"),
        (lambda p: edit(p, survey=...), "survey: Field required"),
        (lambda p: edit(p, format=2), "format 2, this version reads 3"),
        (lambda p: edit(p, format=4), "format 4, this version reads 3"),
        (lambda p: edit(p, infers=["age"]), "unknown quantity 'age'"),
        (lambda p: edit(p, infers=["log_age"]), "priors of .*, but infers"),
        (lambda p: edit(p, infers=None), "infers: Input should be"),
        (lambda p: edit(p, nmae="x"), "unknown key 'nmae'.*'name'"),
        (lambda p: edit(p, name=3), "name: Input should be a valid string"),
        (lambda p: edit(p, encoder={"name": "smal"}), "'smal'.*'small'"),
        (lambda p: edit(p, encoder={"name": "small"}), r"another network.*'small'.*bands\)[^\n]*$"),
        (lambda p: edit(p, head={"name": "flwo"}), "unknown head 'flwo'.*'flow'"),
        (lambda p: edit(p, encoder={"name": "tiny", "settings": {"a": 0}}), "'tiny' has no"),
        (lambda p: edit(p, head={"name": "flow", "settings": {"bin": 3}}), "'bin'"),
        (lambda p: edit(p, conditions=[{"name": "seeing", "low": 0, "high": 1}]), "'seeing'"),
        (lambda p: edit(p, survey={"name": "x"}), "missing key"),
        (lambda p: edit(p, version="0" * 12, checksum="0"), "is damaged, or was changed"),
    ],
)
def test_a_folder_that_is_no_model(saved: Path, change: Any, message: str) -> None:
    change(saved)
    with pytest.raises(InputError, match=message) as refused:
        Estimator.load(saved)
    named = ("'smal'", "'flwo'", "'bin'", "'tiny'")
    assert saved.name in str(refused.value) or message.startswith(named) or "flwo" in message


def test_any_entry_that_was_changed_is_noticed(saved: Path) -> None:
    path = saved / "model.json"
    path.write_text(path.read_text().replace('"mine"', '"mime"'))
    with pytest.raises(InputError, match="was changed after it was written"):
        Estimator.load(saved)


# Half precision


def test_weights_in_half_precision(survey: Survey, stamps: np.ndarray, tmp_path: Path) -> None:
    estimator = make_estimator(survey)
    estimator.learn_domain(features(estimator, like_training(400, 1)))
    whole = estimator.predict(stamps, n_samples=200)
    half = estimator.save(tmp_path / "half", float16=True)
    full = estimator.save(tmp_path / "full")
    sizes = [(p / "weights.safetensors").stat().st_size for p in (half, full)]
    assert sizes[0] < 0.65 * sizes[1]
    types = {key: value.dtype for key, value in load_file(half / "weights.safetensors").items()}
    assert types["encoder.stem.0.weight"] == torch.float16
    single = ("running_mean", "running_var", "labels.mean", "stamps.scale", "domain.mean")
    assert all(types[key] == torch.float32 for key in types if key.endswith(single))
    loaded = Estimator.load(half)
    assert loaded.card.weights == "float16"
    assert next(loaded.net.parameters()).dtype == torch.float32
    shift = loaded.predict(stamps, n_samples=200).percentile(50) - whole.percentile(50)
    assert 0 < np.abs(shift / whole.samples.std(1)).max() < 0.1


def test_weights_too_large_for_half_precision(survey: Survey, tmp_path: Path) -> None:
    estimator = make_estimator(survey)
    with torch.no_grad():
        estimator.net.encoder.stem[0].weight[0, 0, 0, 0] = 1e5
    with pytest.raises(InputError, match=r"encoder\.stem\.0\.weight.*too large for float16"):
        estimator.save(tmp_path / "half", float16=True)
    assert not (tmp_path / "half").exists()


# Damage


@pytest.mark.parametrize(
    ("damage", "versioned"),
    [
        *((damage, True) for damage in ("cut", "flip", "empty", "pickle")),
        *((damage, False) for damage in ("cut", "empty", "pickle")),  # a checksum that fits
    ],
)
def test_damaged_weights_are_refused(saved: Path, damage: str, versioned: bool) -> None:
    path = saved / "weights.safetensors"
    blob = path.read_bytes()
    path.write_bytes(
        {
            "cut": blob[: len(blob) // 2],
            "flip": blob[:-100] + bytes([blob[-100] ^ 64]) + blob[-99:],
            "empty": b"",
            "pickle": b"\x80\x04K\x01.",
        }[damage]
    )
    if not versioned:
        edit(saved)
    with pytest.raises(InputError, match="damaged"):
        Estimator.load(saved)


def test_rounded_weights_are_those_in_memory(survey: Survey, tmp_path: Path) -> None:
    """One version, one set of weights: the model in memory answers as its file does."""
    estimator = Estimator.untrained(survey, encoder="tiny", seed=4)
    estimator.save(tmp_path / "half", float16=True)
    loaded = Estimator.load(tmp_path / "half")
    assert loaded.version == estimator.version
    for key, value in loaded.net.state_dict().items():
        assert torch.equal(value, estimator.net.state_dict()[key]), key


def test_categories_have_shares_and_no_mean() -> None:
    samples = np.array([[[8.0, 1.0], [9.0, 0.0], [9.0, 1.0], [10.0, 1.0]]], np.float32)
    score = np.ones(1, np.float32)
    for weights, share, mean in ((None, 0.75, 9.0), ([[0, 1, 1, 0]], 0.5, 9.0)):
        found = Posterior(samples, score, len, ("log_age", "profile"), weights=weights)
        np.testing.assert_allclose(found.shares("profile"), [[1 - share, share, 0]])
        for numbers in (found.mean, found.percentile(50)):
            np.testing.assert_allclose(numbers, [[mean, np.nan]])
        assert np.isnan(found.std).tolist() == [[False, True]]


def test_the_number_of_threads_changes_no_bit(survey: Survey) -> None:
    # Of a network as it is used; sums of the tiny one are split among threads, which moves 1e-6.
    estimator = Estimator.untrained(survey, encoder="small")
    stamps = np.random.default_rng(2).normal(1, 0.3, (128, 2, 16, 16)).astype(np.float32)
    before, found = torch.get_num_threads(), []
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            posterior = estimator.predict(stamps)
            found.append((posterior.samples, posterior.log_prob(posterior.samples[:, 0])))
            assert torch.get_num_threads() == n
    finally:
        torch.set_num_threads(before)
    for samples, log_prob in found[1:]:
        np.testing.assert_array_equal(samples, found[0][0])
        np.testing.assert_array_equal(log_prob, found[0][1])


def test_more_draws_of_some_stamps_begin_with_the_same(survey: Survey) -> None:
    # Without the stamps: they are encoded once, however often draws are asked for.
    model = Estimator.untrained(survey, encoder="tiny")
    stamps = np.random.default_rng(3).normal(1, 0.3, (70, 2, 16, 16)).astype(np.float32)
    few = model.predict(stamps, n_samples=500, seed=5)
    some = np.array([3, 69])
    for n_samples in (2000, 10_000):
        more = few.again(some, n_samples)
        assert more.samples.shape[:2] == (2, n_samples)
        np.testing.assert_allclose(more.samples[:, :500], few.samples[some], atol=2e-5)
        again = model.predict(stamps[some], n_samples=n_samples, seed=5, rows=some)
        np.testing.assert_array_equal(again.samples, more.samples)
