"""Near-duplicates: planted twins are found, different images pass, however much alike they look."""

import base64
import io
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lookalikes import encoded, form, near_form, photo, plot, scene, twins
from PIL import Image

from vlaa_thinking import Project
from vlaa_thinking.cache import Cache
from vlaa_thinking.images import ImageStore
from vlaa_thinking.likeness import fingerprint
from vlaa_thinking.likeness.comparison import LIMIT, difference, squares
from vlaa_thinking.likeness.proposals import gathered, propose
from vlaa_thinking.likeness.twins import Related, grouped, related
from vlaa_thinking.record import Picture
from vlaa_thinking.settings import Caps
from vlaa_thinking.spool import Decision, Fact
from vlaa_thinking.steps.curate import curate

DRAWN = {"form": (form, 40), "plot": (plot, 40), "scene": (scene, 40), "photo": (photo, 10)}


class Stock:
    """Images in a store, by names of ours."""

    def __init__(self, folder: Path) -> None:
        self.cache = Cache(folder / "answers.sqlite")
        self.images = ImageStore(folder / "images", self.cache)
        self.prints: dict[str, str] = {}
        self.names: dict[str, str] = {}

    def add(self, name: str, data: bytes) -> str:
        facts = self.images.add(data)
        assert isinstance(facts, Picture)
        self.images.settle()
        self.names[facts.sha256] = name
        self.prints[facts.sha256] = facts.fingerprint
        return facts.sha256

    def related(self, *outside: str, backwards: bool = False) -> Related:
        mine = {name: print_ for name, print_ in self.prints.items() if name not in outside}
        listed = list(mine.items())
        return related(
            reversed(listed) if backwards else listed,
            {name: self.prints[name] for name in outside},
            self.images,
            self.cache,
        )


@pytest.fixture
def stock(tmp_path: Path) -> Iterator[Stock]:
    made = Stock(tmp_path)
    with closing(made.cache):
        yield made


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def test_planted_twins_are_found_and_different_images_pass(stock: Stock) -> None:
    for kind, (draw, count) in DRAWN.items():
        for number in range(count):
            image = draw(number)
            stock.add(f"{kind} {number}", encoded(image))
            if number % 20 == 0 and number < 40:
                for how, data in twins(image, number // 20):
                    stock.add(f"{kind} {number}/{how}", data)
    groups = stock.related().groups
    found: dict[str, set[str]] = {}
    for sha256, name in stock.names.items():
        found.setdefault(groups.get(sha256, sha256), set()).add(name)
    origins = [{name.partition("/")[0] for name in group} for group in found.values()]
    assert [group for group in origins if len(group) > 1] == []
    assert sorted(len(group) for group in found.values() if len(group) > 1) == [6] * 7
    # Neither the order of the images nor what is recorded by now says otherwise.
    assert stock.related(backwards=True).groups == groups


def test_one_word_and_one_colour_make_a_difference() -> None:
    def apart(one: Image.Image, other: Image.Image) -> float:
        return difference(squares(one), squares(other), min(*one.size, *other.size))

    north, south = (near_form(1, word).convert("RGB") for word in ("north", "south"))
    assert apart(north, south) > LIMIT
    assert apart(north, opened(encoded(north, "JPEG", quality=60))) < LIMIT
    red = Image.new("RGB", (200, 160), "white")
    red.paste((200, 40, 40), (40, 40, 120, 120))
    green = Image.new("RGB", (200, 160), "white")
    green.paste((40, 122, 40), (40, 40, 120, 120))
    assert red.convert("L").getextrema() == pytest.approx(green.convert("L").getextrema(), abs=2)
    assert apart(red, green) > LIMIT


def test_a_fingerprint_is_of_what_is_seen() -> None:
    image = photo(3)
    plain = fingerprint(image)
    assert len(base64.b64decode(plain)) == 257
    levels = np.frombuffer(base64.b64decode(plain), np.uint8).astype(int)
    for way, orientation in ((Image.Transpose.ROTATE_90, 6), (Image.Transpose.FLIP_LEFT_RIGHT, 2)):
        turned = fingerprint(image.transpose(way), orientation)
        assert np.abs(np.frombuffer(base64.b64decode(turned), np.uint8) - levels).max() < 5
    assert fingerprint(Image.new("RGB", (50, 50), (9, 99, 200))) == ""


def test_a_crowd_of_one_layout_proposes_few_pairs_and_all_twins() -> None:
    prints = {f"{n:03d}": fingerprint(form(n)) for n in range(80)}
    for n in range(0, 80, 10):
        prints |= {f"{n:03d}/{how}": fingerprint(opened(data)) for how, data in twins(form(n), n)}
    names, table = gathered(prints.items())
    pairs = {tuple(sorted((names[one], names[other]))) for one, other in propose(table, lambda: None)}
    assert len(pairs) < 20 * len(names)
    assert {name for name in names if "/" in name} <= {high for low, high in pairs if high.startswith(low)}


def test_what_was_decided_is_stored_and_nothing_is_decoded_again(stock: Stock) -> None:
    one, other = stock.add("one", encoded(plot(1))), stock.add("other", encoded(plot(1), "JPEG", quality=60))
    first = stock.related()
    assert first.groups == dict.fromkeys((one, other), min(one, other))
    for sha256 in (one, other):
        stock.images.path(sha256).unlink()
    assert stock.related() == first


def test_images_outside_are_near_and_in_no_group(stock: Stock) -> None:
    mine = stock.add("mine", encoded(scene(1)))
    theirs = stock.add("theirs", encoded(scene(1), "JPEG", quality=80))
    stock.add("another", encoded(scene(2)))
    assert stock.related(theirs) == Related(groups={}, near={mine: {theirs}})
    assert stock.related().groups == dict.fromkeys((mine, theirs), min(mine, theirs))
    both = related(stock.prints.items(), {theirs: stock.prints[theirs]}, stock.images, stock.cache)
    assert both.near == {mine: {theirs}}
    assert both.groups.keys() == {mine, theirs}


def test_an_image_known_without_a_fingerprint_gets_one(stock: Stock) -> None:
    sha256 = stock.add("one", encoded(plot(2)))
    known = stock.cache.image(bytes.fromhex(sha256))
    assert known is not None
    print_ = known.pop("fingerprint")
    stock.cache.put_images({bytes.fromhex(sha256): known})
    stock.add("one", encoded(plot(2)))
    assert (stock.cache.image(bytes.fromhex(sha256)) or {})["fingerprint"] == print_


def test_twins_of_twins_are_one_group() -> None:
    assert grouped([("b", "c"), ("e", "d"), ("c", "a")]) == {
        "a": "a", "b": "a", "c": "a", "d": "d", "e": "d",
    }  # fmt: skip


# --- what becomes of their rows ------------------------------------------------------------------------------


def fact(key: str, *, image: str, twin: str | None = None, cue: bool = False) -> Fact:
    return Fact(key=key, id=f"s/{key}", source="s", image=image, twin=twin, cues=("wait",) if cue else ())


def decided(facts: list[Fact], seed: int = 0, **changes: object) -> dict[str, Decision]:
    rule = replace(Project.default().settings().curate, **changes)  # type: ignore[arg-type]
    return {decision.key: decision for decision in curate(facts, rule, seed)}


def test_near_duplicates_go_together_and_each_row_says_so() -> None:
    facts = [
        fact("1", image="a", twin="a", cue=True),
        fact("2", image="b", twin="a"),
        fact("3", image="c"),
    ]
    made = decided(facts)
    assert [made[key].config for key in "123"] == ["rl", "rl", "sft"]
    assert made["1"].part == made["2"].part
    tail = "; 1 near-duplicate of its image and all their rows go with it"
    assert made["1"].why == f'rl: the teacher\'s reply holds "wait"{tail}'
    assert (
        made["2"].why
        == f"rl: another row of a near-duplicate of its image holds a cue of self-reflection{tail}"
    )
    assert "near-duplicate" not in made["3"].why


def test_no_group_stands_in_two_parts() -> None:
    facts = [fact(f"{n}", image=f"{n}", twin=f"{n // 2 * 2}") for n in range(300)]
    made = decided(facts)
    assert {decision.part for decision in made.values()} == {"train", "validation"}
    for n in range(0, 300, 2):
        assert made[f"{n}"].part == made[f"{n + 1}"].part


def test_unique_images_keep_the_row_that_ranks_first() -> None:
    facts = [fact(f"{n}", image=f"{n // 3}", twin="0" if n < 6 else None) for n in range(12)]
    made = decided(facts, unique_images=True)
    kept = {key for key, decision in made.items() if decision.config}
    assert len(kept) == 3
    assert len({int(key) // 3 for key in kept} - {0, 1}) == 2
    dropped = [decision for key, decision in made.items() if key not in kept]
    assert {decision.code for decision in dropped} == {"same_image"}
    assert {(decision.evidence or "").removeprefix("row: s/") for decision in dropped} == kept
    assert decided(facts[::-1], unique_images=True) == made
    assert {key for key, d in decided(facts, seed=3, unique_images=True).items() if d.config} != kept
    assert Project.default().settings(preset="paper").curate.unique_images
    assert not Project.default().settings().curate.unique_images


def test_when_a_source_grows_only_rows_that_newcomers_outrank_change() -> None:
    caps = {"s": Caps(sft=40)}
    before = decided([fact(f"{n}", image=f"{n}") for n in range(100)], caps=caps)
    after = decided([fact(f"{n}", image=f"{n}") for n in range(110)], caps=caps)
    was, now = ({key for key, d in made.items() if d.config} for made in (before, after))
    newcomers = now - {f"{n}" for n in range(100)}
    assert len(now) == len(was) == 40
    assert newcomers
    assert len(was - now) == len(newcomers)
    assert now - newcomers < was
    aside_was, aside_now = (
        {key for key, d in made.items() if d.part == "validation"}
        for made in (
            decided([fact(f"{n}", image=f"{n}") for n in range(1000)]),
            decided([fact(f"{n}", image=f"{n}") for n in range(1200)]),
        )
    )
    lost = aside_was - aside_now
    assert len(lost) <= len([key for key in aside_now if int(key) >= 1000])
