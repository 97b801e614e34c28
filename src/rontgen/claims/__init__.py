"""Published numbers against the records: arithmetic, the rule of verdicts, what follows."""
