"""Massive clusters, whose stars blend: annuli, diffuse light, and all stars of a cluster."""
