"""Training: one loop, its settings, what it learns from."""
