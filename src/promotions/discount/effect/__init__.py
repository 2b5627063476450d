"""The effect of a dollar of discount, by the log and by the test."""
