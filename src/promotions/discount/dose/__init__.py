"""How much discount for whom, and what that earns."""
