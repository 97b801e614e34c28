"""Stage cards: a model card for each run."""

import argparse

from rontgen import cards, errors


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    cards.write_cards()


if __name__ == "__main__":
    errors.run(main)
