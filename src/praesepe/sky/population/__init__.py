"""Stars of clusters and fields: tables, sampling, and the light that is not resolved.

What one star does stands in `praesepe.stars`; `binaries` and `extinction` here are what it makes of
the sums over a population.
"""
