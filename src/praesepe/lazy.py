"""What is loaded when first used: public names of a package, and the libraries of the extras."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

EXTRAS = {
    "simulate": ("sedpy", "dust_extinction", "scipy"),
    "images": ("astropy", "photutils", "regions", "reproject"),
    "remote": ("fsspec", "aiohttp"),
    "roman": ("asdf", "asdf_astropy", "gwcs"),
    "tables": ("pandas", "pyarrow", "h5py", "zarr"),
    "plots": ("matplotlib", "corner"),
    "train": ("tensorboard",),
    "cli": ("typer", "rich"),
}
"""Extra of ``pip install 'praesepe[EXTRA]'``: the libraries that come with it."""


@contextmanager
def extras() -> Iterator[None]:
    """Say which extra brings a library that is missing.

    Stands round an import, ``with extras(): import h5py``, or before a function that imports,
    ``@extras()``.

    Raises
    ------
    MissingDependencyError
        In place of a `ModuleNotFoundError` for a library of `EXTRAS`.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        for extra, libraries in EXTRAS.items():
            if library in libraries:
                from praesepe.errors import MissingDependencyError

                raise MissingDependencyError(
                    f"{library} is not installed; it comes with: pip install 'praesepe[{extra}]' "
                    "('praesepe[all]' brings everything)"
                ) from error
        raise


def lazy_names(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make a package's ``__getattr__`` and ``__dir__``.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    modules : mapping of str to str
        Public names, apart by spaces, by the module that defines them: one of the package, or the
        full name of another package's.

    Returns
    -------
    tuple of callables
        ``__getattr__``, which raises `AttributeError` with the nearest public name for a typo, and
        ``__dir__``, which lists the public names alone.

    Examples
    --------
    >>> __getattr__, __dir__ = lazy_names("praesepe.stars", {"imf": "KROUPA2001 BrokenPowerLaw"})
    >>> __dir__()
    ['BrokenPowerLaw', 'KROUPA2001']
    """
    root = package.partition(".")[0]
    homes = {
        name: module if module.startswith(f"{root}.") else f"{package}.{module}"
        for module, names in modules.items()
        for name in names.split()
    }

    def load(name: str) -> Any:
        if name in homes:
            with extras():
                value = getattr(import_module(homes[name]), name)
            setattr(sys.modules[package], name, value)
            return value
        message = f"module {package!r} has no attribute {name!r}."
        if not name.startswith("__"):
            from praesepe.errors import nearest

            close = nearest(name, homes)
            public = ", ".join(sorted(homes))
            message += f" Did you mean {close!r}?" if close else f" Public names: {public}."
        raise AttributeError(message, name=name)

    return load, lambda: sorted(homes)


def names_of_stub(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """As `lazy_names`, of the names that the stub beside a package's `file` imports."""
    modules: dict[str, str] = {}
    for one in ast.parse(Path(file).with_suffix(".pyi").read_text("utf-8")).body:
        if isinstance(one, ast.ImportFrom):
            names = " ".join(name.name for name in one.names)
            modules[str(one.module)] = f"{modules.get(str(one.module), '')} {names}"
    return lazy_names(package, modules)
