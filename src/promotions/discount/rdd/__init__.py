"""The effect at a cut-off: regression discontinuity."""
