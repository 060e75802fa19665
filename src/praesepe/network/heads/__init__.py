"""Heads: from features to a posterior.

`base` says what a head is; `flow` and `grid` are the two that there are; `registry` names them.
"""
