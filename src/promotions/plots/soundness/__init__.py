"""The figures of `prepare`."""
