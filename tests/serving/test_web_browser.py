"""The page in a real browser, headless: what people do with a mouse, a keyboard, or a screen reader."""

import base64
import io
import re
import shutil
import zipfile
from pathlib import Path

import httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Error, TimeoutError, expect, sync_playwright

import served_project
from conftest import ROOT
from hostile_uploads import HTML
from rontgen.data.demo import MINIATURES

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
(MINIATURE,) = MINIATURES.values()
WIDTHS = (1280, 390)  # pixels: a desktop, and a phone
PAGES = ("", "examine", "results", "about")
RUNS = ("active", served_project.REPORTED)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, BROWSERS)), None)
        try:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except Error:
            pytest.skip("no browser: install chromium, or run `python -m playwright install chromium`")
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(browser, project_to_serve):
    with served_project.served(project_to_serve, *RUNS) as address:
        yield address


@pytest.fixture
def page(browser, address):
    """A page of the server, which must request nothing from elsewhere and log no error."""
    context = browser.new_context(viewport={"width": WIDTHS[0], "height": 900}, base_url=address)
    page = context.new_page()
    asked, logged = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: logged.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: logged.append(str(error)))
    yield page
    context.close()
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert [text for text in logged if "422" not in text] == []  # Chromium logs it for a page with that status


@pytest.fixture(scope="module")
def xray(address, tmp_path_factory):
    """An X-ray of the miniature that neither run turns away; each does so with one in a hundred."""
    path = tmp_path_factory.mktemp("xray") / "xray.jpeg"
    with zipfile.ZipFile(ROOT / MINIATURE) as miniature:
        for name in miniature.namelist()[:10]:
            path.write_bytes(miniature.read(name))
            if all(ask(address, run, path)["in_distribution"] for run in RUNS):
                return path
    raise AssertionError("each of ten X-rays was turned away")


def ask(address, run, path):
    """The prediction of the JSON interface."""
    answer = httpx.post(f"{address}/api/predict", files={"files": path.read_bytes()}, params={"run": run}, timeout=60)
    return answer.raise_for_status().json()["predictions"][0]


def submit(page, path):
    """Choose a file, which is examined at once, and wait for the decision."""
    page.set_input_files("#file", path)
    expect(page.locator("#decision")).to_be_visible(timeout=60_000)


def examine(page, path, language="en"):
    page.goto(f"/{language}/examine")
    submit(page, path)


def choose_by_key(page, path):
    """Press Space or Enter on the focused field: the first key after a page load may be lost on a busy machine."""
    for key in ("Space", "Enter", "Space"):
        try:
            with page.expect_file_chooser(timeout=10_000) as chooser:
                page.keyboard.press(key)
        except TimeoutError:
            continue
        chooser.value.set_files(path)
        return
    raise AssertionError("no key opened the file chooser")


def violations(page):
    return [
        f"{found['impact']} {found['id']}: {found['nodes'][0]['html'][:200]}"
        for found in Axe().run(page).response["violations"]
    ]


def transfer(page, path):
    """A DataTransfer with the file, as a drop or a paste delivers it."""
    return page.evaluate_handle(
        """([text, name]) => {
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, {type: "image/jpeg"}));
            return transfer;
        }""",
        [base64.b64encode(path.read_bytes()).decode(), path.name],
    )


def test_a_file_is_chosen_by_button_and_read_at_once(page, address, xray):
    page.goto("/en/examine")
    with page.expect_file_chooser() as chooser:
        page.click("#file")
    chooser.value.set_files(xray)
    expect(page.locator("#decision")).to_be_visible(timeout=60_000)
    answer = ask(address, "active", xray)
    percentages = [100 * value for value in answer["probabilities"].values()]
    assert page.locator("#decision").inner_text() == answer["decision"]
    assert page.locator(".bars .number").all_inner_texts() == [f"{value:.1f}%" for value in percentages]
    widths = [float(bar.get_attribute("width")) for bar in page.locator(".bars rect:nth-of-type(2)").all()]
    assert widths == pytest.approx(percentages, abs=0.001)
    expect(page.locator("#heatmap")).to_have_js_property("naturalWidth", 448)
    expect(page.get_by_role("row", name=re.compile(r"^Accuracy 0\.\d{4} \(0\.\d{4}–"))).to_be_visible()


def test_a_file_is_dropped(page, xray):
    page.goto("/en/examine")
    page.dispatch_event(".drop", "dragenter", {"dataTransfer": transfer(page, xray)})
    expect(page.locator(".drop")).to_have_class("drop over")
    page.dispatch_event(".drop", "drop", {"dataTransfer": transfer(page, xray)})
    expect(page.locator("#decision")).to_be_visible(timeout=60_000)


def test_a_file_is_pasted(page, xray):
    page.goto("/en/examine")
    paste = "(transfer) => document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: transfer}))"
    page.evaluate(paste, transfer(page, xray))
    expect(page.locator("#decision")).to_be_visible(timeout=60_000)


def test_an_example_is_read(page):
    page.goto("/en/examine")
    examples = page.get_by_role("img", name=re.compile("Test image, by its archive: "))
    assert examples.count() >= 2
    examples.first.click()
    expect(page.locator("#result")).to_be_visible(timeout=60_000)


def test_the_result_is_saved(page, xray):
    examine(page, xray)
    saved = {}
    for kind in ("PNG", "PDF"):
        with page.expect_download() as download:
            page.get_by_role("link", name=f"Save as {kind}").click()
        assert download.value.suggested_filename == f"rontgen-active.{kind.lower()}"
        saved[kind] = Path(download.value.path()).read_bytes()
    assert saved["PDF"].startswith(b"%PDF-") and saved["PDF"].count(b"/Type /Page ") == 1
    with Image.open(io.BytesIO(saved["PNG"])) as image:
        assert image.width > 1000 and image.height > 800


def test_another_run_is_chosen_from_the_list(page, xray):
    page.goto("/en/examine")
    page.select_option("#run", served_project.REPORTED)
    submit(page, xray)
    expect(page.locator("footer")).to_contain_text("simple_rnn")
    expect(page.locator("figcaption").last).to_contain_text("Input gradient")
    assert page.input_value("#run") == served_project.REPORTED


@pytest.mark.parametrize(
    ("kind", "message"), [("HTML", "expected a picture (PNG, JPEG)"), ("noise", "unlike the chest X-rays")]
)
def test_what_gets_no_decision_is_said_and_another_can_be_tried(page, xray, tmp_path, kind, message):
    file = tmp_path / "page.png"
    if kind == "HTML":
        file.write_bytes(HTML)
    else:
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)).save(file)
    page.goto("/en/examine")
    page.set_input_files("#file", file)
    expect(page.get_by_role("alert")).to_contain_text(message, timeout=60_000)
    expect(page.locator("#decision")).to_have_count(0)
    assert violations(page) == []
    submit(page, xray)


def test_all_is_done_by_keyboard_alone(page, xray):
    page.goto("/en/")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    while page.locator(":focus").inner_text() != "Examine":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Examine a picture")
    page.wait_for_load_state()
    while page.evaluate("document.activeElement.id") != "file":
        page.keyboard.press("Tab")
    choose_by_key(page, xray)
    expect(page.locator("#decision")).to_be_visible(timeout=60_000)
    expect(page.locator("#result")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Save as PNG")
    with page.expect_download():
        page.keyboard.press("Enter")


def test_without_its_script_the_page_still_reads(browser, address, xray):
    context = browser.new_context(java_script_enabled=False, base_url=address)
    page = context.new_page()
    page.goto("/en/examine")
    page.set_input_files("#file", xray)
    page.click("button[type=submit]")
    expect(page.locator("#decision")).to_be_visible(timeout=60_000)
    context.close()


def test_the_other_language_is_one_click_away_on_every_page(page, xray):
    for name, heading in zip(PAGES, ("dibaca oleh model", "Periksa sebuah gambar", "Makalah", "Tentang"), strict=True):
        page.goto(f"/en/{name}")
        page.get_by_role("link", name="Bahasa Indonesia").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text(heading)
        assert page.get_attribute("html", "lang") == "id"
    examine(page, xray, language="id")
    expect(page.get_by_role("heading", name="Hasil")).to_be_visible()
    expect(page.get_by_role("link", name="Simpan sebagai PDF")).to_be_visible()


def test_about_shows_the_classes_and_the_layers(page):
    page.goto("/en/about")
    for name in ("NORMAL", "PNEUMONIA"):
        expect(page.get_by_role("img", name=f"Drawn chest X-ray: {name}")).to_be_visible()
    layers = page.locator(".layers li strong").all_inner_texts()
    assert layers[0] == "image" and layers[-1].startswith("probabilit") and len(layers) > 5
    expect(page.get_by_role("row", name=re.compile("^LiteRT int8"))).to_be_visible()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("language", ["en", "id"])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(page, xray, width, language):
    page.set_viewport_size({"width": width, "height": 900})
    for name in PAGES:
        page.goto(f"/{language}/{name}")
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    examine(page, xray, language)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
