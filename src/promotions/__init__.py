"""Promotion experiments: effects, policies, and what a policy earns.

Pure functions over arrays and frames. Nothing here knows a path, reads ``params.yaml`` or prints.
"""

# What the mixture of the learners is called wherever learners are: effects of its own, no entry under `learners`.
ENSEMBLE = "ensemble"
