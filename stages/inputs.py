"""Stage inputs: list what the user put into data/archives, for each dataset and each backbone."""

import argparse

from rontgen.core import errors, params
from rontgen.core.io import replacing, write_json
from rontgen.data import by_hand


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    lists = by_hand.lists(params.load())

    with replacing(by_hand.LISTS) as folder:
        for path, hashes in lists.items():
            write_json(hashes, folder / path)
    found = {name for hashes in lists.values() for name in hashes}
    print(f"{len(found)} files put by hand: {', '.join(sorted(found)) or 'none'}")


if __name__ == "__main__":
    errors.run(main)
