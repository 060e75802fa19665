"""Clusters: their parameters and profiles (annuli of crowded ones: `praesepe.sky.massive`)."""
