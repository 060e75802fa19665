"""The version of Praesepe."""

__version__ = "0.1.0"
