"""The simulator: stars become clusters, clusters and star fields become images.

`simulator` joins what `population`, `clusters`, `fields` and `instrument` do.
"""
