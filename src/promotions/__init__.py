"""Promotion experiments: effects, policies, and what a policy earns.

Pure functions over arrays and frames. Nothing here knows a path, reads ``params.yaml`` or prints.
"""
