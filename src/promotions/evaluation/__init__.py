"""What a policy earns and how well a learner ranks, from scores of the outcome on rows that nothing was fitted to."""
