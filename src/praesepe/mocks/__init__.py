"""Artificial clusters in files: stamps, sets, whole mosaics, injection, star fields."""
