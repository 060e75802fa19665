"""A survey: an observation of a galaxy, the clusters to expect in it, and the network for them."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from praesepe.errors import InputError, listed, unknown
from praesepe.quantities import CONTAMINANT, OBJECT_CLASS, Quantity
from praesepe.survey.bands import Band
from praesepe.survey.clusters import ClusterPrior, range_of
from praesepe.survey.contaminants import Contaminants
from praesepe.survey.contents import checksum, with_files
from praesepe.survey.evaluation import EvaluationSettings
from praesepe.survey.galaxy import Galaxy
from praesepe.survey.network import NetworkSettings
from praesepe.survey.observation import Observation
from praesepe.survey.problems import not_valid
from praesepe.survey.settings import Range, SurveySettings, as_range, middle, typical

ARCSEC = math.radians(1 / 3600)
"""rad"""


class Survey(SurveySettings):
    """A telescope and its bands, a galaxy, the priors of the clusters in it, and a network.

    Attributes
    ----------
    observation : Observation
        Telescope, bands with their PSF and depth, and what differs from image to image.
    galaxy : Galaxy
        Distance, tides and star field.
    clusters : ClusterPrior
        What the clusters are drawn from, and their stars.
    contaminants : Contaminants
        What other stamps hold in place of a cluster.
    network : NetworkSettings
        Size of the stamps, and what is inferred from them.
    evaluation : EvaluationSettings
        Bins that models are judged in.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    description: str = ""
    observation: Observation
    galaxy: Galaxy
    clusters: ClusterPrior = ClusterPrior()
    contaminants: Contaminants = Contaminants()
    network: NetworkSettings = NetworkSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    def __repr__(self) -> str:
        low, high = (f"{value / 1e3:.4g}" for value in self.distance_range_pc)
        return (
            f"<Survey {self.name!r}: {', '.join(self.band_names)}; {self.stamp_size} px stamps of "
            f"{self.pixel_scale_arcsec:g} arcsec pixels, "
            f"{low if low == high else f'{low} to {high}'} kpc; infers "
            f"{', '.join(self.network.infers)}>"
        )

    __str__ = __repr__

    @model_validator(mode="after")
    def _clusters_fit_the_stamp(self) -> Self:
        size = self.stamp_size
        half = 0.5 * size * self.pixel_scale_arcsec
        if self.rh_arcsec[1] > half * (1 + 1e-9):
            name, unit = "rh_arcsec", 1.0
            if self.clusters.rh_pc is not None:
                name, unit = "rh_pc", self.distance_range_pc[0] * ARCSEC
            raise ValueError(
                f"clusters.{name} = {list(getattr(self.clusters, name))}: the largest radius may "
                f"be half a stamp, {half * unit:.4g} {name.removeprefix('rh_')} ({size} px of "
                f"{self.pixel_scale_arcsec:g} arcsec); make the stamps larger or the radii smaller"
            )
        if self.clusters.center_shift_px > size / 4:
            raise ValueError(
                f"clusters.center_shift_px = {self.clusters.center_shift_px:g}: it may be a "
                f"quarter of a stamp, 0 to {size / 4:g} px"
            )
        return self

    @model_validator(mode="after")
    def _classes_are_several(self) -> Self:
        classes = {CONTAMINANT.name, OBJECT_CLASS.name} & set(self.network.infers)
        if classes and self.contaminants.fraction == 0:
            raise ValueError(
                f"network.infers has {', '.join(sorted(classes))}, but contaminants.fraction = 0: "
                "every stamp has a cluster in its middle; give a fraction, such as 0.3"
            )
        return self

    @model_validator(mode="after")
    def _off_center_is_not_in_the_middle(self) -> Self:
        shift, nearest = self.clusters.center_shift_px, self.contaminants.off_center_px[0]
        if self.contaminants.fraction > 0 and nearest < math.sqrt(2) * shift:
            raise ValueError(
                f"contaminants.off_center_px begins at {nearest:g} px, but clusters lie up to "
                f"{math.sqrt(2) * shift:.3g} px from the middle (clusters.center_shift_px in x and "
                "y); let it begin farther out"
            )
        return self

    @model_validator(mode="after")
    def _real_fields_are_of_one_kind(self) -> Self:
        if self.galaxy.field.files is not None and (
            self.varies_in_distance or self.varies_in_depth
        ):
            raise ValueError(
                "galaxy.field.files: real star fields have one distance and one depth; give "
                "distance_pc and exposure_s one value each, or leave the files out"
            )
        return self

    @model_validator(mode="after")
    def _channels_are_of_several_cameras(self) -> Self:
        for channel, bands in self.channels.items():
            if (other := {b.name: b for b in self.bands}.get(channel)) and other not in bands:
                raise ValueError(f"channel = {channel!r} of {bands[0].name}: a band is called so")
            names = [band.name for band in bands]
            cameras = [band.instrument for band in bands]
            if len(bands) == 1:
                continue
            if "" in cameras or len({*cameras}) < len(cameras):
                raise ValueError(
                    f"bands {names} of channel {channel!r} have the instruments {cameras}: an "
                    "image's camera tells which of them it is; give each another instrument"
                )
            if "present" not in self.network.conditions:
                raise ValueError(
                    f"an image has one of the bands {names} of channel {channel!r}: the network "
                    'must be told which; add "present" to network.conditions'
                )
        return self

    @property
    def channels(self) -> dict[str, tuple[Band, ...]]:
        """Bands of every input of the network, of which an image has one; by the input's name."""
        found: dict[str, tuple[Band, ...]] = {}
        for band in self.bands:
            name = band.channel or band.name
            found[name] = (*found.get(name, ()), band)
        return found

    @property
    def has_alternatives(self) -> bool:
        """Whether a channel has several bands."""
        return len(self.channels) < len(self.bands)

    def called(self, name: str) -> tuple[Band, ...]:
        """Bands that a name may mean: the band, or those of the channel; () where it is none."""
        own = tuple(band for band in self.bands if band.name == name)
        return own or self.channels.get(name, ())

    def name_of(self, name: str) -> str:
        """Name of the only band that a name may mean; else the name itself."""
        bands = self.called(name)
        return bands[0].name if len(bands) == 1 else name

    def refuse_alternatives(self, names: Iterable[str]) -> None:
        """Raise `InputError` where two of some bands are of one channel."""
        names = tuple(names)
        for channel, bands in self.channels.items():
            both = [band.name for band in bands if band.name in names]
            if len(both) > 1:
                raise InputError(
                    f"bands {listed(both)} are of one channel, {channel!r}: an image has one of "
                    "them",
                    given=names,
                    allowed=both,
                    remedy="give one of them",
                )

    @property
    def telescope(self) -> str:
        """Name of the telescope."""
        return self.observation.telescope

    @property
    def pixel_scale_arcsec(self) -> float:
        """Pixel of the mosaics, arcsec."""
        return self.observation.pixel_scale_arcsec

    @property
    def stamp_size(self) -> int:
        """Side of a stamp in pixels."""
        return self.network.stamp_size

    @property
    def bands(self) -> tuple[Band, ...]:
        """The bands, in the order of the stamps' channels."""
        return self.observation.bands

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands, in the order of the stamps' channels."""
        return tuple(band.name for band in self.bands)

    @property
    def distance_pc(self) -> float:
        """Distance of the galaxy, or the geometric mean of its range, pc."""
        return typical(self.galaxy.distance_pc)

    @property
    def distance_range_pc(self) -> Range:
        """Smallest and largest distance, pc."""
        return as_range(self.galaxy.distance_pc)

    @property
    def pc_per_arcsec(self) -> float:
        """Length at the (typical) distance that one arcsec spans, pc."""
        return self.distance_pc * ARCSEC

    @property
    def distance_modulus(self) -> float:
        """Distance modulus, mag."""
        return 5 * math.log10(self.distance_pc / 10)

    @property
    def rh_arcsec(self) -> Range:
        """Smallest and largest half-light radius of the clusters, arcsec, however it is given."""
        if self.clusters.rh_pc is not None:
            (low, high), (near, far) = self.clusters.rh_pc, self.distance_range_pc
            return low / (far * ARCSEC), high / (near * ARCSEC)
        assert self.clusters.rh_arcsec is not None
        return self.clusters.rh_arcsec

    def drawn_range(self, quantity: Quantity) -> Range:
        """Lowest and highest value of a quantity in the clusters' prior.

        Parameters
        ----------
        quantity : Quantity
            One with a `prior`.

        Returns
        -------
        tuple of float
            In the quantity's own values: of a logarithmic one its log10, of a categorical one the
            numbers of the first and the last category that are drawn.

        Raises
        ------
        InputError
            Where the survey gives no such prior.
        """
        key = quantity.prior
        prior = self.rh_arcsec if key == "rh_arcsec" else getattr(self.clusters, key, None)
        if prior is None:
            ends = ", ".join(map(repr, quantity.categories)) or "low, high"
            raise InputError(
                f"survey {self.name!r} does not say what {quantity.name!r} is drawn from",
                given=quantity.name,
                remedy=f"give it {key} = [{ends}] in its clusters" if key else "",
            )
        return range_of(quantity, prior)

    def band(self, name: str) -> Band:
        """Return the band called `name`, or the only one of the channel; else `InputError`."""
        bands = self.called(name)
        if len(bands) > 1:
            raise InputError(
                f"{name!r} may be {listed(band.name for band in bands)}",
                given=name,
                allowed=tuple(band.name for band in bands),
                remedy="name one of them",
            )
        if not bands:
            raise unknown("band", name, self.band_names, "Train a model for it or drop it.")
        return bands[0]

    def fixed(self) -> Survey:
        """Return the survey of one image: ranges of distance, exposure and foreground have ended.

        Their typical values are taken, of the foreground extinction the middle.
        """
        foreground = self.galaxy.foreground_a_v
        varies = self.varies_in_distance or self.varies_in_depth or isinstance(foreground, tuple)
        if not varies:
            return self
        bands = tuple(
            band.model_copy(update={"exposure_s": band.typical_exposure_s}) for band in self.bands
        )
        return self.with_values(
            observation={"bands": bands},
            galaxy={"distance_pc": self.distance_pc, "foreground_a_v": middle(foreground)},
        )

    @property
    def varies_in_depth(self) -> bool:
        """Whether the exposure of a band differs from stamp to stamp."""
        return any(isinstance(band.exposure_s, tuple) for band in self.bands)

    @property
    def varies_in_distance(self) -> bool:
        """Whether the distance differs from stamp to stamp."""
        return isinstance(self.galaxy.distance_pc, tuple)

    @classmethod
    def checked(cls, content: Any, wrong: str) -> Survey:
        """Check nested dictionaries; `InputError` begins with `wrong` and names each mistake."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise not_valid(error, cls, wrong) from error

    def with_values(self, **tables: Any) -> Survey:
        """Return a survey that differs in some values.

        Parameters
        ----------
        **tables
            By the names of the survey's own fields. A mapping changes the keys that it has, and
            those of tables inside it likewise; any other value takes the old one's place.

        Returns
        -------
        Survey

        Raises
        ------
        InputError
            For an unknown key or an impossible value.

        Examples
        --------
        >>> from praesepe import load_survey
        >>> near = load_survey("phat").with_values(galaxy={"distance_pc": 7e5})
        >>> near.distance_pc
        700000.0
        """
        merged = _merged(self.model_dump(), tables)
        return self.checked(merged, f"not a survey like {self.name!r}")

    def fingerprint(self) -> str:
        """SHA-256 of `identity`: surveys of equal stamps have equal fingerprints."""
        return hashlib.sha256(json.dumps(self.identity(), sort_keys=True).encode()).hexdigest()

    def identity(self) -> dict[str, Any]:
        """What makes its stamps: observation, galaxy, clusters, contaminants, size; no words.

        Only what differs from the defaults, so that a new key whose default is the old behaviour
        changes nothing. Files count by what they hold, wherever they lie and whatever they are
        called (`praesepe.survey.contents`), isochrones by name alone: what they hold is in
        `praesepe.sky.contents`.
        """
        parts = {"observation", "galaxy", "clusters", "contaminants"}
        content = self.model_dump(mode="json", exclude_defaults=True, include=parts)
        content = with_files(content, checksum) | {"stamp_size": self.stamp_size}
        for band in content["observation"]["bands"]:
            if "curve" in band:
                band["filter"] = band.pop("curve")["file"]
        names = [Path(name).name for name in self.clusters.stars.models]
        content.setdefault("clusters", {}).setdefault("stars", {})["isochrones"] = names
        return dict(content)

    def to_toml(self) -> str:
        """Write the survey as TOML that `load_survey` reads back to an equal survey."""
        return toml_text(self.model_dump(mode="json", exclude_none=True))


def toml_text(content: dict[str, Any]) -> str:
    """TOML of nested dictionaries; plain lists, such as ranges, stand on one line."""
    import tomli_w

    def on_one_line(found: re.Match[str]) -> str:
        items = (item.strip().removesuffix(",") for item in found[1].split("\n"))
        return f"[{', '.join(items)}]"

    return re.sub(r"\[\n([^\[\]{}]*?)\n\s*\]", on_one_line, tomli_w.dumps(content))


def _merged(old: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dictionaries with some values changed."""
    merged = dict(old)
    for key, value in new.items():
        before = old.get(key)
        if isinstance(before, dict) and isinstance(value, Mapping):
            merged[key] = _merged(before, value)
        else:
            merged[key] = value
    return merged
