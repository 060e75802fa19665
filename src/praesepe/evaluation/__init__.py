"""Artificial-cluster tests of a model."""
