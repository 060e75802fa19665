"""The command line: verbs, their options, and what is shown on the screen; it holds no science."""

from praesepe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(__name__, {"app": "main"})
