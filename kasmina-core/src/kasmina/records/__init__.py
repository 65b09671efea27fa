"""The frozen records that cross borders: what plugins are told, and what they answer.

Plain numbers and names only, so that a controller can be tested, replayed and trained without a network, and a
plugin's author needs no torch to import them.
"""

from kasmina.records.metrics import Metrics
from kasmina.records.observation import (
    Event,
    Incident,
    Kind,
    Observation,
    Proposal,
    Remaining,
    SeedState,
    Site,
    SiteState,
    Stage,
    Verdict,
)
from kasmina.records.run_info import Choices, DataInfo, Phase, Plan, RunInfo
from kasmina.records.task_data import Data, Goal, Plane, Predictions

__all__ = [
    "Choices",
    "Data",
    "DataInfo",
    "Event",
    "Goal",
    "Incident",
    "Kind",
    "Metrics",
    "Observation",
    "Phase",
    "Plan",
    "Plane",
    "Predictions",
    "Proposal",
    "Remaining",
    "RunInfo",
    "SeedState",
    "Site",
    "SiteState",
    "Stage",
    "Verdict",
]
