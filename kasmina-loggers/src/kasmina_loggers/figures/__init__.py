"""Figures of what a network predicts, drawn by matplotlib."""
