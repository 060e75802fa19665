"""The quantities Praesepe knows, each described once.

Everything that names a quantity asks here: the parameters that clusters are drawn with, tables of
truth, limits of given values, catalog columns, labels of figures, and the columns of a posterior.
Which quantities a model infers, and which it is told, stands in the model.

A new quantity is one entry: `register(Quantity(...))`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from praesepe.errors import InputError, must_be, unknown, unusable

Values = NDArray[np.float64]


class Context(Protocol):
    """What a derived quantity may need beside the quantities that it derives from."""

    @property
    def pc_per_arcsec(self) -> float | Values:
        """Length at the galaxy's distance, or at each value's, that one arcsec spans, pc."""
        ...

    @property
    def r_v(self) -> float | Values:
        """A_V / E(B-V) of the dust inside the galaxy."""
        ...

    def present_mass_fraction(self, log_age: ArrayLike) -> Values:
        """Present-day mass per unit of initial mass; NaN where it is not known."""
        ...


Derivation = Callable[[Mapping[str, Values], Context], Values]


@dataclass(frozen=True)
class Quantity:
    """A physical quantity: how it is called, written, limited and derived.

    Parameters
    ----------
    name : str
        Name in code, in models, and of the column in tables.
    symbol : str
        In matplotlib's mathtext; of a logarithmic quantity, without its logarithm.
    unit : str
        Of the values, as written in tables: ``"mag"``; empty: none. ``"dex(yr)"`` and ``"dex"``
        are those of a logarithm to base 10.
    description : str
        One line for table headers and documentation.
    linear : str
        Of a logarithmic quantity, the name of what it is the logarithm of, as catalogs have it:
        ``"rh_arcsec"`` for ``"log_rh"``.
    limits : tuple of float
        Lowest and highest value that clusters can be made with at all; both allowed.
    physical : tuple of float
        Beyond these there are no clusters, so that a prior that ends there cuts nothing off.
    prior : str
        Key of a survey's ``clusters`` that says what it is drawn from; empty: it is not drawn.
    categories : tuple of str
        Names of the values of a categorical quantity, which are 0, 1, …; empty: it is continuous.
    profile : str
        The only profile whose clusters have it, a category of ``profile``; empty: all have it.
    sources : tuple of str
        Quantities that it derives from; empty: it does not.
    derive : callable, optional
        Values from a mapping of the sources' values and a `Context`.
    decimals : int
        In catalogs.
    word : str
        What it is called in a sentence and in the head of a table: ``"age"``; default: `name`.
    bins : int
        Into how many a head of bins divides the prior of a continuous quantity.
    """

    name: str
    symbol: str
    unit: str
    description: str
    linear: str = ""
    limits: tuple[float, float] = (-np.inf, np.inf)
    physical: tuple[float, float] = (-np.inf, np.inf)
    prior: str = ""
    categories: tuple[str, ...] = ()
    profile: str = ""
    sources: tuple[str, ...] = ()
    derive: Derivation | None = None
    decimals: int = 4
    word: str = ""
    bins: int = 20

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise must_be("a quantity's name", self.name, "usable in code, as 'log_age' is")
        if bool(self.sources) != (self.derive is not None):
            given = (self.sources, self.derive)
            raise must_be(f"sources, derive of {self.name!r}", given, "both given or neither")
        if not self.word:
            object.__setattr__(self, "word", self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle a registered quantity by its name, since its `derive` may be a lambda."""
        if _REGISTRY.get(self.name) is self:
            return get, (self.name,)
        return Quantity, tuple(getattr(self, one.name) for one in fields(self))

    @property
    def is_categorical(self) -> bool:
        """Whether its values are categories."""
        return bool(self.categories)

    @property
    def logarithmic(self) -> bool:
        """Whether its values are log10 of something."""
        return self.unit.startswith("dex")

    @property
    def linear_unit(self) -> str:
        """Unit of the number itself, of which a logarithmic quantity is the logarithm."""
        return self.unit.removeprefix("dex").strip("()") if self.logarithmic else self.unit

    @property
    def residual_unit(self) -> str:
        """Unit of a difference of two values: ``dex`` of a logarithmic quantity."""
        return "dex" if self.logarithmic else self.unit

    @property
    def label(self) -> str:
        """Short label, for a figure's legend."""
        return rf"$\log_{{10}}\,{self.symbol}$" if self.logarithmic else rf"${self.symbol}$"

    @property
    def axis_label(self) -> str:
        """Label with the unit, for a figure's axis: log10 (t / yr)."""
        unit = {"": "", "Msun": r"M_\odot"}.get(self.linear_unit, rf"\mathrm{{{self.linear_unit}}}")
        if not unit:
            return self.label
        if self.logarithmic:
            return rf"$\log_{{10}}\,({self.symbol}\,/\,{unit})$"
        return rf"${self.symbol}$ / ${unit}$"

    def value_text(self, value: float, digits: int = 3) -> str:
        """Write a value as in a sentence: ``12 Myr``, ``4000 M☉``, ``0.32″``, a category's name.

        Parameters
        ----------
        value : float
            In the quantity's own unit, of a logarithmic one its log10.
        digits : int
            Significant digits kept; the others become 0.
        """
        if self.is_categorical:
            return self.categories[round(value)]
        number, unit = float(10**value if self.logarithmic else value), self.linear_unit
        if unit == "yr":
            older = number * (1 + 0.5 * 10**-digits) >= 1e9
            number, unit = (number / 1e9, "Gyr") if older else (number / 1e6, "Myr")
        number = float(f"{number:.{digits}g}")
        text = f"{number:,.0f}".replace(",", "\N{THIN SPACE}") if number >= 1e4 else f"{number:g}"
        return text + {"": "", "Msun": " M☉", "arcsec": "″"}.get(unit, f" {unit}")

    def within(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Whether values lie within the limits, as single precision has them; NaN does not."""
        low, high = self.limits
        values = np.asarray(values, dtype=float)
        return np.asarray((values >= low - 1e-5) & (values <= high + 1e-5))

    def derived(self, values: Mapping[str, Any], context: Context) -> Values:
        """Its values from those of its sources."""
        if self.derive is None:
            fault = "does not derive from others"
            raise unusable(self.name, fault, "give its values, or register it with a derive")
        sources = {name: np.asarray(values[name], dtype=float) for name in self.sources}
        return np.asarray(self.derive(sources, context))


_REGISTRY: dict[str, Quantity] = {}

COLUMNS = frozenset(
    (
        "id", "name", "ra", "dec", "row", "x", "y", "x_image", "y_image", "x_offset", "y_offset",
        "flags", "missing_fraction", "log_prob", "tarp", "images", "truth", "model", "tidal_scale",
        "distance_pc", "n_stars", "n_living", "rh_realised_arcsec", "field_density", "more",
        "foreground_a_v", "r_v", "a_v_scatter", "binary_fraction",
    )
)  # fmt: skip
"""Columns of tables, and parameters of clusters, that are no quantities."""

COLUMN_BEGINNINGS = ("mag_", "brightest_", "exposure_", "fwhm_", "depth_")
"""Columns of which tables have one for each band."""

KEYS = frozenset(
    (
        "rh_pc", "log_rh_normal", "center_shift_px", "a_v_scatter", "stars", "profiles", "keys",
        "drawn_beside", "categories_of", "is_default", "has_nebulae",
    )
)  # fmt: skip
"""What a survey's ``clusters`` have beside the priors of quantities."""


def register(quantity: Quantity) -> Quantity:
    """Add a quantity to those that Praesepe knows, and return it.

    Raises
    ------
    InputError
        Where another quantity, a column or a key of surveys has its name or its prior, or it
        derives from an unknown one.
    """
    for name in (quantity.name, quantity.linear):
        if name.lower() in COLUMNS or name.lower().startswith(COLUMN_BEGINNINGS):
            raise _taken(quantity, name, "is a column of the tables of truth and results")
    if quantity.prior in KEYS or not (quantity.prior or "a").isidentifier():
        raise _taken(quantity, quantity.prior, "cannot be a prior's key in a survey's clusters")
    for other in registered():
        if quantity.linear == other.name and quantity.name not in other.sources:
            raise _taken(quantity, other.name, "is another quantity, which does not derive from it")
        if other.linear == quantity.name and other.name not in quantity.sources:
            raise _taken(quantity, quantity.name, f"is what {other.name!r} is the logarithm of")
    known = _REGISTRY.get(quantity.name)
    if known is not None and known != quantity:
        raise _taken(quantity, quantity.name, "is registered already")
    for source in quantity.sources:
        get(source)
    for other in drawn():
        if other.prior == quantity.prior and other.name != quantity.name:
            raise _taken(quantity, quantity.prior, f"is the prior of {other.name!r} already")
    _REGISTRY[quantity.name] = quantity
    return quantity


def _taken(quantity: Quantity, name: str, why: str) -> InputError:
    return InputError(
        f"quantity {quantity.name!r}: {name!r} {why}", given=name, remedy="choose another name"
    )


def unregister(name: str) -> None:
    """Forget a quantity; for tests, which leave nothing behind."""
    _REGISTRY.pop(name, None)


def get(name: str) -> Quantity:
    """Return the quantity called `name`; raise `InputError` where there is none."""
    if name not in _REGISTRY:
        raise unknown("quantity", name, _REGISTRY)
    return _REGISTRY[name]


def registered() -> tuple[Quantity, ...]:
    """All quantities, in the order in which they were registered."""
    return tuple(_REGISTRY.values())


def added() -> tuple[Quantity, ...]:
    """Those that were registered beside Praesepe's own."""
    return registered()[N_OWN:]


def drawn() -> tuple[Quantity, ...]:
    """Those that a survey's prior draws."""
    return tuple(quantity for quantity in registered() if quantity.prior)


def reported(inferred: Iterable[str]) -> tuple[Quantity, ...]:
    """What a catalog tells about clusters: the inferred quantities and what derives from them.

    Of a logarithmic quantity whose linear one derives from it, only the latter is told.
    """
    names = tuple(inferred)
    derived = [q for q in registered() if q.sources and set(q.sources) <= set(names)]
    replaced = {q.name for q in map(get, names) if q.linear in {other.name for other in derived}}
    kept = {name for name in names if name not in replaced} | {q.name for q in derived}
    return tuple(quantity for quantity in registered() if quantity.name in kept)


def _own(*named: Any, **settings: Any) -> Quantity:
    """Register one of Praesepe's own quantities."""
    return register(Quantity(*named, **settings))


LOG_AGE = _own(
    "log_age",
    "t",
    "dex(yr)",
    "log10 of the age in years",
    physical=(-np.inf, 10.05),  # the oldest clusters
    prior="log_age",
    word="age",
)
LOG_MASS = _own(
    "log_mass",
    "M",
    "dex(Msun)",
    "log10 of the initial mass of all stars, living or dead, in solar masses",
    limits=(0.0, 8.0),
    prior="log_mass",
    word="mass",
    bins=14,
)
LOG_PRESENT_MASS = _own(
    "log_present_mass",
    r"M_\mathrm{now}",
    "dex(Msun)",
    "log10 of the present mass, stars and remnants",
    sources=("log_age", "log_mass"),
    derive=lambda of, context: (
        of["log_mass"] + np.log10(context.present_mass_fraction(of["log_age"]))
    ),
    word="present mass",
)
LOG_RH = _own(
    "log_rh",
    r"r_\mathrm{h}",
    "dex(arcsec)",
    "log10 of the projected half-light radius of the profile, in arcsec",
    linear="rh_arcsec",
    prior="rh_arcsec",
    word="size",
    bins=14,
)
RH_ARCSEC = _own(
    "rh_arcsec",
    r"r_\mathrm{h}",
    "arcsec",
    "projected half-light radius of the profile",
    sources=("log_rh",),
    derive=lambda of, _: 10 ** of["log_rh"],
    decimals=5,
    word="half-light radius",
)
RH_PC = _own(
    "rh_pc",
    r"r_\mathrm{h}",
    "pc",
    "projected half-light radius at the survey's distance",
    sources=("log_rh",),
    derive=lambda of, context: 10 ** of["log_rh"] * context.pc_per_arcsec,
    word="half-light radius",
)
A_V = _own(
    "a_v",
    "A_V",
    "mag",
    "extinction in the V band inside the galaxy",
    limits=(0.0, np.inf),
    physical=(0.0, np.inf),
    prior="a_v",
    word="extinction",
    bins=10,
)
E_BV = _own(
    "e_bv",
    "E(B-V)",
    "mag",
    "color excess by the dust inside the galaxy, A_V / R_V",
    sources=("a_v",),
    derive=lambda of, context: of["a_v"] / context.r_v,
    word="reddening",
)
LOG_Z = _own(
    "log_z",
    "Z",
    "dex",
    "log10 of the mass fraction of metals",
    linear="metallicity",
    prior="metallicity",
    word="metallicity",
)
PROFILE = _own(
    "profile",
    r"\Sigma(r)",
    "",
    "surface-brightness profile",
    prior="profile",
    categories=("eff", "king", "plummer"),
)
GAMMA = _own("gamma", r"\gamma", "", "slope of the EFF profile", prior="gamma", profile="eff")
CONCENTRATION = _own(
    "concentration",
    "c",
    "",
    "log10 of tidal over core radius of the King profile",
    limits=(0.1, 3.5),
    prior="king_concentration",
    profile="king",
)
ELLIPTICITY = _own(
    "ellipticity",
    "e",
    "",
    "1 - b/a",
    limits=(0.0, 0.9),
    physical=(0.0, 1.0),
    prior="ellipticity",
)
SEGREGATION = _own(
    "segregation",
    "s",
    "",
    "exponent of the mass segregation",
    limits=(0.0, 1.0),
    prior="segregation",
)
NEBULAR = _own(
    "nebular",
    r"f_\mathrm{neb}",
    "",
    "share of the ionising light of a young cluster that gas turns into lines and continuum",
    limits=(0.0, 1.0),
    physical=(0.0, 1.0),
    prior="nebular",
    word="nebular share",
)
ANGLE = _own("angle", r"\theta", "rad", "angle of the long axis from x to y")
TIDAL_RADIUS = _own(
    "tidal_radius", r"r_\mathrm{t}", "arcsec", "where the EFF profile ends", profile="eff"
)
CONTAMINANT = _own(
    "contaminant",
    r"k",
    "",
    "what a stamp holds in place of a cluster in its middle",
    categories=("none", "empty", "group", "star", "galaxy", "artefact", "off_center"),
)
OBJECT_CLASS = _own(
    "object_class",
    r"\mathrm{class}",
    "",
    "whether there is a cluster in the middle",
    categories=("background", "cluster"),
    word="class",
)
LOG_VISIBILITY = _own(
    "log_visibility",
    "V",
    "dex",
    "log10 of the flux inside r_h over the scatter of that aperture on the star field",
    linear="visibility",
    limits=(-1.0, 4.0),
    word="visibility",
)
VISIBILITY = _own(
    "visibility",
    "V",
    "",
    "flux inside r_h over the scatter of that aperture on the star field, of the best band",
    sources=("log_visibility",),
    derive=lambda of, _: 10 ** of["log_visibility"],
    decimals=3,
)

OFFSET_X, OFFSET_Y = (
    _own(
        f"offset_{axis}_px",
        rf"\Delta {axis}",
        "pix",
        f"{axis} of the cluster's center from the middle of the stamp",
        limits=(-32.0, 32.0),
        physical=(-32.0, 32.0),
        word=f"offset in {axis}",
        decimals=2,
    )
    for axis in "xy"
)
OFFSETS = (OFFSET_X.name, OFFSET_Y.name)

N_OWN = len(_REGISTRY)

DEFAULT_INFERRED = ("log_age", "log_mass", "log_rh")
"""What a model infers where its survey does not say otherwise."""
