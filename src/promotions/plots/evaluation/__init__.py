"""The figures of `evaluate`."""
