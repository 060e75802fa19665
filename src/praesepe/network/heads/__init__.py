"""Heads: from features to a posterior."""
