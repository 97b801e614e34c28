"""Figures, the report and the report."""
