"""Stage cards: a model card for each run."""

import argparse

from rontgen.core import errors
from rontgen.core.papers import load_papers
from rontgen.reporting import model_cards


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    studies = load_papers().studies
    model_cards.write_cards({name: study.citation.english for name, study in studies.items()})


if __name__ == "__main__":
    errors.run(main)
