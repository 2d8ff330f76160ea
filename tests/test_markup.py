"""Hostile text in a card: whatever a name, a licence or a prompt holds, it shows as text."""

import re
import shlex
from html import unescape

import pytest
from markdown_it import MarkdownIt

from vlaa_thinking.errors import ProjectError
from vlaa_thinking.markup import bibtex, code, escaped, fenced, read_template

HOSTILE = [
    "<script>alert(1)</script>",
    "</details></table><img src=x onerror=alert(1)>",
    "<!-- a comment",
    "[click](javascript:alert(1)) ![x](http://evil.example/x.png)",
    "`code` and ``` fence",
    "*em* **strong** _u_ ~~gone~~ $x^2$",
    "| a | cell |",
    "- an item",
    "+ an item",
    "1. an item",
    "7) an item",
    "# a heading",
    "=====",
    "---",
    "> a quote",
    "&lt;b&gt; &#60;",
    "a\n\n# b\n\n<b>c</b>",
    "a\r\nb\u2028c\x0bd",
    "https://evil.example www.evil.example me@evil.example",
    "[^1] and [x]: http://evil.example",
    "ends with a backslash \\",
    "\u202eturned\u2066 round\x00\x1b[31m",
    "{{ 7 * 7 }} {% raw %}",
    "---\nlicense: mit\n---",
]


def render(markdown: str) -> str:
    return str(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown))


def shown(html: str) -> str:
    """Read HTML as its reader does."""
    return " ".join(unescape(re.sub(r"<[^>]*>", "", html)).split())


def seen(text: str) -> str:
    """Leave out what is never shown: controls, and how lines are broken."""
    return " ".join(re.sub("[\x00-\x08\x1b\u202e\u2066]", "", text).split())


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    ("before", "after", "tags"),
    [
        ("", "", {"p"}),
        ("# ", "", {"h1"}),
        ("- ", "", {"ul", "li"}),
        ("A line before it\n", "\nand one behind.", {"p"}),
        ("| a | b |\n|---|---|\n| ", " | end |", {"table", "thead", "tbody", "tr", "th", "td"}),
    ],
    ids=["paragraph", "heading", "item", "line", "cell"],
)
def test_a_value_is_text_wherever_it_stands(text: str, before: str, after: str, tags: set[str]) -> None:
    made = read_template(before + "{{ text }}" + after, "card").render(text=text)
    html = render(made)
    assert set(re.findall(r"<(\w+)", html)) == tags
    assert seen(text) in shown(html)
    assert not re.search(r"(?<!\\)://|www\.|\w@", made)


@pytest.mark.parametrize("text", [*HOSTILE, "```\nout\n```", "````` \n~~~", ""])
def test_a_prompt_stays_in_its_block(text: str) -> None:
    template = "<details>\n<summary>a</summary>\n\n{{ text|fenced }}\n\n</details>\n\nEnd.\n"
    html = render(read_template(template, "card").render(text=text))
    inside = re.fullmatch(
        r'<details>\n<summary>a</summary>\n<pre><code class="language-text">(.*?)</code></pre>\n</details>\n'
        r"<p>End.</p>\n",
        html,
        re.DOTALL,
    )
    assert inside, html
    assert "<" not in inside[1]
    assert shown(inside[1]) == seen(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_title_stays_in_its_field(text: str) -> None:
    made = str(bibtex(text))
    assert "\n" not in made
    plain = re.sub(r"\\[{}%#&_$]|\\text\w+\{\}", "", made)
    assert not set("{}%#&_$\\~^") & set(plain)
    html = render(f"```bibtex\n@misc{{a,\n  title = {{{made}}}\n}}\n```\n")
    assert re.fullmatch(r'<pre><code class="language-bibtex">[^<]*</code></pre>\n', html)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_stays_one_word_of_its_command(text: str) -> None:
    made = read_template("```sh\nbuild --profile {{ text|shell }} --seed 0\n```", "card").render(text=text)
    lines = made.splitlines()
    assert len(lines) == 3
    words = shlex.split(lines[1])
    assert (len(words), words[3:]) == (5, ["--seed", "0"])
    assert seen(words[2]) == seen(text)


def test_what_a_template_marks_as_safe_is_left_alone() -> None:
    room = read_template("{{ 'a *b*'|safe }} {{ name|code }} {{ 1 }} {{ '<i>'|e }}", "card")
    assert room.render(name="a_b") == "a *b* `a_b` 1 &lt;i&gt;"
    assert escaped(3) == 3
    assert fenced("a") == "```text\na\n```"
    assert code("a|b") == "a|b"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Fine.\n[More Information Needed]", 'card, line 2: was never filled in: it says "More Information'),
        ("TODO: say more", 'card, line 1: was never filled in: it says "TODO"'),
        ('load_dataset("org/name")', 'card, line 1: was never filled in: it says "org/name"'),
        ("{% if %}", "card, line 1: cannot be rendered"),
    ],
)
def test_a_template_with_a_placeholder_is_refused(text: str, told: str) -> None:
    with pytest.raises(ProjectError, match=re.escape(told)):
        read_template(text, "card")
