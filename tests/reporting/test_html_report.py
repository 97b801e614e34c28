import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

import finished_project
from rontgen.core import params
from rontgen.core.errors import RontgenError
from rontgen.core.io import commit
from rontgen.reporting import claims_tables, html_report

VOID = {"meta", "img", "br", "hr"}
# The smallest PNG there is: one gray pixel
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c63600000000200"
    "0148afa4710000000049454e44ae426082"
)


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text; fails where a tag is not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def attributes(self, tag, name):
        return [attributes[name] for found, attributes in self.tags if found == tag and name in attributes]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return finished_project.make(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def project(finished, change_params, tmp_path):
    """The working directory: a finished project in which a test may change any file."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)


def written():
    html_report.write(Path("report.html"))
    return Path("report.html").read_text()


def draw(path):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(PNG)


def test_the_page_is_whole_html_that_asks_for_nothing_outside(project):
    draw("plots/claims.png")
    page = Page(written())
    names = {name for _, attributes in page.tags for name in attributes}
    links = [attributes[name] for _, attributes in page.tags for name in ("src", "href") if name in attributes]
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    assert not names & {"srcset", "style", "onload", "onclick", "background"}
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert "url(" not in page.text and "@import" not in page.text


def test_every_link_of_the_page_has_its_target_once(project):
    page = Page(written())
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {link.removeprefix("#") for link in page.attributes("a", "href")}
    assert {"reading", "ledger", "leakage", "recorded"} <= targets <= set(ids)


def test_headings_skip_no_level(project):
    levels = [int(tag[1]) for tag, _ in Page(written()).tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_study_is_listed_and_folded_with_its_page(project):
    text = written()
    page, studies = Page(text), params.load().studies
    assert [f'id="study-{study}"' in text for study in studies] == [True] * 5
    for study in studies:
        title = Path("studies", study, "README.md").read_text().partition("\n")[0].removeprefix("# ")
        assert title.startswith(f"{study}: ") and f"<h4>{title}</h4>" in text
    folded = sum(tag == "details" for tag, _ in page.tags)
    assert folded == sum(tag == "summary" for tag, _ in page.tags) == 3 + 5  # ledger, gap, this workspace; the studies
    assert not page.attributes("details", "open")


def test_a_study_has_a_figure_of_each_recorded_run(project):
    for run in ("smatika_vgg16", "lungcare_cnn4"):
        Path("results", run).mkdir()
        draw(f"plots/records/{run}.png")
    of_study = dict(re.findall(r'id="study-(\w+)">(.*?)<article>', written(), re.DOTALL))
    figures = {study: re.findall(r"<figcaption>(\w+):", text) for study, text in of_study.items()}
    nothing = {study: [] for study in params.load().studies}
    assert figures == nothing | {"smatika": ["smatika_vgg16"], "lungcare": ["lungcare_cnn4"]}


def test_the_runs_of_the_workspace_are_a_table(project):
    workspace = Page(written()).text.partition("Show 6 runs")[2]
    assert all(name in workspace for name in ["active", *params.load().runs])


def test_a_figure_is_inlined_with_its_text(project):
    Path("results/smatika_vgg16").mkdir()
    draw("plots/records/smatika_vgg16.png")
    pictures = [attributes for tag, attributes in Page(written()).tags if tag == "img"]
    assert all(attributes["src"].startswith("data:image/png;base64,iVBORw0KGgo") for attributes in pictures)
    assert "smatika_vgg16: ROC curve and training of each seed" in [attributes["alt"] for attributes in pictures]


def test_a_missing_figure_is_named_with_its_command(project):
    Path("results/smatika_vgg16").mkdir()

    def missing(path):
        return re.search(rf"Not there: [^<]*\({re.escape(path)}\)\. Run <code>([^<]*)</code>", written())

    assert missing("plots/claims.png")[1] == "dvc repro compare"
    assert missing("plots/records/smatika_vgg16.png")[1] == "dvc repro compare"
    draw("plots/claims.png")
    assert missing("plots/claims.png") is None


def test_verdicts_headlines_and_contradictions_are_shown(project):
    text = written()
    counts = "".join(f'<td class="number">{number}</td>' for number in (2, 0, 0, 1, 0, 1, 4))
    assert f'<tr><th scope="row">smatika</th>{counts}</tr>' in text
    assert '<td class="number">0.0625</td><td>no, whatever the pairing</td>' in text
    assert text.partition('id="ledger"')[0].count("<li>precision | recall give 0.9703</li>") == 1
    assert "<code>test.accuracy</code> 0.97 (Section 4)" in text


def test_a_narrow_verdict_and_the_command_of_a_missing_run_are_shown(project):
    text = written().partition('id="ledger"')[0]
    assert (
        text.count("narrowly ")
        == text.count('<td>narrowly <span class="verdict reproduced">reproduced</span></td>')
        == 1
    )
    assert "<td><code>rontgen reproduce lungcare_cnn4</code></td>" in text


def test_the_ledger_has_every_claim(project):
    ledger = Page(written()).text.partition("Show all 4 numbers")[2].partition("Leakage")[0]
    for claim in claims_tables.read_table(claims_tables.CLAIMS, "").to_dict("records"):
        assert all(claim[column] in ledger for column in ("run", "metric", "paper", "ours", "finding", "reason"))
    assert "0.92 (0.8484–0.9648)0.5 (0.4–0.6)-0.42not reproduced" in ledger


def test_the_page_opens_on_the_verdicts(project):
    page = Page(written()).text
    verdicts, _, rest = page.partition("Contents")
    assert "4 published rows: 2 contradictory · 1 not reproduced · 1 not run" in " ".join(verdicts.split())
    assert "smatika_vgg16our completion0.92 (0.85–0.96)50.500 (0.40–0.60)not reproducedoutside the 95%" in verdicts
    assert "smatika_vgg16own preprocessing0.92 (0.85–0.96)30.910 (0.82–0.99)narrowly reproduced" in verdicts
    assert "smatika_resnet50v2our completion0.97 (0.91–0.99)10.900contradictorythese sums" in verdicts
    assert "lungcare_cnn4our completion0.87 (0.84–0.89)0not run" in verdicts
    assert "lungcare_b32_s240our completion0.91 (0.88–0.93)0contradictorythese sums" in verdicts
    assert "copies on both sides" not in verdicts
    assert "1 contradictory, 1 consistent." in " ".join(rest.split())


def test_leaks_their_gap_and_shortcuts_are_those_of_real_xrays(project):
    text = written()
    assert '<td class="number">7</td><td class="number">29.2%</td>' in text
    assert '<td class="number">0.1000 (0.0200–0.1800)</td><td>3 seeds each, made up</td>' in text
    assert "one seed each, made up" not in text
    assert '<td class="number">0.8500 (0.8000–0.9000)</td>' in text and "0.7500 (0.7000" not in text


def test_a_label_stays_text(project):
    path = Path("results/archives/provenance.json")
    path.write_text(path.read_text().replace("NORMAL", "<script>N&"))
    page = Page(written())
    assert "script" not in {tag for tag, _ in page.tags}
    assert "<script>N&" in page.text


def test_html_in_a_study_s_page_stays_text(project):
    path = Path("studies/smatika/README.md")
    path.write_text(path.read_text() + '\n<img src="https://example.org/">\n\n[a](javascript:alert)\n')
    page = Page(written())
    assert all(src.startswith("data:") for src in page.attributes("img", "src"))
    assert all(link.startswith("#") for link in page.attributes("a", "href"))


def test_the_demo_is_called_a_demo(project, change_params):
    warning = "this workspace’s images are drawn phantoms, and its runs say nothing"
    assert warning in written()
    change_params({"profile": "paper"})
    assert warning not in written()


def test_the_same_files_make_the_same_bytes(project):
    assert written() == written()


@pytest.mark.parametrize(
    "path",
    [
        "metrics/claims.csv",
        "metrics/claims.json",
        "metrics/endpoints.csv",
        "metrics/leakage_gap.json",
        "metrics/runs/smatika_vgg16/test/metrics.json",
    ],
)
def test_a_missing_file_is_named(project, path):
    Path(path).unlink()
    with pytest.raises(RontgenError, match=f"{path} not found: run `make repro` first"):
        html_report.write(Path("report.html"))
    assert not Path("report.html").exists()


def test_a_missing_audit_of_the_archives_is_named(project):
    Path("results/archives/leakage.json").unlink()
    with pytest.raises(RontgenError, match=r"archives/leakage.json not found: run `git checkout results/archives`"):
        html_report.write(Path("report.html"))


def test_a_missing_page_of_a_study_is_named(project):
    Path("studies/jitet/README.md").unlink()
    with pytest.raises(RontgenError, match=r"studies/jitet/README.md not found: run `rontgen docs` first"):
        html_report.write(Path("report.html"))


@pytest.mark.parametrize("number", ["accuracy", "test_images"])
def test_a_missing_number_is_named(project, number):
    path = Path("metrics/runs/active/test/metrics.json")
    path.write_text(path.read_text().replace(f'"{number}"', '"other"', 1))
    with pytest.raises(RontgenError, match=f"a number of the page is missing, .*{number}.*: run `make repro`"):
        html_report.write(Path("report.html"))


def test_the_commit_is_named_and_what_differs_from_it(tmp_path, monkeypatch):
    def git(*arguments):
        return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit() == "unknown: no git repository"
    git("init", "--quiet")
    Path("file").write_text("one")
    git("add", "file")
    git("commit", "--quiet", "--message", "one")
    git("tag", "--annotate", "--message", "a tag", "version")
    head = git("rev-parse", "--short=12", "HEAD")
    assert commit() == head
    Path("file").write_text("two")
    assert commit() == f"{head} + changes"


def test_the_command_writes_where_it_is_told(project):
    command = [sys.executable, "-m", "rontgen", "report", "--output", "pages/evidence.html"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0 and result.stdout.startswith("pages/evidence.html: ")
    assert Path("pages/evidence.html").stat().st_size > 10_000

    Path("metrics/claims.json").unlink()
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr == "error: metrics/claims.json not found: run `make repro` first\n"
