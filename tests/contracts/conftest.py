"""Settings of the property tests. `HYPOTHESIS_PROFILE=thorough` draws ten times as many examples, at random."""

import os

import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)

COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None}
settings.register_profile("default", max_examples=60, derandomize=True, **COMMON)
settings.register_profile("thorough", max_examples=600, **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
