"""Standard errors, intervals and tests for both pipelines."""
