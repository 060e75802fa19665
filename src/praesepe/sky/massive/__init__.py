"""Massive clusters, whose stars blend: the annuli they are divided into, and diffuse light.

Nothing here concerns other clusters; docs/theory.md, section 6, explains it.
"""
