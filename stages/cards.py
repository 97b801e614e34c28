"""Stage cards: a model card for each run."""

import argparse

from rontgen.core import errors
from rontgen.reporting import model_cards


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    model_cards.write_cards()


if __name__ == "__main__":
    errors.run(main)
