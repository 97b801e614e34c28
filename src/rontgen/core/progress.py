"""Progress: at a terminal a bar, elsewhere a line a minute."""

import sys
from typing import Any

from tqdm import tqdm

SECONDS = 60.0  # between two lines where there is no terminal


class _Lines:
    """What tqdm draws, as lines on stderr."""

    def write(self, text: str) -> None:
        if line := text.strip():
            print(line, file=sys.stderr)

    def flush(self) -> None:
        sys.stderr.flush()


def bar(*arguments: Any, **options: Any) -> tqdm:
    """As tqdm."""
    lines = {} if sys.stderr.isatty() else {"file": _Lines(), "mininterval": SECONDS, "maxinterval": SECONDS}
    return tqdm(*arguments, **lines, **options)
