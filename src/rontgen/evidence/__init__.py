"""Published numbers against recorded runs: arithmetic, records, verdicts, and comparisons of runs."""
