"""What every test stands on: how threads wait, and property tests that are the same on every machine."""

import os

from hypothesis import HealthCheck, settings

# Threads that wait for each other sleep instead of spinning: on shared cores a fit on two of them is ten times faster.
# Read once, when the first package with OpenMP is imported; the processes that tests start inherit it.
os.environ["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")

# A busy machine is slow at drawing examples too, which says nothing about the code.
settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")
