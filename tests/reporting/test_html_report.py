"""The report: what it opens on, what it has of each study, and that it needs nothing but itself."""

import json
import re
import shutil
import subprocess
import sys
from contextlib import chdir
from html import escape, unescape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from conftest import ROOT, copy_settings
from rontgen.claims import architectures, studies
from rontgen.core import params
from rontgen.core.io import commit
from rontgen.core.papers import load_papers
from rontgen.records import records
from rontgen.reporting import html_report, pages
from rontgen.reporting.cards import Card

pytestmark = pytest.mark.slow

VOID = {"meta", "img", "br", "hr"}
RECORDED = "pirngadi_simple_rnn"


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


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with the settings, papers and records of the repository, and nothing that a stage wrote."""
    folder = tmp_path_factory.mktemp("whole")
    copy_settings(folder)
    shutil.copytree(ROOT / "results", folder / "results")
    return folder


@pytest.fixture(scope="module")
def report(whole):
    """The report on all of them."""
    with chdir(whole):
        return written()


@pytest.fixture(scope="module")
def found(whole):
    """What is known of each study."""
    with chdir(whole):
        return studies.gather(load_papers(), params.load(), records.read_all())


@pytest.fixture
def project(change_params):
    """The working directory: settings and papers, and of the records those of one run, which a test may change."""
    for name in (RECORDED, "splits", "archives"):
        shutil.copytree(ROOT / "results" / name, Path("results") / name)


def written():
    html_report.write(Path("report.html"))
    return Path("report.html").read_text(encoding="utf-8")


def test_the_report_opens_on_a_card_for_each_study(report, found):
    top = report.partition("<details")[0]
    card = r'<article class="card".*?<h3>(\w+)</h3>.*?<span class="verdict [a-z-]+">(.*?)</span>'
    verdicts = re.findall(card, top, re.DOTALL)
    cards = [Card.of(study) for study in found]
    assert [(name, unescape(verdict)) for name, verdict in verdicts] == [(card.study, card.verdict) for card in cards]
    assert len(cards) == 5 and all(card.picture in top for card in cards)


def test_below_the_cards_is_what_a_reader_remembers(report, found):
    below = report.partition("<details")[0].rpartition('<article class="card"')[2]
    assert [unescape(line) for line in re.findall(r"<li>(.*?)</li>", below)] == pages.remembered(found)


def test_the_figures_are_the_verdicts_and_the_leaks_each_with_a_text(report):
    top, _, rest = report.partition("<details")
    assert re.findall('alt="(.*?)"', top) == ["each published accuracy, our seeds, and how far apart the two are"]
    assert re.findall('alt="(.*?)"', rest) == ["accuracy against cost", "share of test images that leak"]
    assert report.count("<img") == 3 and rest.index("<img") > rest.index('id="architectures"')


def test_every_study_and_the_archives_are_folded_with_their_page(report, whole, found):
    with chdir(whole):
        papers, values = load_papers(), params.load()
        written = {study.name: pages.study_page(study, papers, values) for study in found}
        written["architectures"] = pages.architectures_page(architectures.gather(records.read_all()), values)
        written["archives"] = pages.archives_page(papers)
    parts = dict(re.findall(r'<details id="(\w+)">(.*?)</details>', report, re.DOTALL))
    assert list(parts) == list(written)
    for name, page in written.items():
        assert html_report.html(page) in parts[name]


def test_the_report_is_whole_html_that_asks_for_nothing_outside(report):
    page = Page(report)
    names = {name for _, attributes in page.tags for name in attributes}
    links = [attributes[name] for _, attributes in page.tags for name in ("src", "href") if name in attributes]
    assert links and all(link.startswith("data:image/png;base64,iVBORw0KGgo") for link in links)
    assert not names & {"srcset", "style", "onload", "onclick", "background"}
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert "url(" not in page.text and "@import" not in page.text


def test_headings_skip_no_level(report):
    levels = [int(tag[1]) for tag, _ in Page(report).tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_an_id_is_there_once(report):
    ids = [attributes["id"] for _, attributes in Page(report).tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_report_can_be_mailed(report):
    assert len(report.encode()) < 3_000_000


def test_a_link_is_text_and_a_table_can_be_scrolled():
    page = html_report.html("# A page\n\n[there](https://example.org)\n\n| a |\n|---|\n| b |\n")
    assert page.startswith("<h3>A page</h3>\n<p>there</p>\n")
    assert '<div class="wide" tabindex="0"><table>' in page and page.rstrip().endswith("</table></div>")


@pytest.mark.parametrize("where", ["about", "excluded"])
def test_html_in_a_study_stays_text(project, where):
    """On its card, and on its page."""
    said = '<img src="https://example.org/"> & <script>alert(1)</script>'
    path = Path("studies/pirngadi/paper.yaml")
    values = params.read_yaml(path, "base")
    values |= {"about": said} if where == "about" else {"excluded": [{"what": said, "place": "Table 1", "why": "No."}]}
    path.write_text(json.dumps(values))  # which is YAML too
    report = written()
    assert escape(said, quote=False) in report.replace("&#34;", '"').replace("&quot;", '"')
    page = Page(report)
    assert "script" not in {tag for tag, _ in page.tags}
    assert all(tag != "img" or attributes["src"].startswith("data:") for tag, attributes in page.tags)


def test_without_a_record_the_cards_have_no_picture(project):
    shutil.rmtree("results")
    report = written()
    assert report.count('<article class="card"') == 5 and "<svg" not in report
    assert report.count('<span class="verdict not-run">not run</span>') >= 3


def test_the_commit_is_named_and_what_differs_from_it(tmp_path, monkeypatch):
    def git(*arguments):
        return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit() == "unknown: no repository that git reads"
    git("init", "--quiet")
    Path("file").write_text("one")
    git("add", "file")
    git("commit", "--quiet", "--message", "one")
    git("tag", "--annotate", "--message", "a tag", "version")
    head = git("rev-parse", "--short=12", "HEAD")
    assert commit() == head
    Path("file").write_text("two")
    assert commit() == f"{head} + changes"


def test_the_command_writes_the_same_bytes_where_it_is_told(report, whole):
    command = [sys.executable, "-m", "rontgen", "report", "--output", "pages/evidence.html"]
    result = subprocess.run(command, cwd=whole, capture_output=True, text=True)
    assert result.returncode == 0 and result.stdout.startswith("pages/evidence.html: ")
    assert (whole / "pages/evidence.html").read_text(encoding="utf-8") == report
