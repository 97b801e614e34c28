"""The command line: `rontgen <verb>`, or `python -m rontgen <verb>`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.core import TyperGroup

from rontgen import options
from rontgen.core import errors, project, runs
from rontgen.core.errors import RontgenError
from rontgen.core.vocabulary import PROTOCOL


class Verbs(TyperGroup):
    """Commands whose errors are printed as those of the stages are: one line, exit code 2."""

    def invoke(self, context):
        def call():
            if "--help" not in context.args:
                project.enter()
            super(Verbs, self).invoke(context)

        errors.run(call)


app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Published chest X-ray studies, run again and judged.",
)

Run = Annotated[str, typer.Option(metavar="RUN", help="active, or a key of `runs` in a study's protocol.yaml.")]
Record = Annotated[
    str | None,
    typer.Option(metavar="RECORD", help="Not a run but a record of real X-rays: <run>/<treatment>/seed-<n>."),
]
Kind = Annotated[Literal["keras", "onnx"], typer.Option(help="Which of a run's model files.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", "-S", metavar="KEY=VALUE", help="Another setting: it is a deviation.")
]


@app.command()
def reproduce(
    names: Annotated[list[str], typer.Argument(metavar="RUN…", help="active, or keys of `runs` in protocol.yaml.")],
    seeds: Annotated[str, typer.Option(help="Such as 1-5, 7 or 1,3-4.")] = "1-5",
    reading: Annotated[str, typer.Option(help="A key of `readings` in paper.yaml, or random_completion.")] = PROTOCOL,
    models: Annotated[str, typer.Option("--model", help="Of active: keys of `models`, as cnn4,vgg16.")] = "",
    set_: Settings = None,
    again: Annotated[bool, typer.Option("--again", help="Train what is recorded, and replace its record.")] = False,
    at_once: Annotated[int, typer.Option("--jobs", min=1, help="Seeds at once on this machine, one on each GPU.")] = 1,
    scheduler: Annotated[str | None, typer.Option(help="A dask scheduler whose workers to use instead.")] = None,
) -> None:
    """Run a paper's protocol, or an architecture, on the real archives, seed by seed, and record it in results/.

    Each seed is a DVC experiment of the profile `paper`. A killed one goes on where it was; one that is recorded is not
    trained again. A random completion draws each setting that the paper leaves open, by study and seed. The active run
    compares architectures, by the protocol in studies/architectures.yaml.
    """
    from rontgen.records import reproduce as module

    chosen = [name for name in models.split(",") if name]
    jobs = module.plan(names, options.numbers(seeds), reading, options.pairs(set_), chosen)
    for job, record in module.reproduce(jobs, again, at_once, scheduler):
        test = record.metrics["test"]
        print(f"{job.name}: accuracy {test['accuracy']:.4f} on {test['test_images']} test images")


@app.command()
def index(
    slug: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The dataset on Kaggle.")],
    folder: Annotated[Path, typer.Argument(help="Where its archive lies unpacked, such as /kaggle/input/<name>.")],
) -> None:
    """List an unpacked archive in data/archives, so that it is read where it lies, instead of a zip."""
    from rontgen.core import params
    from rontgen.data import by_hand, unpacked

    print(unpacked.write_index(slug, folder, runs.BY_HAND, by_hand.layout(slug, params.load())))


@app.command()
def audit(
    originals: Annotated[Path | None, typer.Option(help="A zip of full-size images in NORMAL and PNEUMONIA.")] = None,
    set_: Settings = None,
    again: Annotated[bool, typer.Option("--again", help="Replace the audit that is recorded.")] = False,
) -> None:
    """Audit the real archives for leaks and shortcuts, test the out-of-distribution check, and record it."""
    from rontgen.audits import shortcuts
    from rontgen.records import archive_audit
    from rontgen.serving import ood_archives

    probed = {"originals": shortcuts.probe_originals(originals)} if originals else {}
    found = archive_audit.record(options.pairs(set_), ood_archives.measure, probed, again)
    for name, leaks in found["leakage"]["splits"].items():
        print(f"{name}: {leaks['test_any']} of {leaks['test_images']} test images leak")


@app.command()
def record(
    check: Annotated[bool, typer.Option("--check", help="Recompute every test metric from the predictions.")] = False,
) -> None:
    """List the records in results/, or check that their predictions give their metrics."""
    from rontgen.records import records

    found = records.read_all()
    if not found:
        raise RontgenError(f"expected records in {records.FOLDER}/, found none: run `git checkout {records.FOLDER}`")
    if not check:
        for entry in found:
            print(f"{entry.name}: accuracy {entry.metrics['test']['accuracy']:.4f}, {entry.provenance['commit'][:7]}")
        return
    if wrong := [line for entry in found for line in records.check(entry)]:
        print("\n".join(wrong))
        raise RontgenError(f"expected the metrics of the predictions in every record, {len(wrong)} are others")
    print(f"{len(found)} records: every test metric is that of the predictions")


@app.command()
def diff(
    first: Annotated[str, typer.Argument(metavar="A", help="RUN, REVISION or REVISION:RUN.")],
    second: Annotated[str, typer.Argument(metavar="B", help="The same; differences are B minus A.")],
    run: Annotated[str, typer.Option(metavar="RUN", help="The run that a bare revision means.")] = runs.ACTIVE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")] = False,
) -> None:
    """Compare two runs on the same test images: `dvc metrics diff` with significance.

    Every metric's difference has its 95% interval, accuracy McNemar's test. RUN is a run in the workspace: active, or
    a key of `runs` in a study's protocol.yaml. REVISION is a git revision or the name of a DVC experiment. A name that
    is both is the run.
    """
    from rontgen.records import compare
    from rontgen.reporting import comparisons

    if as_json and markdown:
        raise RontgenError("expected one of --json and --markdown, received both")
    (first_name, one), (second_name, other) = (compare.load(name, run) for name in (first, second))
    result = {"first": first_name, "second": second_name} | compare.compare(one, other)
    if as_json:
        print(json.dumps(result, indent=2))
    else:
        print(comparisons.difference_in_markdown(result) if markdown else comparisons.difference(result))


@app.command()
def verify(
    revision: Annotated[str, typer.Argument(metavar="[REVISION]", help="A git revision.")] = "HEAD",
    brief: Annotated[bool, typer.Option("--brief", help="Print the last line alone.")] = False,
) -> None:
    """Compare what was rebuilt here with what is committed: the same bytes, or how much the trained runs differ.

    The exit code is 1 where a run is right significantly more or less often, or was tested on other images.
    """
    from rontgen.records import verify as module
    from rontgen.reporting import comparisons

    found = module.verify(revision)
    print(found.summary if brief else comparisons.verification(found))
    if found.significant or found.unlike:
        sys.exit(1)


@app.command()
def predict(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE…", help="JPEG, PNG or DICOM; a folder; or a pattern in quotes.")
    ],
    run: Run = runs.ACTIVE,
    record: Record = None,
    kind: Kind = "keras",
    output: Annotated[Path | None, typer.Option(help="The CSV; standard output by default.")] = None,
) -> None:
    """Read X-rays: a CSV with a row for each file."""
    from rontgen.serving import predict as module
    from rontgen.serving.predictor import Trained

    trained = Trained.recorded(record) if record else Trained.in_workspace(run)
    if not module.write(files, trained, kind, output):
        sys.exit(1)


@app.command()
def serve(
    names: Annotated[list[str] | None, typer.Argument(metavar="[RUN]…", help="The runs to choose from.")] = None,
    record: Record = None,
    kind: Kind = "keras",
    port: Annotated[int, typer.Option(help="0 for any that is free.")] = 8000,
) -> None:
    """Serve a web page on this machine: show an X-ray to a model, and see where it looks."""
    with errors.needs_extra("app"):
        from rontgen.serving.predictor import Trained
        from rontgen.serving.web import server

        models = [Trained.recorded(record)] if record else []
        models += [Trained.in_workspace(name) for name in names or ([] if record else [runs.ACTIVE])]
        server.serve(models, kind, port)


@app.command()
def export(
    names: Annotated[list[str] | None, typer.Argument(metavar="[RUN]…", help="The runs to export.")] = None,
) -> None:
    """Write the models of runs as ONNX, LiteRT and int8 LiteRT, checked against Keras."""
    from rontgen.serving import export as module

    for run in [runs.load_run(name) for name in names or [runs.ACTIVE]]:
        module.export(run)


@app.command()
def report(output: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html")) -> None:
    """Put all of the evidence on one page that needs no other file."""
    from rontgen.reporting import html_report

    html_report.write(output)
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB")


@app.command()
def docs() -> None:
    """Write the pages of the studies, of the architectures and of the archives, and the results in README.md."""
    from rontgen.reporting import pages

    for path in pages.write():
        print(path)


@app.command()
def scale(
    targets: Annotated[list[str] | None, typer.Argument(metavar="[STAGE]…", help="Stages; all of dvc.yaml.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Workers on this machine; one for each core.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="A dask scheduler whose workers to use instead.")] = None,
    remote: Annotated[str | None, typer.Option(help="DVC remote, where workers cannot reach this cache.")] = None,
) -> None:
    """Rebuild the stale stages, several at a time. `dvc repro` afterwards finds everything done."""
    from rontgen.parallel import stages

    stages.rebuild_stale(targets or ["dvc.yaml"], jobs, scheduler, remote)


if __name__ == "__main__":
    app(prog_name="rontgen")
