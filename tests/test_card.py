"""The card and the manifest: every number from the data, and no data that becomes markup."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml  # type: ignore[import-untyped]
from datasets import load_dataset, load_dataset_builder
from markdown_it import MarkdownIt
from PIL import Image
from sums_project import sums_project, write_rows

from vlaa_thinking import Project, build
from vlaa_thinking.errors import NoReply, ProjectError
from vlaa_thinking.llm import Completion, Request
from vlaa_thinking.llm.fake import Fake
from vlaa_thinking.markup import code, escaped

ROLES = ("captioner", "reasoner", "rewriter", "judge")
NASTY = "<b>|x & `y` [z](http://z) *s* _u_ ~~d~~ $1$ &lt;"
"""A name that would be markup, a cell's end and a link, if it were let."""

Rows = list[dict[str, str]]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the demo, large enough for a validation split."""
    out = tmp_path_factory.mktemp("demo") / "set"
    build(Project.default(), out=out, limit=200)
    return out


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Make a project of three questions on three images, from a source with a nasty name."""
    project = Project.default().copy(tmp_path / "mine").root
    rows = []
    for n, answer in enumerate(("3", "4", "wait")):
        Image.new("RGB", (40 + n, 30), "red").save(project / f"{n}.png")
        rows.append({"id": str(n), "image": f"{n}.png", "question": f"# {NASTY}", "answer": answer})
    (project / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (project / "generators" / "1_collect.toml").write_text(
        f"[source.{json.dumps(NASTY)}]\n"
        f'reader = "table"\npath = "rows.jsonl"\nlicense = {json.dumps(NASTY)}\nanswer_type = "open"\nid = "id"\n',
        encoding="utf-8",
    )
    change(project, "generators/models.toml", r"^sources = .*$", f"sources = [{json.dumps(NASTY)}]")
    return project


def change(project: Path, name: str, pattern: str, text: str) -> None:
    """Replace the one place of a project's file, or each of its lines, that a pattern finds."""
    before = (project / name).read_text(encoding="utf-8")
    after = re.sub(pattern, lambda _: text, before, flags=re.MULTILINE)
    assert after != before
    (project / name).write_text(after, encoding="utf-8")


def answering(replies: Mapping[str, Completion | None]) -> dict[str, Fake]:
    """Make a model for all roles that answers a row by its image's width, in "0.png" and so on."""

    def script(request: Request) -> Completion | str:
        if request.step == "caption":
            (image,) = request.messages[-1].images
            return f"Picture {image.width - 40}."
        if request.step == "distill":
            reply = replies[re.findall(r"Picture (\d)\.", request.messages[-1].text)[0]]
            if reply is None:
                raise NoReply("the server hung up")
            return reply
        return '{"reason": "no", "verdict": "no"}'

    return dict.fromkeys(ROLES, Fake(script))


def thought(text: str, answer: str) -> Completion:
    return Completion.of(f"<answer>{answer}</answer>", reasoning=text)


def parts(folder: Path) -> tuple[dict[str, Any], str]:
    """Split README.md into its front matter and its text."""
    _, front, text = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(front), text


def manifest(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return read


def rendered(folder: Path) -> str:
    return str(MarkdownIt("commonmark").enable("table").render(parts(folder)[1]))


def plain(html: str) -> str:
    """Read HTML as its reader does."""
    text = re.sub(r"<[^>]*>", "", html).strip()
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")


def tables(folder: Path) -> Iterator[Rows]:
    """Read the card's tables, each row by the names of the columns."""
    for table in re.findall(r"<table>.*?</table>", rendered(folder), flags=re.DOTALL):
        rows = [
            [plain(cell) for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, flags=re.DOTALL)]
            for row in re.findall(r"<tr>.*?</tr>", table, flags=re.DOTALL)
        ]
        yield [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def table(folder: Path, first: str) -> Rows:
    """Find the one table whose first column has this name."""
    (found,) = [t for t in tables(folder) if next(iter(t[0])) == first]
    return found


# --- front matter -----------------------------------------------------------------------------------


def test_the_front_matter_holds_the_numbers_of_the_data(demo: Path) -> None:
    front, _ = parts(demo)
    for info in front["dataset_info"]:
        config = info["config_name"]
        files = list((demo / config).iterdir())
        assert info["download_size"] == sum(file.stat().st_size for file in files)
        loaded: Any = load_dataset(str(demo), config)
        assert {s["name"]: s["num_examples"] for s in info["splits"]} == {p: len(loaded[p]) for p in loaded}
        assert info["dataset_size"] == sum(s["num_bytes"] for s in info["splits"])
    assert {info["config_name"] for info in front["dataset_info"]} == {"sft", "rl", "rejected"}


def test_the_front_matter_names_configs_default_licence_and_size(demo: Path) -> None:
    front, _ = parts(demo)
    assert [(c["config_name"], c.get("default", False)) for c in front["configs"]] == [
        ("sft", True),
        ("rl", False),
        ("rejected", False),
    ]
    assert front["license"] == "cc0-1.0"
    assert front["language"] == ["en"]
    assert front["size_categories"] == ["n<1K"]
    assert front["pretty_name"] == "VLAA-Thinking demo"
    assert front["task_categories"] == ["visual-question-answering", "image-text-to-text"]


def test_text_of_the_project_is_quoted_in_the_front_matter(mine: Path, tmp_path: Path) -> None:
    change(mine, "cards/6_curate.toml", r"^pretty_name = .*$", "pretty_name = 'a: \"b\" # <c> 🤔'")
    change(mine, "cards/6_curate.toml", r"^language = .*$", 'language = ["no"]')
    made = build(Project.open(mine), out=tmp_path / "set", llms=answering(dict.fromkeys("012", ALL)))
    assert made.kept == 1
    front, text = parts(tmp_path / "set")
    assert front["pretty_name"] == 'a: "b" # <c> 🤔'
    assert front["language"] == ["no"]
    assert plain(rendered(tmp_path / "set")).startswith('a: "b" # <c> 🤔\n')
    assert text.count("\n# ") == 1


ALL = thought("I look.", "3")


def test_the_default_is_the_first_config_with_rows(mine: Path, tmp_path: Path) -> None:
    """Every reply hesitates, so that `sft` is empty."""
    llms = answering(
        {"0": thought("Wait. Three.", "3"), "1": thought("Wait.", "9"), "2": thought("Wait.", "9")}
    )
    made = build(Project.open(mine), out=tmp_path / "set", llms=llms)
    assert made.funnel.splits == {"rl": {"train": 1}}
    front, text = parts(tmp_path / "set")
    assert [(c["config_name"], c.get("default")) for c in front["configs"]] == [
        ("rl", True),
        ("rejected", None),
    ]
    assert load_dataset_builder(str(tmp_path / "set")).config.name == "rl"
    loaded: Any = load_dataset(str(tmp_path / "set"), split="train")
    assert len(loaded) == 1
    assert not (tmp_path / "set" / "sft").exists()
    assert "`sft` is" not in text
    assert 'load_dataset(folder, "sft")' not in text


# --- the text ---------------------------------------------------------------------------------------


def test_the_code_on_the_card_runs(demo: Path, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", parts(demo)[1], flags=re.DOTALL)
    show = "print()\nprint(len(sft['train']), len(rl['train']), len(rejected['train']))"
    shutil.copytree(demo, tmp_path / "vlaa-dataset")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{code}\n{show}"],
        cwd=tmp_path,
        env=os.environ | {"HF_DATASETS_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    splits = manifest(demo)["splits"]
    row, _, counts = done.stdout.strip().rpartition("\n\n")
    assert counts.split() == [str(splits[c]["train"]["rows"]) for c in ("sft", "rl", "rejected")]
    assert re.fullmatch(r".+ \S+ \(\d+, \d+\)", row)


def test_the_command_on_the_card_prints_the_root_hash(demo: Path) -> None:
    command = next(c for c in re.findall(r"```sh\n(.*?)```", parts(demo)[1], flags=re.DOTALL) if "256" in c)
    done = subprocess.run(["bash", "-c", command], cwd=demo, capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == manifest(demo)["root_sha256"]
    assert parts(demo)[1].count(manifest(demo)["root_sha256"]) == 2


def test_the_root_hash_is_of_the_rows_alone(mine: Path, tmp_path: Path) -> None:
    llms = answering({"0": ALL, "1": thought("I look.", "9"), "2": thought("I look.", "9")})
    build(Project.open(mine), out=tmp_path / "set", llms=llms)
    before = manifest(tmp_path / "set")
    change(mine, "cards/6_curate.toml", r"^tags = .*$", 'tags = ["another"]')
    change(mine, "cards/6_curate.toml", r"^about = .*$", 'about = "Another card."')
    build(Project.open(mine), out=tmp_path / "set", llms=llms)
    after = manifest(tmp_path / "set")
    assert before["files"]["README.md"] != after["files"]["README.md"]
    assert (
        before["root_sha256"] != after["root_sha256"]
    )  # for the rows name the hash of the file with the tags
    change(mine, "cards/dataset.md.jinja", r"\Z", "One line more.")
    build(Project.open(mine), out=tmp_path / "set", llms=llms)
    assert manifest(tmp_path / "set")["root_sha256"] == after["root_sha256"]


def test_the_funnel_on_the_card_adds_up(demo: Path) -> None:
    funnel, facts = table(demo, "step"), manifest(demo)
    assert [row["step"] for row in funnel] == ["collect", "caption", "distill", "rewrite", "verify", "curate"]
    for row, told, following in zip(funnel, facts["funnel"], [*funnel[1:], None], strict=True):
        codes = dict(re.findall(r"(\w+) (\d+)", row["why"]))
        assert codes == {code: str(count) for code, count in told["dropped"].items()}
        assert int(row["dropped"]) == sum(told["dropped"].values())
        assert int(row["rows in"]) - int(row["dropped"]) - int(row["failed"]) == int(row["rows out"])
        assert following is None or following["rows in"] == row["rows out"]
    assert funnel[0]["why"] == "-"
    kept = facts["rows"]["kept"]
    assert int(funnel[-1]["rows out"]) == kept
    assert f"200 rows in = {kept} kept + {200 - kept} dropped + 0 failed." in parts(demo)[1]
    assert "The sources hold 400 more rows that were not taken." in parts(demo)[1]


def test_counts_of_sources_and_types_add_up_to_the_splits(demo: Path) -> None:
    splits = {config: sum(s["rows"] for s in by.values()) for config, by in manifest(demo)["splits"].items()}
    for name in ("source", "answer type"):
        for config, rows in splits.items():
            assert sum(int(row[config]) for row in table(demo, name)) == rows
    shown = {
        (row["config"].removesuffix(" (default)"), row["split"]): int(row["rows"])
        for row in table(demo, "config")
    }
    assert shown == {(c, p): s["rows"] for c, by in manifest(demo)["splits"].items() for p, s in by.items()}


def test_every_column_is_explained(demo: Path) -> None:
    explained = [name for row in table(demo, "column") for name in row["column"].split(", ")]
    assert len(explained) == len(set(explained))
    infos: list[Any] = [load_dataset_builder(str(demo), c).info for c in ("sft", "rl", "rejected")]
    columns = {name for info in infos for name in info.features}
    assert set(explained) == columns


def test_hashes_on_the_card_are_those_of_the_project(demo: Path) -> None:
    shown = {row["file"]: row["SHA-256, first 16 digits"] for row in table(demo, "file")}
    assert shown == {name: digest[:16] for name, digest in Project.default().settings().hashes.items()}


def test_no_cell_is_empty_and_nothing_is_left_to_fill_in(demo: Path) -> None:
    assert all(cell for found in tables(demo) for row in found for cell in row.values())
    text = (demo / "README.md").read_text(encoding="utf-8")
    text = re.sub(
        r"<details>.*?</details>", "", text, flags=re.DOTALL
    )  # the prompts, which name what is filled in
    assert not re.search(
        r"More Information Needed|TODO|TBD|path/or/name|None|\{\{|\{%|\bnull\b(?! where| in | without)", text
    )


def test_the_first_sentence_says_that_the_demo_is_drawn(demo: Path) -> None:
    first = parts(demo)[1].strip().splitlines()[2]
    assert first.startswith(
        "The images of this set are drawn by a program and its reasoning is written by rules"
    )


def test_numbers_are_grouped_and_one_row_is_a_row(mine: Path, tmp_path: Path) -> None:
    llms = answering({"0": ALL, "1": thought("I look.", "9"), "2": None})
    build(Project.open(mine), out=tmp_path / "set", llms=llms, limit=1)
    _, text = parts(tmp_path / "set")
    assert "1 row in = 1 kept + 0 dropped + 0 failed." in text
    change(mine, "cards/dataset.md.jinja", r"\Z", "{{ n(1234567) }} {{ rows(1) }} {{ rows(2000) }}")
    build(Project.open(mine), out=tmp_path / "set", llms=llms, limit=1)
    assert parts(tmp_path / "set")[1].endswith("\n1,234,567 1 row 2,000 rows\n")


def test_failed_rows_are_told_of(mine: Path, tmp_path: Path) -> None:
    llms = answering({"0": ALL, "1": thought("I look.", "9"), "2": None})
    made = build(Project.open(mine), out=tmp_path / "set", llms=llms)
    assert (made.kept, made.funnel.dropped, made.funnel.failed) == (1, 1, 1)
    _, text = parts(tmp_path / "set")
    assert "3 rows in = 1 kept + 1 dropped + 1 failed." in text
    assert "A failed row is one whose model gave no reply" in text
    (row,) = table(tmp_path / "set", "source")
    assert [row[c] for c in ("sft", "rejected", "failed")] == ["1", "1", "1"]


def test_the_card_says_what_the_rules_are(mine: Path, tmp_path: Path) -> None:
    llms = answering({"0": ALL, "1": thought("I look.", "9"), "2": thought("I look.", "9")})
    build(Project.open(mine), out=tmp_path / "set", llms=llms)
    assert {r["role"]: r["wrote"] for r in table(tmp_path / "set", "role")}[
        "judge"
    ] == "the verdict, where no rule can tell"
    change(mine, "verifiers/5_verify.md", r"^rules = true$", "rules = false")
    change(mine, "verifiers/cues.toml", r"^phrases = .*$", 'phrases = ["ho_ho", "a|b"]')

    def script(request: Request) -> Completion | str:
        said: dict[str, Completion | str] = {"caption": "Picture.", "distill": ALL}
        return said.get(request.step, '{"reason": "the same", "verdict": "yes"}')

    build(Project.open(mine), out=tmp_path / "set", llms=dict.fromkeys(ROLES, Fake(script, identity="other")))
    assert {r["role"]: r["wrote"] for r in table(tmp_path / "set", "role")}["judge"] == "every verdict"
    assert '("ho_ho", "a|b") goes to rl' in plain(rendered(tmp_path / "set"))


def test_the_papers_counts_stand_beside_these(demo: Path) -> None:
    """Table 1 of the paper: 126,413 rows for SFT and 25,195 for RL."""
    types = {row["answer type"]: row for row in table(demo, "answer type")}
    counts = {kind: (row["paper: sft"], row["paper: rl"]) for kind, row in types.items()}
    assert counts == {
        "digit": ("5,923", "2,000"),
        "choice": ("34,604", "7,499"),
        "math": ("19,258", "6,696"),
        "iou": ("46,969", "4,000"),
        "open": ("19,659", "5,000"),
    }
    sums = [sum(int(pair[n].replace(",", "")) for pair in counts.values()) for n in (0, 1)]
    assert sums == [126_413, 25_195]
    assert "The paper's nine sources are not among these." in parts(demo)[1]


def test_a_source_of_the_papers_has_the_papers_counts_beside_it(mine: Path, tmp_path: Path) -> None:
    change(mine, "generators/1_collect.toml", r"^\[source\..*\]$", "[source.vizwiz]")
    change(mine, "generators/models.toml", r"^sources = .*$", 'sources = ["vizwiz"]')
    llms = answering({"0": ALL, "1": thought("I look.", "9"), "2": thought("I look.", "9")})
    build(Project.open(mine), out=tmp_path / "set", llms=llms)
    (row,) = table(tmp_path / "set", "source")
    assert (row["paper: sft"], row["paper: rl"]) == ("4,266", "1,000")
    assert "nine sources are not among" not in parts(tmp_path / "set")[1]


def drawn_source(project: Path, more: str) -> None:
    """Give the project one source of drawn images, which the demo's own teacher answers."""
    change(
        project,
        "generators/1_collect.toml",
        r"(?s)\A.+",
        f'[source.{json.dumps(NASTY)}]\nreader = "demo"\nkind = "bars"\ncount = 8\n{more}\n',
    )


def test_licences_people_and_terms_are_named(mine: Path, tmp_path: Path) -> None:
    nasty = f"See </details> <b>this</b> {NASTY}"
    told = json.dumps(nasty)
    drawn_source(mine, f'license = "GPL-3.0"\nlicense_note = {told}\npeople = {told}')
    change(mine, "generators/models.toml", r"^link = .*$", 'link = "https://a.example/b_c#d"')
    change(mine, "generators/models.toml", r"^says = \"Written.*$", f"says = {told}")
    build(Project.open(mine), out=tmp_path / "set")
    facts, html = manifest(tmp_path / "set"), rendered(tmp_path / "set")
    assert facts["models"]["reasoner"]["terms"] == {"link": "https://a.example/b_c#d", "says": nasty}
    assert facts["licensing"]["conflicts"] == [
        f"The dataset is declared cc0-1.0, and GPL-3.0 ({NASTY}) asks for attribution and share-alike."
    ]
    text = plain(html)
    assert f"Conflict: {facts['licensing']['conflicts'][0]}" in text
    assert (
        "strictest licence that a source states is GPL-3.0, which asks for attribution and share-alike"
        in text
    )
    assert text.count(nasty) == 3
    words = re.sub(r"```.*?```|`[^`]*`|\]\(.*?\)", "", parts(tmp_path / "set")[1], flags=re.DOTALL)
    assert not re.search(r"[a-z]\.[A-Z]", words.replace(NASTY, ""))  # two sentences that ran together
    assert '<a href="https://a.example/b_c#d">terms</a>' in html
    assert "<b>" not in html
    assert html.count("<details>") == html.count("</details>") == 4


def test_what_is_not_stated_is_said_not_to_be(mine: Path, tmp_path: Path) -> None:
    drawn_source(mine, 'license = "unknown"')
    change(mine, "generators/models.toml", r"^\[model\.teacher\.terms\]\nlink.*\nsays.*$", "")
    build(Project.open(mine), out=tmp_path / "set")
    assert manifest(tmp_path / "set")["models"]["reasoner"]["terms"] is None
    text = plain(rendered(tmp_path / "set"))
    assert "teacher: not stated." in text
    assert f"No licence is stated for {NASTY}: nobody has said" in text
    assert f"{NASTY}: not stated." in text


def test_prompts_are_printed_and_hashed(mine: Path, tmp_path: Path) -> None:
    trap = "A fence:\n```\n</details><script>alert(1)</script>\n~~~"
    change(mine, "generators/3_distill.md", r"^# System$", f"# System\n\n{trap}")
    llms = answering({"0": ALL, "1": thought("I look.", "9"), "2": thought("I look.", "9")})
    build(Project.open(mine), out=tmp_path / "set", llms=llms)
    html, facts = rendered(tmp_path / "set"), manifest(tmp_path / "set")
    settings = Project.open(mine).settings()
    blocks = [
        plain(found)
        for found in re.findall(r"<pre><code class=\"language-text\">(.*?)</pre>", html, re.DOTALL)
    ]
    steps = ("caption", "distill", "rewrite", "verify")
    prompts = [settings.prompts[step] for step in steps]
    assert blocks == [text for prompt in prompts for text in (prompt.system, prompt.user)]
    assert trap in blocks[2]
    assert "<script" not in html
    for step in steps:
        told = facts["prompts"][step]
        assert told["sha256"] == settings.hashes[told["file"]]
        assert f"<summary>{step}: {told['file']}, SHA-256 {told['sha256'][:16]}</summary>" in html


def test_every_picture_on_the_card_is_there_and_in_use(demo: Path) -> None:
    shown = re.findall(r"!\[([^\]]+)\]\((plots/.+?)\)", parts(demo)[1])
    assert sorted(path for _, path in shown) == sorted(
        path.relative_to(demo).as_posix() for path in (demo / "plots").iterdir()
    )
    assert {path for _, path in shown} == {"plots/funnel.png", "plots/lengths.png", "plots/sources.png"}
    assert all(len(alt.split()) > 5 for alt, _ in shown)
    for _, path in shown:
        with Image.open(demo / path) as image:
            image.load()
            assert image.format == "PNG"


def test_difficulty_and_agreement_are_told_where_they_were_measured(mine: Path, tmp_path: Path) -> None:
    change(mine, "generators/3_distill.md", r"^samples = 1$", "samples = 2")
    change(mine, "verifiers/5_verify.md", r"^both = 0.0$", "both = 1.0")
    llms = answering({"0": ALL, "1": thought("I look.", "9"), "2": thought("I look.", "9")})
    build(Project.open(mine), out=tmp_path / "set", llms=llms)
    text = plain(rendered(tmp_path / "set"))
    assert "Of the kept answers 1 was called right by rule, 0 by the judge." in text
    assert re.search(r"the judge was asked too about \d rows?: they agreed on \d \(\d+ %\)", text)
    (row,) = [
        r for found in tables(tmp_path / "set") for r in found if len(r) == 2 and r.get("part") == "sft/train"
    ]
    assert row["the teacher's draws that are right"] == "100 % over 1 row, 0 with none right, 1 with all"
    assert (tmp_path / "set/plots/pass-rates-teacher.png").is_file()


# --- data is never markup ---------------------------------------------------------------------------


def test_names_from_data_are_shown_as_they_are(mine: Path, tmp_path: Path) -> None:
    llms = answering({"0": ALL, "1": thought("I look.", "9"), "2": thought("I look.", "9")})
    build(Project.open(mine), out=tmp_path / "set", llms=llms)
    (row,) = table(tmp_path / "set", "source")
    assert (row["source"], row["licence"]) == (NASTY, NASTY)
    html = rendered(tmp_path / "set")
    assert "<b>" not in html
    assert "http://z" not in re.findall(r'href="(.*?)"', html)
    loaded: Any = load_dataset(str(tmp_path / "set"), "sft", split="train")
    assert (loaded[0]["source"], loaded[0]["source_license"]) == (NASTY, NASTY)


@pytest.mark.parametrize("write", [str, code])
@pytest.mark.parametrize(
    "name", [NASTY, "a|b", "a\\|b", "ends in \\", "``", "a`b", "<!-- x", "&amp;", "- x", "a\n\n# b"]
)
def test_any_name_stays_in_its_cell(write: Callable[[str], object], name: str) -> None:
    made = (
        MarkdownIt("commonmark")
        .enable("table")
        .render(f"| a | b |\n|---|---|\n| {escaped(write(name))} | end |\n")
    )
    cells = [plain(cell) for cell in re.findall(r"<td>(.*?)</td>", made, flags=re.DOTALL)]
    assert cells == [" ".join(name.split()), "end"]


def test_a_project_may_write_markdown_in_its_first_sentence(mine: Path, tmp_path: Path) -> None:
    change(
        mine,
        "cards/6_curate.toml",
        r"^about = .*$",
        'about = "Photos of [ours](https://o.example), *all* of them."',
    )
    build(Project.open(mine), out=tmp_path / "set", llms=answering(dict.fromkeys("012", ALL)))
    assert '<p>Photos of <a href="https://o.example">ours</a>, <em>all</em> of them.</p>' in rendered(
        tmp_path / "set"
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{{ m.nothing }}", "dataset.md.jinja: cannot be rendered: 'dict object' has no attribute 'nothing'"),
        ("{% if %}", "dataset.md.jinja, line 1: cannot be rendered: Expected an expression"),
        ("{{ 1 / 0 }}", "dataset.md.jinja: cannot be rendered: division by zero"),
        ("{{ ''.__class__.__mro__ }}", "dataset.md.jinja: cannot be rendered: access to attribute"),
    ],
)
def test_a_template_that_cannot_be_rendered_is_an_error_of_the_project(
    mine: Path, tmp_path: Path, line: str, told: str
) -> None:
    change(mine, "cards/dataset.md.jinja", r"\A", f"{line}\n")
    with pytest.raises(ProjectError, match=re.escape(told)):
        build(Project.open(mine), out=tmp_path / "set", llms=answering(dict.fromkeys("012", ALL)))
    assert not (tmp_path / "set").exists()


def test_the_changelog_says_what_the_first_version_is(demo: Path, mine: Path, tmp_path: Path) -> None:
    text = (demo / "CHANGELOG.md").read_text(encoding="utf-8")
    splits = [
        f"{config}/{part} {split['rows']}"
        for config, by in manifest(demo)["splits"].items()
        for part, split in by.items()
    ]
    assert text.count("\n## ") == 1
    assert f"## Unreleased\n\nThe first version.\n\n### Added\n\n- 200 rows: {', '.join(splits)}.\n" in text
    assert text.endswith("- The judge is `teacher`.\n")
    build(Project.open(mine), out=tmp_path / "set", llms=answering(dict.fromkeys("012", ALL)))
    html = MarkdownIt("commonmark").render((tmp_path / "set/CHANGELOG.md").read_text(encoding="utf-8"))
    assert f"1 source: {NASTY}." in plain(html)
    assert not re.search("<(b|a|em|strong)[ >]", html)


def test_nothing_private_is_in_any_file_of_the_folder(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key, a home, a user and a password are planted where a build could read them."""
    planted = {
        "OPENAI_API_KEY": "sk-planted-0123456789",
        "HF_TOKEN": "hf_planted0123456789",
        "USER": "zaphod-the-user",
        "LOGNAME": "zaphod-the-user",
        "HOME": str(tmp_path / "home-of-zaphod"),
    }
    for name, value in planted.items():
        monkeypatch.setenv(name, value)
    change(
        mine,
        "generators/models.toml",
        r'^\[model\.teacher\]\napi = "demo"$',
        '[model.teacher]\napi = "demo"\napi_key_env = "OPENAI_API_KEY"\n'
        'base_url = "http://zaphod:planted-password@10.9.8.7:1/v1"\nmodel = "/srv/planted-path/weights"',
    )
    made = build(Project.open(mine), out=tmp_path / "set", llms=answering(dict.fromkeys("012", ALL)))
    assert made.kept
    secrets = [
        *planted.values(),
        str(tmp_path),
        str(mine),
        str(Path.home()) + "/",
        "planted",
        "zaphod",
        "10.9.8.7",
    ]
    files = [path for path in (tmp_path / "set").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".md", ".json", ".png", ".parquet"}
    for file in files:
        held = file.read_bytes()
        if file.suffix == ".parquet":
            held += repr(pq.read_table(file).to_pylist()).encode()  # its pages are compressed
        found = [secret for secret in secrets if secret.encode() in held]
        assert not found, file.name


# --- the manifest -----------------------------------------------------------------------------------


def test_the_manifest_holds_no_address_key_or_path(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SECRET_NAME", "sk-my-secret")
    model = (
        "[model.teacher]\n"
        'api = "demo"\nbase_url = "http://user:pass@10.1.2.3:8000/v1"\napi_key_env = "MY_SECRET_NAME"\n'
        'model = "/data/models/my-model"\n'
    )
    change(mine, "generators/models.toml", r'^\[model\.teacher\]\napi = "demo"$', model)
    llms = answering({"0": ALL, "1": thought("I look.", "9"), "2": thought("I look.", "9")})
    build(
        Project.open(mine), out=tmp_path / "one", llms={**llms, "judge": Fake(lambda _: "{}", identity="j")}
    )
    change(
        mine,
        "generators/1_collect.toml",
        r"(?s)\A.+",
        '[source.s]\nreader = "demo"\nkind = "bars"\ncount = 8\n',
    )
    change(mine, "generators/models.toml", r"^sources = .*$", 'sources = ["s"]')
    build(Project.open(mine), out=tmp_path / "two")
    for name in ("one", "two"):
        for file in ("manifest.json", "README.md"):
            text = (tmp_path / name / file).read_text(encoding="utf-8")
            for secret in (
                "10.1.2.3",
                "pass@",
                "MY_SECRET_NAME",
                "sk-my-secret",
                "/data/models",
                str(tmp_path),
                str(mine),
            ):
                assert secret not in text
    assert manifest(tmp_path / "two")["models"]["reasoner"]["model"] == "my-model"


def test_the_manifest_holds_the_rules_as_they_were_resolved(mine: Path, tmp_path: Path) -> None:
    change(mine, "generators/models.toml", r"^seed = 0$", 'seed = 0\nstop = ["END"]')
    change(
        mine,
        "generators/1_collect.toml",
        r"(?s)\A.+",
        '[source.s]\nreader = "demo"\nkind = "bars"\ncount = 8\ntake = 6\n',
    )
    change(mine, "generators/models.toml", r"^sources = .*$", 'sources = ["s"]')
    build(Project.open(mine), out=tmp_path / "set", seed=5)
    facts = manifest(tmp_path / "set")
    assert (facts["profile"], facts["preset"], facts["seed"]) == ("offline", "strict", 5)
    assert facts["models"]["judge"]["params"]["stop"] == ["END"]
    rules = facts["rules"]
    assert rules["prompts"]["rewrite"] == {
        "role": "rewriter",
        "params": rules["prompts"]["rewrite"]["params"],
        "send": "leaks",
        "guard": "strict",
        "max_word_gap": 15,
        "max_edit_share": 0.25,
    }
    assert rules["verifiers"]["iou"]["pass"] == 0.5
    assert rules["cues"]["match"] == "word"
    assert {name: rules["curate"][name] for name in ("rl", "validation_share", "caps")} == {
        "rl": "cues",
        "validation_share": 0.02,
        "caps": {},
    }
    assert rules["curate"]["band"] == {"of": "policy", "above": 0.0, "below": 1.0}
    assert rules["take"] == {"s": 6}


def test_rows_that_rest_on_one_reply_are_counted(tmp_path: Path, demo: Path) -> None:
    """Two rows with the same caption and question share the reasoner's one reply."""
    assert manifest(demo)["shared_traces"] == 0
    assert "No two kept rows rest on the same reply" in (demo / "README.md").read_text()
    project = sums_project(tmp_path / "p", "http://127.0.0.1:1/v1", count=2, per_image=1)
    rows = [{"id": n, "image": f"{n}.png", "question": "What is 1 plus 8?", "answer": "9"} for n in "01"]
    write_rows(project.root, rows)
    fake = Fake(
        lambda r: "A box." if r.role == "captioner" else "<think>One and eight.</think><answer>9</answer>"
    )
    build(
        project,
        out=tmp_path / "out",
        llms=dict.fromkeys(("captioner", "reasoner", "rewriter", "judge"), fake),
    )
    assert manifest(tmp_path / "out")["shared_traces"] == 2
    assert "2 kept rows rest on a reply" in (tmp_path / "out/README.md").read_text()
