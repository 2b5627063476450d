"""A champion applied to customers who were in no experiment: whom to contact, why, and what to expect of it."""
