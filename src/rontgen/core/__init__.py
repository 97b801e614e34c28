"""Errors, files, the validated settings, and each run's paths and commands: every other package uses these."""
