"""The tables of discounts, read, checked and cleared of what was measured after the discount."""
