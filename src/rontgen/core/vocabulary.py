"""The words that verdicts, tables and figures share."""

# The reading that a study's protocol.yaml is, and the one that draws every setting that a paper leaves open
PROTOCOL = "protocol"
RANDOM_COMPLETION = "random_completion"
# What the protocol is called, where the paper leaves settings open and where it does not
OUR_COMPLETION, AS_STATED = "our completion", "as stated"

# Found by arithmetic, without a run
CONTRADICTORY, UNAVAILABLE = "contradictory", "not openly available"
# Judged by recorded runs
REPRODUCED, CLOSE, NOT_REPRODUCED, INCONCLUSIVE = "reproduced", "close, but different", "not reproduced", "inconclusive"
NOT_RUN = "not run"
VERDICTS = (CONTRADICTORY, UNAVAILABLE, REPRODUCED, CLOSE, NOT_REPRODUCED, INCONCLUSIVE, NOT_RUN)
