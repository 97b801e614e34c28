"""The command line: `rontgen <verb>`."""

from collections.abc import Callable
from functools import wraps
from typing import Annotated

import typer

from rontgen import errors
from rontgen.errors import RontgenError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Published chest X-ray studies, run again and judged.",
)


@app.callback()
def _verbs() -> None:
    """Without it, Typer would take a single verb for the whole program."""


def verb(function: Callable) -> Callable:
    """A command whose errors are printed as those of the stages are: one line, exit code 2."""

    @app.command()
    @wraps(function)
    def run(*arguments, **options):
        errors.run(lambda: function(*arguments, **options))

    return run


@verb
def reproduce(
    runs: Annotated[list[str], typer.Argument(metavar="RUN…", help="Keys of `reported` in params.yaml.")],
    seeds: Annotated[str, typer.Option(help="Such as 1-5, 7 or 1,3-4.")] = "1-5",
    reading: Annotated[str, typer.Option(help="A key of the study's `readings` in papers.yaml.")] = "as_stated",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", "-S", metavar="KEY=VALUE", help="Another setting, recorded as a deviation."),
    ] = None,
) -> None:
    """Run a paper's protocol on the real archives, seed by seed, and record it in results/.

    Each seed is a DVC experiment of the profile `paper`. A killed one goes on where it was; one that is recorded for
    the same code, data and settings is not trained again.
    """
    from rontgen import reproduce as module

    extra = dict(_pair(text) for text in set_ or [])
    jobs = module.plan(runs, _numbers(seeds), reading, extra)
    for job, record, _ in module.reproduce(jobs):
        test = record.metrics["test"]
        print(f"{job.name}: accuracy {test['accuracy']:.4f} on {test['test_images']} test images")


@verb
def record(
    check: Annotated[bool, typer.Option("--check", help="Recompute every metric from the predictions.")] = False,
) -> None:
    """List the records in results/, or check that their predictions give their metrics."""
    from rontgen import records

    found = records.read_all()
    if not check:
        for entry in found:
            print(f"{entry.name}: accuracy {entry.metrics['test']['accuracy']:.4f}, {entry.provenance['commit'][:7]}")
        return
    wrong = [line for entry in found for line in records.check(entry)]
    for line in wrong:
        print(line)
    if wrong:
        raise RontgenError(f"expected the metrics of the predictions in every record, {len(wrong)} are others")
    print(f"{len(found)} records: every metric is that of the predictions")


def _numbers(text: str) -> list[int]:
    """1, 3 and 4 of "1,3-4"."""
    numbers = []
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            numbers += range(int(first), int(last if dash else first) + 1)
    except ValueError:
        raise RontgenError(f"--seeds: expected numbers such as 1-5, 7 or 1,3-4, received {text!r}") from None
    return list(dict.fromkeys(numbers))


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator:
        raise RontgenError(f"--set: expected KEY=VALUE, received {text!r}")
    return key, value


if __name__ == "__main__":
    app()
