"""The tables of discounts, read, checked and without the columns measured after the discount."""
