"""The estimator: transform, encoder and posterior head in one object that is saved and loaded."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from praesepe.errors import InputError, already_exists, unknown
from praesepe.network.encoders import ResNet, fused
from praesepe.network.heads.flow import FlowHead
from praesepe.network.heads.flow_inverse import FlowInverse
from praesepe.network.posterior import Posterior
from praesepe.network.storage import digest, read_model, write_model
from praesepe.network.transform import LabelTransform, StampTransform
from praesepe.quantities import PARAMETER_NAMES, PARAMETERS
from praesepe.survey import Survey, parse_survey

log = logging.getLogger(__name__)

FORMAT = 2
CHUNK = 64
"""Stamps whose posterior draws share one random stream; fixed, so that batches do not matter."""


class ClusterNet(nn.Module):
    """The network proper: stamps in e-/s to the density of the parameters.

    Parameters
    ----------
    survey : Survey
        Bands, input scales and prior.
    preset : str
        Size of encoder and head.
    """

    def __init__(self, survey: Survey, preset: str = "small") -> None:
        super().__init__()
        self.preset = preset
        self.stamps = StampTransform([band.asinh_scale for band in survey.bands])
        self.labels = LabelTransform(survey)
        self.encoder = ResNet(len(survey.bands), preset)
        self.head = FlowHead(self.encoder.features, len(PARAMETERS), preset)
        self.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def for_inference(self) -> ClusterNet:
        """A copy that gives the same features faster; it shares the head and the transforms."""
        net = copy.copy(self)
        net._modules = {**self._modules, "encoder": fused(self.encoder)}
        return net

    def context(self, stamps: Tensor) -> Tensor:
        """Features (n, feature) of stamps (n, band, y, x) in e-/s."""
        x = self.stamps(stamps).contiguous(memory_format=torch.channels_last)
        return self.encoder(x).float()

    def log_prob(self, labels: Tensor, context: Tensor) -> Tensor:
        """Log-density of labels (n, 3) per dex³ given features; shape (n,)."""
        return self.head.log_prob(self.labels(labels), context) - self.labels.log_volume

    def sample(self, context: Tensor, n_samples: int, **settings: Any) -> Tensor:
        """Posterior draws, shape (n, n_samples, 3); see `FlowHead.sample`."""
        return self.labels.inverse(self.head.sample(context, n_samples, **settings))


class Estimator:
    """A trained network with all that is needed to use it.

    Parameters
    ----------
    net : ClusterNet
        The network.
    survey : Survey
        The survey it was trained for.
    metadata : dict
        Name, version and training history.
    """

    def __init__(self, net: ClusterNet, survey: Survey, metadata: dict[str, Any]) -> None:
        self.net = net.eval()
        self.survey = survey
        self.metadata = metadata
        self.surprise_scale: dict[str, Tensor] | None = None

    @property
    def name(self) -> str:
        """Name of the model."""
        return str(self.metadata["name"])

    @property
    def version(self) -> str:
        """Version of the model: a digest of its weights."""
        return str(self.metadata.get("version", "unsaved"))

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.net.labels.mean.device

    @classmethod
    def untrained(
        cls, survey: Survey, *, preset: str = "small", seed: int = 0, name: str = ""
    ) -> Estimator:
        """Make an estimator with random weights.

        Parameters
        ----------
        survey : Survey
        preset : str
            ``"tiny"``, ``"small"`` or ``"paper"``.
        seed : int
            Of the weights.
        name : str, optional
            The survey's name by default.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = ClusterNet(survey, preset)
        return cls(net, survey, {"name": name or survey.name, "preset": preset})

    def to_training(self, device: torch.device) -> Estimator:
        """Move the network to a device and make its weights trainable."""
        self.net.to(device).train()
        return self

    def present_mass_fraction(self, log_age: ArrayLike) -> NDArray[np.floating]:
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
        curve = self.metadata.get("present_mass_fraction")
        if curve is None:
            return np.full(np.shape(log_age), np.nan)
        log_age = np.asarray(log_age, dtype=float)
        return np.asarray(np.interp(log_age, curve["log_age"], curve["fraction"]))

    @torch.inference_mode()
    def predict(
        self,
        stamps: NDArray[Any] | Tensor,
        *,
        n_samples: int = 500,
        seed: int = 0,
        batch_size: int = 256,
        first: int = 0,
        progress: Callable[[int], None] | None = None,
    ) -> Posterior:
        """Infer the posteriors of stamps.

        Parameters
        ----------
        stamps : array_like, shape (n, band, y, x)
            e-/s at the survey's zero points, free of NaN.
        n_samples : int
            Posterior draws per stamp.
        seed : int
            Of the draws. The draws of a stamp depend on its number, not on `batch_size`.
        batch_size : int
            Stamps in memory at once on the device; on a CPU 64 at most, which are faster.
        first : int
            Number of the first stamp, where the stamps are part of a longer list; a multiple
            of 64.
        progress : callable, optional
            Called with the number of stamps done.

        Returns
        -------
        Posterior

        Raises
        ------
        InputError
            Where the shape does not fit the survey or a pixel is not finite.
        """
        if n_samples < 1 or batch_size < 1 or seed < 0:
            raise InputError(
                f"n_samples = {n_samples}, batch_size = {batch_size}, seed = {seed}: the first two "
                "must be at least 1, the seed at least 0"
            )
        x = self._check(stamps)
        net = self.net.for_inference()
        contexts, step = [], min(batch_size, CHUNK) if self.device.type == "cpu" else batch_size
        for start in range(0, len(x), step):
            contexts.append(net.context(x[start : start + step].to(self.device)))
            if progress is not None:
                progress(min(start + step, len(x)))
        context = torch.cat(contexts) if contexts else torch.zeros((0, self.net.encoder.features))
        inverse = FlowInverse(net.head.flow)
        samples = [
            net.sample(part, n_samples, generator=generator, inverse=inverse).cpu()
            for part, generator in _chunks(context, seed, first)
        ]
        drawn = torch.cat(samples) if samples else torch.zeros((0, n_samples, len(PARAMETERS)))

        def log_prob(values: Tensor) -> Tensor:
            return self.net.log_prob(values.to(self.device), context).cpu()

        return Posterior(drawn.numpy(), self.surprise(context), log_prob)

    def _check(self, stamps: NDArray[Any] | Tensor) -> Tensor:
        if isinstance(stamps, Tensor):
            stamps = stamps.detach().float().cpu().numpy()
        # A copy where the array is read-only, reversed or of another byte order.
        x = torch.from_numpy(np.require(stamps, np.float32, ["C", "W"]))
        side = self.survey.stamp_size
        expected = (len(self.survey.bands), side, side)
        if x.ndim != 4 or tuple(x.shape[1:]) != expected:
            raise InputError(
                f"stamps have shape {tuple(x.shape)}; model {self.name!r} takes "
                f"(n, {expected[0]}, {side}, {side}) with the bands "
                f"{', '.join(self.survey.band_names)}"
            )
        bad = ~torch.isfinite(x).flatten(1).all(1)
        if bad.any():
            raise InputError(
                f"{int(bad.sum())} of {len(x)} stamps contain NaN or infinite pixels; fill them "
                "(praesepe.images does) or leave these stamps out"
            )
        return x

    def learn_surprise(self, context: Tensor) -> None:
        """Record where the features of training-like stamps lie.

        Parameters
        ----------
        context : Tensor, shape (n, feature)
            Features of stamps like those of the training. With fewer than ten per feature the
            limit is set on a half that the mean and the covariance have not seen, since
            distances of the stamps that they were fitted to would come out too small. Nothing
            is recorded for fewer than four.
        """
        n, size = context.shape
        if n < 4:
            self.surprise_scale = None
            return
        few = n < 10 * size
        fitted, judged = (context[::2], context[1::2]) if few else (context, context)
        covariance = torch.cov(fitted.T.double())
        ridge = (1e-3 * covariance.diagonal().mean()).clamp_min(1e-12)
        ridge = ridge * torch.eye(size).to(covariance)
        precision = torch.linalg.inv(covariance + ridge).float()
        limit = torch.ones(())
        self.surprise_scale = {"mean": fitted.mean(0), "precision": precision, "limit": limit}
        distance = torch.as_tensor(self.surprise(judged))
        self.surprise_scale["limit"] = torch.quantile(distance, 0.999).clamp_min(1e-6)

    def surprise(self, context: Tensor) -> NDArray[np.float32]:
        """Distance of features (n, feature) from the training's, over its 99.9th percentile."""
        if self.surprise_scale is None:
            return np.full(len(context), np.nan, np.float32)
        scale = {key: value.to(context) for key, value in self.surprise_scale.items()}
        delta = context - scale["mean"]
        square = torch.einsum("ni,ij,nj->n", delta, scale["precision"], delta)
        return (square.clamp_min(0).sqrt() / scale["limit"]).cpu().numpy()

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the model: a folder with ``weights.safetensors`` and ``model.json``.

        Parameters
        ----------
        path : str or Path
            The folder; it appears complete or not at all.
        overwrite : bool
            Whether an existing model may be replaced. A kill at any moment leaves the old model
            or the new one; other files in the folder stay.

        Returns
        -------
        Path
            The folder.
        """
        from safetensors.torch import save

        path = Path(path)
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is a file; a model is a folder, choose another path")
        if path.exists() and not overwrite:
            raise already_exists(path, "folder")
        tensors = {key: value.detach() for key, value in self.net.state_dict().items()}
        tensors |= {f"surprise.{key}": value for key, value in (self.surprise_scale or {}).items()}
        blob = save({key: value.cpu().contiguous() for key, value in tensors.items()})
        self.metadata["version"] = digest(blob)
        content = {
            "format": FORMAT,
            **self.metadata,
            "parameters": PARAMETER_NAMES,
            "survey": self.survey.model_dump(mode="json"),
        }
        write_model(path, blob, content)
        return path

    @classmethod
    def load(
        cls, source: str | Path | Estimator, *, device: str | torch.device = "cpu"
    ) -> Estimator:
        """Load a model by the name it ships under, or from its folder.

        Parameters
        ----------
        source : str, Path or Estimator
            ``"phat"``, or a folder that `save` or ``praesepe train`` wrote.
        device : str or torch.device
            Where the network shall run.

        Returns
        -------
        Estimator

        Raises
        ------
        InputError
            Where there is no such model or the folder does not hold one.
        """
        if isinstance(source, Estimator):
            return source
        content, blob = read_model(_find(source))
        return cls._from_content(content, blob, str(source), torch.device(device))

    @classmethod
    def _from_content(
        cls, content: dict[str, Any], blob: bytes, source: str, device: torch.device
    ) -> Estimator:
        from safetensors import SafetensorError
        from safetensors.torch import load

        if not {"format", "survey", "preset", "name"} <= content.keys():
            raise InputError(
                f"{source} is not a Praesepe model: its model.json lacks the usual entries"
            )
        if content["format"] != FORMAT:
            raise InputError(
                f"{source} is of model format {content['format']}, this version reads {FORMAT}; "
                "use the version of Praesepe that wrote it"
            )
        if content.pop("parameters", list(PARAMETER_NAMES)) != list(PARAMETER_NAMES):
            raise InputError(f"{source} infers other parameters than {', '.join(PARAMETER_NAMES)}")
        survey = parse_survey(content.pop("survey"), source=f"{source}/model.json")
        estimator = cls(ClusterNet(survey, str(content["preset"])), survey, content)
        try:
            tensors = load(blob)
            # Weights may be stored in half precision; the network computes in single.
            tensors = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
            keys = [key for key in tensors if key.startswith("surprise.")]
            surprise = {key.removeprefix("surprise."): tensors.pop(key) for key in keys}
            estimator.net.load_state_dict(tensors)
        except SafetensorError as error:
            raise InputError(
                f"the weights of {source} are damaged: {error}; copy or train the model again"
            ) from error
        except RuntimeError as error:
            log.debug("%s: %s", source, error)
            raise InputError(
                f"the weights of {source} are of another network than its model.json describes "
                f"(preset {content['preset']!r}, {len(survey.bands)} bands); copy both files of "
                "the model again"
            ) from error
        estimator.surprise_scale = surprise or None
        estimator.net.to(device).eval()
        return estimator


def model_names() -> tuple[str, ...]:
    """Names of the models that come with the package."""
    folder = resources.files("praesepe") / "data" / "weights"
    if not folder.is_dir():
        return ()
    return tuple(sorted(p.name for p in folder.iterdir() if (p / "model.json").is_file()))


def _find(source: str | Path) -> Path:
    path = Path(source)
    if str(source) in model_names():
        return Path(str(resources.files("praesepe") / "data" / "weights" / str(source)))
    if path.is_dir():
        return path
    if path.exists():
        raise InputError(f"{path} is a file, not a Praesepe model (a folder with model.json)")
    advice = "Or give the folder that `praesepe train` wrote."
    raise unknown("model", str(source), model_names(), advice)


def _chunks(context: Tensor, seed: int, first: int) -> Iterator[tuple[Tensor, torch.Generator]]:
    """Pieces of the context, each with the random stream that belongs to its place."""
    if first % CHUNK:
        raise InputError(f"first = {first} is not a multiple of {CHUNK}")
    for start in range(0, len(context), CHUNK):
        stream = np.random.SeedSequence((seed, (first + start) // CHUNK))
        state = stream.generate_state(1, np.uint64)
        yield context[start : start + CHUNK], torch.Generator().manual_seed(int(state[0] >> 1))
