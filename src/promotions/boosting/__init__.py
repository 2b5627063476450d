"""LightGBM as this project uses it: settings, bins, files, cross-fitting."""
