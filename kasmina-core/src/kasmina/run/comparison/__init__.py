"""Comparison of controllers and static hosts on one task, over several seeds."""
