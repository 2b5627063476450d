"""Is the experiment sound? Its ratio of arms, its balance, its leaks, its chances of treatment."""
