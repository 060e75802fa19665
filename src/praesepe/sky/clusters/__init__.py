"""Clusters: their parameters, profiles and annuli."""
