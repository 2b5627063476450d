"""What the stage scripts share: parameters, reading and writing, joined tables, lists. No statistics."""
