"""Names that several packages share."""

# The mixture of the learners, wherever learners are named: it has effects of its own, and no entry under `learners`.
ENSEMBLE = "ensemble"
