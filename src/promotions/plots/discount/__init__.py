"""The figures of the discounts, one module a stage."""
