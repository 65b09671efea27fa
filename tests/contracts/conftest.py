"""Settings of the property tests: fewer examples than elsewhere, for each is a life of a host and its seeds."""

from __future__ import annotations

import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)

PROFILE = settings.get_current_profile_name()
settings.register_profile(
    f"{PROFILE} contracts",
    settings.get_profile(PROFILE),
    max_examples=settings().max_examples * 6 // 10,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile(f"{PROFILE} contracts")
