"""How the sales of each customer respond to the size of a discount."""
