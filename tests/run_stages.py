"""Run stages, one after the other in one process: `python run_stages.py "split --split active" …`.

In the working folder.
"""

import runpy
import sys
from pathlib import Path

STAGES = Path(__file__).parents[1] / "stages"


def run(stage: str) -> None:
    script, *arguments = stage.split()
    sys.argv = [script, *arguments]
    runpy.run_path(str(STAGES / f"{script}.py"), run_name="__main__")


if __name__ == "__main__":
    for stage in sys.argv[1:]:
        run(stage)
