"""Recovery from faults in training: the governor that sees them, their attribution, and the rollback."""
