"""Metrics of a prediction table, their intervals, and where a model looks."""
