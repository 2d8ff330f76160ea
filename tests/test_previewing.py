"""The preview: one page that holds everything, lets nothing out of its texts, and can be clicked through."""

import io
import json
import random
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import pytest
import typer.testing
from made_release import make_release
from PIL import Image
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select
from tampered import manifest_of, rewrite, rows_of, write_manifest

from vlaa_thinking import Project, audit, build, import_release, preview
from vlaa_thinking.cli import app
from vlaa_thinking.edition import Edition
from vlaa_thinking.errors import OutputError, SetupError
from vlaa_thinking.previewing.pictures import small
from vlaa_thinking.previewing.sample import as_script, choose

HOSTILE = (
    "<script>document.title = 'taken'</script></script><img src=x onerror=\"document.title = 'taken'\">"
    " <!-- <script> & \u2028 \U0001f600 {{ m }} ${1} wait"
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the whole demo: 600 rows."""
    out = tmp_path_factory.mktemp("preview") / "set"
    build(Project.default(), out=out)
    return out


@pytest.fixture(scope="module")
def page(demo: Path) -> Path:
    made = preview(demo)
    assert made.file == demo.with_name("set.html")
    assert (made.rows, made.of, made.bytes) == (500, 600, made.file.stat().st_size)
    return made.file


def data(page: Path, name: str = "rows") -> Any:
    found = re.search(rf'id="data-{name}">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return json.loads(found[1])


# --- the page as a file ---------------------------------------------------------------------------


def test_a_page_of_500_rows_is_small_and_whole(page: Path) -> None:
    assert page.stat().st_size < 20_000_000
    text = page.read_text(encoding="utf-8")
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text
    assert not re.findall(r'(?:src|href)="(?!#)[^"]*"', text)  # nothing is loaded from anywhere
    assert len(data(page)) == 500


def test_the_folder_is_left_as_it_was(demo: Path, page: Path) -> None:
    assert page.exists()
    assert audit(demo).findings == ()


def test_the_sample_holds_every_split_source_and_reason(demo: Path) -> None:
    edition = Edition.open(demo)
    every = {(row.config, row.part) for row in choose(edition, 10_000)}
    few = choose(edition, 60)
    assert len(few) == 60
    assert {(row.config, row.part) for row in few} == every
    assert len(choose(edition, 10_000)) == 600
    assert len(choose(edition, 3)) == 3
    codes = Counter(row["code"] for row in rows_of(demo, "rejected/train"))
    shown = Counter(
        row["code"]
        for row in data(preview(demo, out=demo.with_name("few.html"), rows=60).file)
        if "code" in row
    )
    assert set(shown) == set(codes)


def test_a_page_is_the_same_each_time(demo: Path, tmp_path: Path) -> None:
    first, second = (preview(demo, out=tmp_path / name, rows=40).file for name in ("a.html", "b.html"))
    assert first.read_bytes() == second.read_bytes()


def test_a_row_says_what_its_columns_say(demo: Path, page: Path) -> None:
    rows = {row["id"]: row for split in ("sft/train", "rl/train") for row in rows_of(demo, split)}
    shown = [row for row in data(page) if row["id"] in rows]
    assert len(shown) > 300
    for row in shown:
        full = rows[row["id"]]
        assert row["question"] == full["question"]
        assert row["answer"] == full["answer"]
        assert row["reasoning"] == full["reasoning"]
        assert row["why"] == full["why"]
        assert row["verdict"] == "right"
        assert row["image_sha256"] in data(page, "pictures")
        break
    marked = [row for row in shown if row.get("cueSpans")]
    assert marked
    for row in marked:
        text = row.get("teacher_reasoning", row["reasoning"])
        assert {text[start:end].lower() for start, end in row["cueSpans"]} <= set(row["cues"])


def test_an_import_has_a_page_too(tmp_path: Path) -> None:
    make_release(tmp_path / "release", 120)
    import_release(tmp_path / "release", out=tmp_path / "set", embed=False)
    made = preview(tmp_path / "set")
    assert made.rows == made.of > 50
    assert "Why rows were dropped" in made.file.read_text(encoding="utf-8")
    assert data(made.file, "pictures") == {}


def test_script_data_holds_nothing_that_a_parser_takes_for_markup() -> None:
    text = as_script({"a": HOSTILE, "half a pair": "\ud800"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text)["a"] == HOSTILE
    text.encode()


def noise(side: int) -> bytes:
    picture = Image.frombytes("RGB", (side, side), random.Random(0).randbytes(side * side * 3))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("most", [30_000, 8_000, 4_000])
def test_an_image_is_made_as_small_as_it_must_be(most: int) -> None:
    uri = small(noise(800), most)
    assert uri.startswith("data:image/webp;base64,")
    assert len(uri) < most * 4 / 3 + 100


def test_a_drawing_stays_as_sharp_as_it_is() -> None:
    picture = Image.new("RGBA", (300, 200), (0, 0, 0, 0))
    picture.paste((255, 0, 0, 255), (50, 50, 100, 100))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    import base64  # noqa: PLC0415

    shown = Image.open(io.BytesIO(base64.b64decode(small(buffer.getvalue(), 20_000).partition(",")[2])))
    assert shown.size == (300, 200)
    assert shown.getpixel((60, 60)) == (255, 0, 0)
    assert shown.getpixel((10, 10)) == (255, 255, 255)  # on white, as a dark page would hide black lines


def test_an_image_that_cannot_be_made_so_small_is_left_out() -> None:
    assert small(noise(800), 100) == ""


@pytest.mark.parametrize("broken", [b"", b"no image", noise(50)[:500]])
def test_what_is_no_image_is_left_out(broken: bytes) -> None:
    assert small(broken, 20_000) == ""


def test_texts_are_cut_where_they_would_fill_the_page(demo: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(demo, tmp_path / "set")
    rewrite(folder, lambda rows: [{**row, "reasoning": "x" * 400_000} for row in rows[:40]])
    made = preview(folder, rows=30)
    row = next(row for row in data(made.file) if row["config"] == "sft")
    assert row["reasoning"].endswith("x [... 380,000 more characters]")


def test_a_page_goes_nowhere_that_it_would_harm(demo: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="would lie in the dataset"):
        preview(demo, out=demo / "preview.html")
    mine = tmp_path / "mine.html"
    mine.write_text("<p>my own</p>")
    with pytest.raises(OutputError, match="is no preview of ours"):
        preview(demo, out=mine)
    assert mine.read_text() == "<p>my own</p>"
    with pytest.raises(OutputError, match="is a folder"):
        preview(demo, out=tmp_path)
    with pytest.raises(OutputError, match="cannot be written"):
        preview(demo, out=tmp_path / "nowhere/page.html", rows=1)
    with pytest.raises(SetupError, match="one at least"):
        preview(demo, rows=0)
    with pytest.raises(OutputError, match=r"holds no manifest\.json"):
        preview(tmp_path)


def test_a_page_of_ours_is_written_over(demo: Path, tmp_path: Path) -> None:
    preview(demo, out=tmp_path / "page.html", rows=5)
    assert preview(demo, out=tmp_path / "page.html", rows=6).rows == 6


def test_a_project_s_names_are_text_in_the_numbers_too(demo: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(demo, tmp_path / "set")
    manifest = manifest_of(folder)
    manifest["sources"] = {HOSTILE: manifest["sources"]["bars"]}
    manifest["models"]["judge"]["name"] = HOSTILE
    manifest["profile"] = HOSTILE
    write_manifest(folder, manifest)
    text = preview(folder, rows=5).file.read_text(encoding="utf-8")
    assert "&lt;script&gt;document.title" in text
    assert "<script>document.title" not in text


def test_the_command_says_where_the_page_is(demo: Path, tmp_path: Path) -> None:
    made = typer.testing.CliRunner().invoke(
        app, ["preview", str(demo), "--out", str(tmp_path / "p.html"), "--rows", "9"]
    )
    assert made.exit_code == 0, made.output
    assert re.fullmatch(r"Wrote .*p\.html: 9 of 600 rows, \d\.\d MB\.\n", made.output)


# --- the page in a browser ------------------------------------------------------------------------

needs_browser = pytest.mark.skipif(bool(browser.missing()), reason=browser.missing())


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    with browser.browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


def visit(driver: WebDriver, page: Path, fragment: str = "") -> None:
    driver.get("about:blank")
    driver.get(f"{page.as_uri()}{fragment}")


def css(driver: WebDriver | WebElement, selector: str) -> WebElement:
    return driver.find_element(By.CSS_SELECTOR, selector)


def items(driver: WebDriver) -> list[WebElement]:
    """Find the rows in the list that a filter has left there."""
    script = "return [...document.querySelectorAll('#list li')].filter((item) => item.offsetParent)"
    found: list[WebElement] = driver.execute_script(script)
    return found


def chosen(driver: WebDriver) -> str:
    return css(driver, "#row .id").text


def press(driver: WebDriver, keys: str) -> None:
    driver.switch_to.active_element.send_keys(keys)


def complaints(driver: WebDriver) -> list[Any]:
    found: list[Any] = driver.get_log("browser")  # type: ignore[no-untyped-call]
    return found


@needs_browser
def test_rows_are_clicked_through(chromium: WebDriver, page: Path) -> None:
    rows = data(page)
    visit(chromium, page)
    assert chromium.title == "set: preview"
    assert css(chromium, "#found").text == "500 rows"
    assert chosen(chromium) == rows[0]["id"]
    assert len(items(chromium)) == 500
    items(chromium)[3].click()
    assert chosen(chromium) == rows[3]["id"]
    shown = css(chromium, "#row").text
    assert all(rows[3][name] in shown for name in ("question", "answer", "why", "reasoning"))
    image = css(chromium, "#row figure img")
    assert chromium.execute_script("return arguments[0].naturalWidth", image) > 100
    assert css(chromium, "#list li[aria-selected=true]").get_attribute("id") == "row-3"
    css(chromium, "#row .step button:last-child").click()
    assert chosen(chromium) == rows[4]["id"]
    assert chromium.execute_script("return location.hash").startswith("#row=")
    assert complaints(chromium) == []


@needs_browser
def test_the_keyboard_is_enough(chromium: WebDriver, page: Path) -> None:
    rows = data(page)
    visit(chromium, page)
    press(chromium, "jjk")
    assert chosen(chromium) == rows[1]["id"]
    press(chromium, "/")
    assert chromium.switch_to.active_element.get_attribute("id") == "search"
    press(chromium, "jk")  # letters there, no movement
    assert css(chromium, "#found").text == "0 of 500 rows"
    assert css(chromium, "#row").text == "No row is like that."
    press(chromium, Keys.BACKSPACE * 2 + Keys.ESCAPE)
    assert chromium.switch_to.active_element.get_attribute("id") == "list"
    press(chromium, Keys.END)
    assert chosen(chromium) == rows[-1]["id"]
    assert not css(chromium, "#row .step button:last-child").is_enabled()
    press(chromium, Keys.HOME + Keys.ARROW_DOWN + Keys.PAGE_DOWN)
    assert chosen(chromium) == rows[11]["id"]
    assert css(chromium, "#list").get_attribute("aria-activedescendant") == "row-11"
    press(chromium, "f")
    assert css(chromium, "#large").is_displayed()
    press(chromium, Keys.ESCAPE)
    assert not css(chromium, "#large").is_displayed()


@needs_browser
def test_filters_narrow_the_rows_and_can_be_cleared(chromium: WebDriver, page: Path) -> None:
    rows = data(page)
    visit(chromium, page)
    Select(css(chromium, "#config")).select_by_value("=rejected")
    Select(css(chromium, "#code")).select_by_value("=wrong_answer")
    wanted = [row for row in rows if row.get("code") == "wrong_answer"]
    assert 0 < len(wanted) < 100
    assert css(chromium, "#found").text == f"{len(wanted)} of 500 rows"
    assert len(items(chromium)) == len(wanted)
    assert chosen(chromium) == wanted[0]["id"]
    shown = css(chromium, "#row").text
    assert wanted[0]["reason"] in shown
    assert wanted[0]["evidence"] in shown
    css(chromium, "#search").send_keys(wanted[-1]["id"].upper())
    assert chosen(chromium) == wanted[-1]["id"]
    css(chromium, "#filters button").click()
    chromium.execute_async_script("setTimeout(arguments[0])")
    assert len(items(chromium)) == 500


@needs_browser
def test_boxes_are_drawn_on_the_image(chromium: WebDriver, page: Path) -> None:
    row = next(row for row in data(page) if row["answer_type"] == "iou" and row["state"] == "kept")
    visit(chromium, page, f"#row={row['id'].replace('/', '%2F')}")
    assert chosen(chromium) == row["id"]
    image, box = (css(chromium, f"#row figure {what}").rect for what in ("img", "rect.gold"))
    left, top, right, bottom = row["boxes"][0]
    assert box["x"] - image["x"] == pytest.approx(left * image["width"], abs=3)
    assert box["y"] - image["y"] == pytest.approx(top * image["height"], abs=3)
    assert box["width"] == pytest.approx((right - left) * image["width"], abs=6)
    assert box["height"] == pytest.approx((bottom - top) * image["height"], abs=6)


@needs_browser
def test_what_was_unfolded_stays_so(chromium: WebDriver, page: Path) -> None:
    visit(chromium, page)
    css(chromium, "#row details:last-of-type summary").click()
    title = css(chromium, "#row details[open] summary").text
    press(chromium, "j")
    assert css(chromium, "#row details[open] summary").text == title


@needs_browser
def test_hostile_text_is_text(chromium: WebDriver, demo: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(demo, tmp_path / "set")
    texts = (
        "question",
        "answer",
        "reasoning",
        "caption",
        "teacher_reasoning",
        "teacher_response",
        "why",
        "source",
    )
    hostile = {
        **dict.fromkeys(texts, HOSTILE),
        "choices": [HOSTILE],
        "cues": ["wait"],
        "cue_starts": [HOSTILE.index("wait")],
    }
    rewrite(folder, lambda rows: [{**row, **hostile, "id": f"{HOSTILE}/{i}"} for i, row in enumerate(rows)])
    made = preview(folder, rows=50)
    visit(chromium, made.file)
    options = Select(css(chromium, "#source")).options
    next(option for option in options if option.get_attribute("value") == f"={HOSTILE}").click()
    assert css(chromium, "#row h3").text.startswith("<script>document.title")
    assert chosen(chromium).startswith("<script>")
    for folded in chromium.find_elements(By.CSS_SELECTOR, "#row summary"):
        folded.click()
    assert css(chromium, "#row mark").text == "wait"
    press(chromium, "j")
    assert chromium.title == "set: preview"
    assert chromium.find_elements(By.CSS_SELECTOR, "#row script, #row img[onerror], #list script") == []
    assert complaints(chromium) == []


@needs_browser
@pytest.mark.parametrize("width", [360, 800, 1000, 1400, 2200])
def test_the_page_fits_its_window(chromium: WebDriver, page: Path, width: int) -> None:
    browser.resize(chromium, width, 900)
    try:
        visit(chromium, page)
        assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
        items(chromium)[2].click()
        assert css(chromium, "#row h3").size["width"] > 250  # the image leaves room for the words
        pane = css(chromium, "#row")
        assert (
            chromium.execute_script("return arguments[0].scrollWidth - arguments[0].clientWidth", pane) <= 0
        )
        assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        browser.resize(chromium, 1400, 1000)


CONTRAST = """
const light = (text) => { const [r, g, b] = text.match(/[\\d.]+/g).map((part) => {
  const c = part / 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const style = getComputedStyle(document.querySelector(arguments[0]));
const ground = getComputedStyle(document.querySelector(arguments[1]));
const [a, b] = [light(style.color), light(ground.backgroundColor)].sort((x, y) => y - x);
return (a + 0.05) / (b + 0.05);
"""


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_either_scheme(chromium: WebDriver, page: Path, scheme: str) -> None:
    browser.prefer(chromium, scheme)
    try:
        visit(chromium, page)
        ground = chromium.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", ground))) > 380) is (scheme == "light")
        for text, behind in (
            ("body", "body"),
            (".tiles dt", ".tiles div"),
            ("#row .text", "#row"),
            ("#browser .about", "body"),
        ):
            assert chromium.execute_script(CONTRAST, text, behind) > 4.5, text
    finally:
        browser.prefer(chromium, "light")


@needs_browser
def test_every_control_has_a_name(chromium: WebDriver, page: Path) -> None:
    visit(chromium, page)
    controls = chromium.find_elements(By.CSS_SELECTOR, "input, select, button, a, [role=listbox], article")
    assert len(controls) > 10
    assert [control.get_attribute("outerHTML") for control in controls if not control.accessible_name] == []
    press(chromium, "f")
    assert css(chromium, "#large").accessible_name == "The image, enlarged"
