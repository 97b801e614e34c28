"""Figures, model cards and the report. Everything that is drawn for people is drawn here."""
