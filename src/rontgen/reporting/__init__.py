"""Figures, model cards and the report."""
