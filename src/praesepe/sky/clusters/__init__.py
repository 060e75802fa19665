"""Clusters: their parameters and profiles."""
