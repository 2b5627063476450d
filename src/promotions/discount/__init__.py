"""Does a discount pay, for whom, and how much of it: effects of a dose from a log, a cut-off, a panel and a test."""
