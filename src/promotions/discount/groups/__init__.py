"""Effects by groups of customers, and the rule that follows."""
