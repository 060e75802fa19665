"""Stars of clusters and fields: tables, sampling, and the light that is not resolved."""
