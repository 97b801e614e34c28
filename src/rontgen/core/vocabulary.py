"""The words that verdicts, tables and figures share."""

# The reading that follows the paper's stated protocol
AS_STATED = "as_stated"

# Found by arithmetic, without a run
CONTRADICTORY, UNAVAILABLE = "contradictory", "data unavailable"
# Judged by recorded runs
REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE = "reproduced", "not reproduced", "inconclusive"
NOT_RUN = "not run"
VERDICTS = (CONTRADICTORY, UNAVAILABLE, REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE, NOT_RUN)
