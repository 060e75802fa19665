"""The estimator: a network with all that is needed to use it, saved and loaded as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from itertools import compress
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from praesepe import quantities
from praesepe.arrays import rates
from praesepe.device import usable_device
from praesepe.errors import (
    InputError,
    already_exists,
    check_number,
    check_type,
    must_be,
    unknown,
    unusable,
)
from praesepe.files import as_path, refuse_file
from praesepe.network.conditions import as_tensor, standard_ranges
from praesepe.network.critic import Critic, judges_of, prefixed
from praesepe.network.domain import FeatureDomain
from praesepe.network.encoded import Encoded
from praesepe.network.heads.registry import head_settings
from praesepe.network.net import ClusterNet
from praesepe.network.noise import MOST_DRAWS, row_numbers
from praesepe.network.posterior import Posterior
from praesepe.network.schema import ModelCard, OutOfDomain, digest, make_card, parse_card
from praesepe.network.storage import check_finite, read_model, write_model
from praesepe.network.transform import prior_ranges
from praesepe.rng import check_seed
from praesepe.stars.store import key_of
from praesepe.survey import Survey, parse_survey
from praesepe.survey.moved import with_moved_files

INCLUDED = Path(str(resources.files("praesepe"))) / "data" / "weights"


class Estimator:
    """A trained network with all that is needed to use it.

    Parameters
    ----------
    card : ModelCard
        What ``model.json`` says: name, quantities, conditions, encoder, head, history.
    survey : Survey
        The survey it was trained for.
    net : ClusterNet
        The network.

    Attributes
    ----------
    domain : FeatureDomain or None
        Where the features of the training's stamps lie; None before it is learnt or loaded.
    critic : Critic or None
        What tells faulty stamps; None before it is learnt or loaded.
    """

    def __init__(self, card: ModelCard, survey: Survey, net: ClusterNet) -> None:
        self.card = card
        self.survey = survey
        self.net = net.eval()
        self.domain: FeatureDomain | None = None
        self.critic: Critic | None = None

    def __repr__(self) -> str:
        size = self.survey.stamp_size
        return (
            f"<Estimator {self.name!r} {self.version}: {', '.join(self.infers)} from stamps of "
            f"{size} × {size} px in {', '.join(self.survey.band_names)}; encoder "
            f"{self.card.encoder.name!r}, head {self.card.head.name!r}, on {self.device}>"
        )

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.card.name

    @property
    def version(self) -> str:
        """Version of the model: a digest of its weights; ``"unsaved"`` before they are saved."""
        return self.card.version or "unsaved"

    @property
    def survey_fingerprint(self) -> str:
        """That of the survey as trained, whatever has become of its files; else today's."""
        recorded = self.card.runs[-1].survey_fingerprint if self.card.runs else ""
        return recorded or self.survey.fingerprint()

    @property
    def infers(self) -> tuple[str, ...]:
        """Names of the quantities it infers, in the order of the posterior's last axis."""
        return self.card.infers

    @property
    def leading(self) -> str | None:
        """Name of the quantity that answers can be conditioned on; see `predict`."""
        place = self.net.head.leading
        return None if place is None else self.infers[place]

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.net.labels.mean.device

    @property
    def training_seeds(self) -> frozenset[int]:
        """Seeds of all runs that made it: what was simulated with them, it has seen."""
        return frozenset(run.seed for run in self.card.runs)

    @classmethod
    def untrained(
        cls,
        survey: Survey,
        *,
        encoder: str = "small",
        head: str = "flow",
        head_options: Mapping[str, Any] | None = None,
        infers: Sequence[str] | None = None,
        conditions: Mapping[str, tuple[float, float]] | Sequence[str] | None = None,
        background: Literal["removed", "kept"] = "removed",
        seed: int = 0,
        name: str = "",
    ) -> Estimator:
        """Make an estimator with random weights.

        Parameters
        ----------
        survey : Survey
        encoder : str
            ``"tiny"``, ``"small"`` or ``"paper"``.
        head : str
            ``"flow"`` or ``"grid"``.
        head_options : mapping, optional
            Settings of that head; by default those that suit the encoder.
        infers : sequence of str, optional
            Names of registered quantities; the survey's by default.
        conditions : mapping of str to (float, float), or sequence of str, optional
            What the network is told beside the stamp, and the range of it; the survey's by default.
        background : str
            ``"removed"``: a constant added to a band changes nothing; ``"kept"``.
        seed : int
            Of the weights.
        name : str, optional
            The survey's name by default.

        Raises
        ------
        InputError
            Where an encoder, head, quantity or condition is not known, the head cannot infer it,
            or the survey does not let it vary.
        """
        infers = survey.network.infers if infers is None else infers
        conditions = survey.network.conditions if conditions is None else conditions
        infers = tuple(quantities.get(quantity).name for quantity in infers)
        ranges = conditions if isinstance(conditions, Mapping) else standard_ranges(conditions)
        card = make_card(
            name=name or survey.name,
            infers=infers,
            conditions=[{"name": n, "low": low, "high": high} for n, (low, high) in ranges.items()],
            bands=[
                {
                    **{key: getattr(band, key) for key in ("name", "filter", "instrument")},
                    "channel": band.channel or "",
                }
                for band in survey.bands
            ],
            background=background,
            scaling=survey.network.scaling,
            encoder={"name": encoder},
            head={"name": head, "settings": head_settings(head, encoder, infers, head_options)},
            priors=prior_ranges(survey, infers),
            survey=survey.model_dump(mode="json"),
            hashes={"absent_because": "not trained yet"},
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(check_seed(seed))
            net = _make_net(card, survey)
        return cls(card, survey, net)

    def describe(self, **changes: Any) -> Self:
        """Change entries of the card, for instance ``name``; they are checked."""
        self.card = make_card(**{**self.card.model_dump(), **changes})
        return self

    def to(self, device: str | torch.device) -> Self:
        """Move the network to a device, and return this estimator."""
        for module in filter(None, (self.net, self.critic)):
            module.to(usable_device(device))
        return self

    def present_mass_fraction(self, log_age: ArrayLike) -> NDArray[np.float64]:
        """Present-day mass (living stars and remnants) per unit of initial mass.

        Parameters
        ----------
        log_age : array_like
            log10 of the age in years.

        Returns
        -------
        ndarray
            Same shape; NaN where the model does not carry the curve.
        """
        curve = self.card.present_mass
        log_age = np.asarray(log_age, dtype=float)
        if curve is None:
            return np.full(log_age.shape, np.nan)
        return np.asarray(np.interp(log_age, curve.log_age, curve.fraction))

    @torch.inference_mode()
    def predict(
        self,
        stamps: NDArray[Any] | Tensor,
        *,
        conditions: Mapping[str, ArrayLike] | Tensor | None = None,
        known: tuple[ArrayLike, ArrayLike] | None = None,
        n_samples: int = 500,
        seed: int = 0,
        rows: ArrayLike | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Posterior:
        """Infer the posteriors of stamps.

        Parameters
        ----------
        stamps : array_like, shape (n, band, y, x)
            e-/s at the survey's zero points, free of NaN.
        conditions : mapping of str to array_like, optional
            What the model is told beside the stamps, each of shape (n, band) or (n,), or one
            value; what may be unknown can be left out or NaN. Or a tensor (n, value), in the
            order of the card.
        known : (array_like, array_like), optional
            Value and standard error of the `leading` quantity, each of shape (n,) or one number:
            the posteriors are those given that it was measured so. NaN: not known; an error of 0:
            certain.
        n_samples : int
            Posterior draws per stamp.
        seed : int
            Of the draws.
        rows : array_like of int, shape (n,), optional
            Numbers of the stamps, by default 0 to n - 1. The answer for a stamp depends on the
            stamp, the seed and this number, to the last bit, whatever else is asked with it.
        progress : callable, optional
            Called with the number of stamps done.

        Returns
        -------
        Posterior

        Raises
        ------
        InputError
            Where the shape does not fit the survey, a pixel is not finite or masked, the
            conditions are not those of the model, or it has no leading quantity.
        """
        seed, n_samples = check_seed(seed), check_number("n_samples", n_samples, 1, MOST_DRAWS)
        x = self._check(stamps)
        numbers = row_numbers(rows, len(x))
        sizes = {} if self.net.conditions is None else self.net.conditions.sizes
        ranges = {entry.name: (entry.low, entry.high) for entry in self.card.conditions}
        told = (
            conditions.float().cpu()
            if isinstance(conditions, Tensor)
            else as_tensor(conditions, sizes, len(x), ranges=ranges, model=self.name)
        )
        self._check_channels(told)
        leads = None if known is None else self._standardised(known, len(x))
        encoded = Encoded.of(self, x, told, leads, numbers=numbers, seed=seed, progress=progress)
        return encoded.posterior(n_samples)

    def _check_channels(self, told: Tensor | None) -> None:
        """Stop where a stamp is said to have two bands of one channel."""
        if self.net.channel_of is None or self.net.conditions is None or told is None:
            return
        present = self.net.conditions.present(told)
        for there in () if present is None else present.flatten(1).unique(dim=0).bool().tolist():
            self.survey.refuse_alternatives(compress(self.survey.band_names, there))

    def _standardised(self, known: tuple[ArrayLike, ArrayLike], n: int) -> Tensor:
        """Value and error of the leading quantity in the head's variable, (n, 2)."""
        place = self.net.head.leading
        if place is None:
            raise InputError(
                f"model {self.name!r} has no quantity that its answers can be conditioned on",
                given=known,
                remedy="weight its draws",
            )
        try:
            value, error = (np.broadcast_to(np.asarray(of, np.float32), n) for of in known)
        except (TypeError, ValueError) as wrong:
            raise must_be("known", known, f"value and error, one number or {n}") from wrong
        if (error < 0).any():
            raise must_be("error of what is known", float(np.nanmin(error)), "at least 0")
        labels = self.net.labels
        mean, std = labels.mean[place].item(), labels.std[place].item()
        return torch.from_numpy(np.stack(((value - mean) / std, error / std), 1))

    def _check(self, stamps: NDArray[Any] | Tensor) -> Tensor:
        if isinstance(stamps, Tensor):
            real = stamps.float() if stamps.is_floating_point() else stamps
            stamps = real.detach().cpu().numpy()
        # A copy where the array is read-only, reversed or of another byte order.
        x = torch.from_numpy(np.require(rates(stamps, "stamps"), np.float32, ["C", "W"]))
        side = self.survey.stamp_size
        expected = (len(self.survey.bands), side, side)
        if x.ndim != 4 or tuple(x.shape[1:]) != expected:
            raise InputError(
                f"stamps have shape {tuple(x.shape)}; model {self.name!r} takes "
                f"(n, {expected[0]}, {side}, {side}) with the bands "
                f"{', '.join(self.survey.band_names)}",
                given=tuple(x.shape),
                allowed=("n", *expected),
            )
        bad = ~torch.isfinite(x).flatten(1).all(1)
        if bad.any():
            raise InputError(
                f"{int(bad.sum())} of {len(x)} stamps contain NaN, infinite or masked pixels",
                given=bad.nonzero().flatten().tolist(),
                remedy="fill them (praesepe.images does) or leave these stamps out",
            )
        return x

    def learn_domain(self, context: Tensor) -> None:
        """Record where the features (n, feature) of training-like stamps lie."""
        self.domain = FeatureDomain.learn(context)
        self.describe(out_of_domain=None if self.domain is None else OutOfDomain())

    def save(self, path: str | Path, *, overwrite: bool = False, float16: bool = False) -> Path:
        """Write the model: a folder with ``weights.safetensors`` and ``model.json``.

        Parameters
        ----------
        path : str or Path
            The folder; it appears complete or not at all.
        overwrite : bool
            Whether an existing model may be replaced. A kill at any moment leaves the old model
            or the new one; other files in the folder stay.
        float16 : bool
            Store the weights in half precision, the statistics of the normalisations in
            single. The weights in memory are rounded too, so that they are those of the file.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        InputError
            Where the folder exists and may not be replaced, or a weight is not finite or too large
            for float16.
        """
        from safetensors.torch import save

        path = as_path(path)
        refuse_file(path)
        if path.exists() and not overwrite:
            raise already_exists(path, "folder")
        tensors = {key: value.detach().cpu() for key, value in self.net.state_dict().items()}
        check_finite(tensors, f"model {self.name!r}", "train it again, with a lower learning rate")
        if float16:
            for key, _ in self.net.named_parameters():
                tensors[key] = tensors[key].half()
                if not tensors[key].isfinite().all():
                    raise InputError(
                        f"{key} holds weights too large for float16",
                        given=key,
                        remedy="save in single precision",
                        code="save(path, float16=False)",
                    )
        if self.domain is not None and self.card.out_of_domain is not None:
            tensors |= prefixed(self.card.out_of_domain.tensors, vars(self.domain))
        blob = save({key: value.contiguous() for key, value in tensors.items()})
        version = digest(blob)  # of what answers, not of what judges
        if self.critic is not None and self.card.critic is not None:
            critic = prefixed(self.card.critic.tensors, self.critic.state_dict())
            blob = save({key: value.contiguous() for key, value in (tensors | critic).items()})
        if float16:  # the memory agrees with the file, whose version it has from now on
            with torch.no_grad():
                for key, weight in self.net.named_parameters():
                    weight.copy_(tensors[key])
        stored = "float16" if float16 else "float32"
        self.describe(version=version, weights=stored, checksum="")
        write_model(path, blob, self.card.model_dump(mode="json", exclude={"checksum"}))
        return path

    @classmethod
    def load(
        cls, source: str | Path | Estimator, *, device: str | torch.device | None = None
    ) -> Estimator:
        """Load a model by the name it ships under, or from its folder.

        Parameters
        ----------
        source : str, Path or Estimator
            ``"phat"``, or a folder that `save` or ``praesepe train`` wrote.
        device : str or torch.device, optional
            Where the network shall run: the CPU by default. An estimator that is given stays
            where it is; another device is refused.

        Returns
        -------
        Estimator

        Raises
        ------
        InputError
            Where there is no such model, or the estimator that is given is on another device.
        """
        if isinstance(source, Estimator):
            wanted, found = usable_device(device or source.device), source.device
            if wanted.type != found.type or wanted.index not in (None, found.index):
                raise InputError(
                    f"device {str(device)!r}, but the model that was given is on {str(found)!r}",
                    given=str(device),
                    allowed=str(found),
                    remedy="move it there before",
                    code=f"model.to({str(device)!r})",
                )
            return source
        where = usable_device(device or "cpu")
        folder = _find(source)
        estimator = cls._from_content(*read_model(folder), str(source)).to(where)
        hashes = estimator.card.hashes.model_dump()
        estimator.survey = with_moved_files(estimator.survey, hashes, folder, isochrone_key=key_of)
        return estimator

    @classmethod
    def _from_content(cls, content: dict[str, Any], blob: bytes, source: str) -> Estimator:
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            # Weights may be stored in half precision; the network computes in single.
            tensors = {k: v.float() if v.is_floating_point() else v for k, v in load(blob).items()}
        except SafetensorError as error:
            fault = f"has damaged weights: {error}"
            raise unusable(source, fault, "copy or train the model again") from error
        check_finite(tensors, source)
        card = parse_card(content, source=source)
        survey = parse_survey(card.survey, source=f"{source}/model.json")
        estimator = cls(card, survey, _make_net(card, survey))
        estimator.domain, estimator.critic = judges_of(card, tensors, estimator.net, survey, source)
        try:
            estimator.net.load_state_dict(tensors)
        except RuntimeError as error:
            raise InputError(
                f"the weights of {source} are of another network than its model.json describes "
                f"(encoder {card.encoder.name!r}, {len(survey.bands)} bands)",
                given=source,
                remedy="copy both files of the model again",
            ) from error
        return estimator


def _make_net(card: ModelCard, survey: Survey) -> ClusterNet:
    return ClusterNet(card, [band.asinh_scale for band in survey.bands])


def model_names() -> tuple[str, ...]:
    """Names of the models that come with the package.

    Returns
    -------
    tuple of str
        In alphabetical order.
    """
    return tuple(sorted(file.parent.name for file in INCLUDED.glob("*/model.json")))


def _find(source: str | Path) -> Path:
    path = Path(check_type("model", source, (str, Path), ("a name", "a folder", "an Estimator")))
    if str(source) in model_names():
        return INCLUDED / source
    if path.is_dir():
        return path
    if path.exists():
        fault = "is a file, not a Praesepe model"
        raise unusable(path, fault, "give the folder with model.json")
    advice = "Or give the folder that `praesepe train` wrote."
    raise unknown("model", str(source), model_names(), advice)
