"""The strict reader: every fault is named with its file, its line and the nearest known word."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from vlaa_thinking import toml
from vlaa_thinking.errors import ProjectError


@dataclass(frozen=True, kw_only=True)
class Inner:
    size: int = field(default=1, metadata={"range": (1, 9)})
    share: float = field(default=0.5, metadata={"range": (0, float("inf"))})


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    pass_: float = 1.0
    on: bool = False
    send: Literal["leaks", "all"] = "leaks"
    words: tuple[str, ...] = ()
    limit: int | None = None
    params: dict[str, Any] = field(default_factory=dict[str, Any])
    inner: dict[str, Inner] = field(default_factory=dict[str, Inner])
    one: Inner = field(default_factory=Inner)


Read = Callable[[str], toml.Table]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def from_text(text: str) -> toml.Table:
        path = tmp_path / "file.toml"
        path.write_text(text, encoding="utf-8")
        return toml.read(path, "rules/file.toml")

    return from_text


def fault(table: toml.Table) -> str:
    with pytest.raises(ProjectError) as raised:
        table.into(Outer)
    assert raised.value.file == "rules/file.toml"
    text = str(raised.value)
    assert text.startswith("rules/file.toml, line ")
    return text.removeprefix("rules/file.toml, ")


def test_every_type_is_read(read: Read) -> None:
    table = read(
        'name = "x"\npass = 1\non = true\nsend = "all"\nwords = ["a", "b"]\nlimit = 3\n'
        '[params]\ntop = [1, { deep = true }]\n[inner.a]\nsize = 2\n[inner."b.c"]\nshare = 1\n[one]\nsize = 9\n'
    )
    assert table.into(Outer) == Outer(
        name="x",
        pass_=1.0,
        on=True,
        send="all",
        words=("a", "b"),
        limit=3,
        params={"top": [1, {"deep": True}]},
        inner={"a": Inner(size=2), "b.c": Inner(share=1.0)},
        one=Inner(size=9),
    )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("name = 3", '"name" must be text in quotes, not 3'),
        ("pass = true", '"pass" must be a number, not true'),
        ("on = 1", '"on" must be true or false, not 1'),
        ('send = "leak"', '"send" must be one of "leaks", "all", not "leak"'),
        ('words = "a"', '"words" must be a list, each item text in quotes, not "a"'),
        ('words = ["a", 1]', '"words" must be a list, each item text in quotes, not ["a", 1]'),
        ("limit = 2.5", '"limit" must be a whole number, not 2.5'),
        ("limit = true", '"limit" must be a whole number, not true'),
        ("params = 1", '"params" must be a table, not 1'),
        ("one = []", '"one" must be a table, not []'),
        ("inner = { a = 1 }", 'in [inner], "a" must be a table, not 1'),
        ("limit = 2020-01-02", '"limit" must be a whole number, not "2020-01-02"'),
        (f'limit = "{"x" * 99}"', f'"limit" must be a whole number, not "{"x" * 59} ...'),
        ("nane = 1", 'unknown key "nane"; did you mean "name"?'),
        ("pass_ = 1", 'unknown key "pass_"; did you mean "pass"?'),
        ("zz = 1", 'unknown key "zz"; known: inner, limit, name, on, one, params, pass, send, words'),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_with_its_line(read: Read, line: str, says: str) -> None:
    before = "" if line.startswith("name") else 'name = "x"\n'
    assert fault(read(f"# A comment.\n\n{before}{line}\n")) == f"line {4 if before else 3}: {says}"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("size = 0", '"size" must be between 1 and 9, not 0'),
        ("size = 10", '"size" must be between 1 and 9, not 10'),
        ("share = -0.5", '"share" must be at least 0, not -0.5'),
        ("share = nan", '"share" must be at least 0, not nan'),
    ],
)
def test_a_number_out_of_bounds_is_named_with_its_line(read: Read, line: str, says: str) -> None:
    assert fault(read(f'name = "x"\n[one]\n{line}\n')) == f"line 3: in [one], {says}"


def test_a_missing_key_is_told_at_its_table(read: Read) -> None:
    assert fault(read("# Nothing here.\non = true\n")) == 'line 1: the key "name" is missing'

    @dataclass(frozen=True)
    class Strict:
        must: int

    with pytest.raises(ProjectError, match=r'line 3: in \[a\.b\], the key "must" is missing'):
        read("[a]\nx = 1\n[a.b]\nother = 1\n[a.c]\n").sub("a").sub("b").without("other").into(Strict)


@pytest.mark.parametrize(
    ("text", "line", "table"),
    [
        ('name = "x"\n\n[one]\nsise = 1\n', 4, "one"),
        ('sise = 1\nname = "x"\n[inner.a]\nshare = 1\nsise = 1\n', 1, ""),
        ('name = "x"\n[inner.a]\nsize = 1\n[inner.b]\nsise = 1\n', 5, "inner.b"),
        ('name = "x"\n[inner."gpt-4.1"] # a model\n"sise" = 1\n', 3, "inner.gpt-4.1"),
        ('name = "x"\n[ one ]\n  sise=1\n', 3, "one"),
        ('name = "x"\none.size = 1\none.sise = 1\n', 2, "one"),
        ('name = "x"\none = { size = 1, sise = 2 }\n', 2, "one"),
        ('words = ["""\n[one]\nsise = 1\n"""]\nname = "x"\n[one]\nsise = 1\n', 7, "one"),
        ("name = '''\nsise = 1'''\nsise = 2\n", 3, ""),
        ('words = [\n  "[one]",\n]\nname = "x"\n[one]\nsise = 1\n', 6, "one"),
    ],
)
def test_a_line_is_that_of_the_key_in_its_own_table(read: Read, text: str, line: int, table: str) -> None:
    where = f"in [{table}], " if table else ""
    assert fault(read(text)).startswith(f'line {line}: {where}unknown key "sise"')


def test_a_table_is_found_by_the_headers_of_tables_in_it(read: Read) -> None:
    text = 'name = "x"\n[one]\n[iner.a]\nsize = 1\n'
    assert fault(read(text)).startswith('line 3: unknown key "iner"; did you mean "inner"?')


def test_a_preset_is_laid_over_the_file_table_by_table(read: Read) -> None:
    table = read(
        'name = "x"\nsend = "leaks"\n[params]\na = 1\nb = 2\n[inner.k]\nsize = 2\nshare = 3\n'
        '[preset.paper]\nsend = "all"\nwords = ["w"]\n[preset.paper.params]\nb = 3\n[preset.paper.inner.k]\nsize = 4\n'
    )
    plain = table.without("preset")
    laid = plain.over(table.sub("preset").sub("paper"))
    assert plain.into(Outer).send == "leaks"
    assert laid.into(Outer) == Outer(
        name="x",
        send="all",
        words=("w",),
        params={"a": 1, "b": 3},
        inner={"k": Inner(size=4, share=3.0)},
    )
    assert plain.over(table.sub("preset").sub("none")).into(Outer) == plain.into(Outer)


@pytest.mark.parametrize(
    ("patch", "says"),
    [
        ("sned = 1", 'line 6: in [preset.paper], unknown key "sned"; did you mean "send"?'),
        ("send = 1", 'line 6: in [preset.paper], "send" must be one of "leaks", "all", not 1'),
        (
            "[preset.paper.one]\nsise = 1",
            'line 7: in [preset.paper.one], unknown key "sise"; did you mean "size"?',
        ),
        ("on = true", 'line 4: in [one], unknown key "sise"; did you mean "size"?'),
    ],
)
def test_a_fault_in_a_preset_is_told_at_the_preset(read: Read, patch: str, says: str) -> None:
    own = "sise = 1" if patch.startswith("on") else "size = 1"
    table = read(f'name = "x"\nsend = "all"\n[one]\n{own}\n[preset.paper]\n{patch}\n')
    assert fault(table.without("preset").over(table.sub("preset").sub("paper"))) == says


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = 1\nb 2\n", "x.toml, line 2: not valid TOML: Expected '=' after a key in a key/value pair"),
        ("a = 1\na = 2\n", "x.toml, line 2: not valid TOML: Cannot overwrite a value"),
        ("a = [1,\n", "x.toml: not valid TOML: Invalid value (at end of document)"),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(ProjectError) as raised:
        toml.read(tmp_path / "x.toml", "x.toml")
    assert str(raised.value) == says


def test_front_matter_is_parted_from_the_text_and_keeps_the_file_s_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.md"
    path.write_text("+++\na = 1\n\n[b]\nc = 2\n+++\nText.\n+++\nMore.\n", encoding="utf-8")
    table, text = toml.read_front_matter(path, "x.md")
    assert (table.values, text) == ({"a": 1, "b": {"c": 2}}, "Text.\n+++\nMore.\n")
    assert str(table.error("a", "oh")) == "x.md, line 2: oh"
    assert str(table.sub("b").error("c", "oh")) == "x.md, line 5: in [b], oh"
    path.write_text("+++\na = 1\nb 2\n+++\n", encoding="utf-8")
    with pytest.raises(ProjectError, match=r"x\.md, line 3: not valid TOML"):
        toml.read_front_matter(path, "x.md")


@pytest.mark.parametrize("text", ["Text.\n", "+++\na = 1\n", "\n+++\na = 1\n+++\n", ""])
def test_front_matter_must_be_there(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.md").write_text(text)
    with pytest.raises(
        ProjectError, match=r"x\.md, line 1: front matter between two lines \+\+\+ is missing"
    ):
        toml.read_front_matter(tmp_path / "x.md", "x.md")


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x.md"
    path.write_bytes(b"\xef\xbb\xbf+++\r\na = 1\r\nb = 2\r\n+++\r\nText.\r\n")
    table, text = toml.read_front_matter(path, "x.md")
    assert (table.values, text) == ({"a": 1, "b": 2}, "Text.\n")
    assert str(table.error("b", "oh")) == "x.md, line 3: oh"


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"x\.toml: the file is missing; `vlaa-thinking init DIR` writes"):
        toml.read(tmp_path / "x.toml", "x.toml")
    (tmp_path / "x.toml").write_bytes('a = "é"'.encode("latin-1"))
    with pytest.raises(ProjectError, match=r"x\.toml: cannot be read: 'utf-8' codec"):
        toml.read(tmp_path / "x.toml", "x.toml")
    with pytest.raises(ProjectError, match="y: cannot be read: "):
        toml.read(tmp_path, "y")


def test_the_nearest_word_is_named_or_else_all() -> None:
    assert toml.nearest("captoiner", ["captioner", "judge"]) == '; did you mean "captioner"?'
    assert toml.nearest("xyz", ["judge", "captioner"]) == "; known: captioner, judge"
    assert toml.nearest("xyz", []) == ""
