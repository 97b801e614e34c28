"""Stage export: a run's model as ONNX, LiteRT and int8 LiteRT, checked against Keras."""

import argparse

from rontgen.core import errors, runs
from rontgen.serving import export


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, help="active, or a key of `reported` in params.yaml")
    export.export(runs.load_run(parser.parse_args().run))


if __name__ == "__main__":
    errors.run(main)
