"""Forms: a printed receipt, and what it says (open)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlaa_thinking.demo.kind import Ask, Solution, listing, pick, plural

if TYPE_CHECKING:
    from random import Random

    from vlaa_thinking.demo.canvas import Canvas
    from vlaa_thinking.record import AnswerType

ANSWER_TYPE: AnswerType = "open"
SIZE: tuple[int, int] = (480, 360)

_SHOPS = ("Corner Bakery", "Blue Kettle", "Villa Rosa", "Old Mill Inn", "Garden Bistro")
_STAFF = ("Anna", "Ben", "Clara", "David", "Emma", "Luis", "Nora", "Omar")
_ITEMS = ("Apple pie", "Tomato soup", "Green salad", "Lemon tea", "Lamb curry", "Fish cakes", "Coffee")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July")
_PRICE = re.compile(r"The line for ([\w ]+?) reads \$(\d+\.\d\d)")
_FACTS = {
    "shop": re.compile(r'receipt from "([^"]+)"'),
    "date": re.compile(r"The date on it is ([\w ]+)\."),
    "table": re.compile(r"The table number is (\d+)\."),
    "server": re.compile(r"It was served by (\w+)\."),
    "total": re.compile(r"The total is (\$\d+\.\d\d)\."),
    "means": re.compile(r"It was paid by (\w+)\."),
}
_FIELDS = {
    "shop": "What is the name of the place that issued the receipt?",
    "date": "What is the date on the receipt?",
    "table": "What is the table number?",
    "total": "What is the total amount?",
}
_ITEM = re.compile(r"What is the price of the ([\w ]+?)\?", re.IGNORECASE)
_MOST = "Which item cost the most, and what did it cost?"
_WHO = "Who served this order, and how was it paid?"
_LESS = re.compile(r"How much would the receipt come to without the ([\w ]+?)\?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Scene:
    """A receipt; prices in cents, in the order of its lines."""

    shop: str
    day: int
    month: str
    table: int
    server: str
    prices: dict[str, int]
    means: str

    @property
    def date(self) -> str:
        """Say the date as it is printed."""
        return f"{self.day} {self.month} 2025"

    @property
    def total(self) -> int:
        """Add the prices up."""
        return sum(self.prices.values())


def make(rng: Random, difficulty: int) -> Scene:
    """Fill a receipt in; no two items cost the same."""
    items = rng.sample(_ITEMS, 2 + difficulty)
    prices: dict[str, int] = dict(zip(items, rng.sample(range(220, 1450, 10), len(items)), strict=True))
    day, month, table = rng.randint(1, 28), rng.choice(_MONTHS), rng.randint(1, 40)
    return Scene(
        rng.choice(_SHOPS), day, month, table, rng.choice(_STAFF), prices, rng.choice(("card", "cash"))
    )


def draw(scene: Scene, canvas: Canvas) -> None:
    """Print it on a white slip."""
    left, right = 120, 360
    end = 205 + 25 * len(scene.prices)
    canvas.box((left - 18, 15, right + 24, end + 4), "rule", radius=4)
    canvas.box((left - 21, 11, right + 21, end), "white", radius=4)
    canvas.text((240, 40), scene.shop, size=21)
    canvas.text((240, 64), scene.date, size=12, colour="muted")
    canvas.text((left, 92), f"Table {scene.table}", anchor="lm")
    canvas.text((right, 92), f"Served by {scene.server}", anchor="rm")
    canvas.line((left, 108), (right, 108), "muted")
    y = 128
    for item, price in scene.prices.items():
        canvas.text((left, y), item, size=14, anchor="lm")
        canvas.text((right, y), _money(price), size=14, anchor="rm")
        y += 25
    canvas.line((left, y - 6), (right, y - 6), "muted")
    canvas.text((left, y + 14), "Total", size=17, anchor="lm")
    canvas.text((right, y + 14), _money(scene.total), size=17, anchor="rm")
    canvas.text((240, end - 22), f"Paid by {scene.means}. Thank you!", size=12, colour="muted")


def notes(scene: Scene) -> str:
    """Say what is printed, line by line."""
    lines = [f'A printed receipt from "{scene.shop}", with {len(scene.prices)} items on it.']
    lines += [f"The date on it is {scene.date}.", f"The table number is {scene.table}."]
    lines += [f"It was served by {scene.server}."]
    lines += [f"The line for {item} reads {_money(price)}." for item, price in scene.prices.items()]
    return "\n".join([*lines, f"The total is {_money(scene.total)}.", f"It was paid by {scene.means}."])


def asks(scene: Scene, rng: Random) -> tuple[Ask, ...]:
    """Ask for one field, or for something that takes a sentence and has no list of right answers."""
    item, price = rng.choice(list(scene.prices.items()))
    if rng.random() < 0.5:
        sort = rng.choice((*_FIELDS, "item"))
        question = _FIELDS.get(sort, f"What is the price of the {item.lower()}?")
        right = _accepted(scene, sort, price)
        return (Ask(question=question, answer=right[0], answers=right),)
    best, cost = max(scene.prices.items(), key=lambda pair: pair[1])
    rest = _money(scene.total - price)
    sentences = {
        _MOST: f"The {best.lower()} cost the most, at {_money(cost)}.",
        _WHO: f"{scene.server} served it, and it was paid by {scene.means}.",
        f"How much would the receipt come to without the {item.lower()}?": f"It would come to {rest}.",
    }
    question, answer = rng.choice(list(sentences.items()))
    return (Ask(question=question, answer=answer),)


def _accepted(scene: Scene, sort: str, price: int) -> tuple[str, ...]:
    if sort == "date":
        iso = f"2025-{_MONTHS.index(scene.month) + 1:02}-{scene.day:02}"
        return scene.date, f"{scene.month} {scene.day}, 2025", iso
    if sort in ("total", "item"):
        money = _money(scene.total if sort == "total" else price)
        return money, money.removeprefix("$")
    return (scene.shop,) if sort == "shop" else (str(scene.table), f"Table {scene.table}")


def _money(cents: int) -> str:
    return f"${cents // 100}.{cents % 100:02}"


def solve(caption: str, question: str) -> Solution | None:
    """Read the receipt off the caption."""
    facts = {sort: value[1] for sort, pattern in _FACTS.items() if (value := pattern.search(caption))}
    prices = {item.lower(): round(float(price) * 100) for item, price in _PRICE.findall(caption)}
    found = _work(facts, prices, question)
    if "shop" not in facts or found is None:
        return None
    working, result, recheck, answer = found
    items = listing(f"{item} for {_money(price)}" for item, price in prices.items())
    opening = pick(("The image shows", "In the image I see"), caption, question)
    first = f"{opening} a receipt from {facts['shop']} with {plural(len(prices), 'item')} on it"
    steps = (f"{first}: {items}.", working, result)
    return Solution(steps=steps, recheck=recheck, answer=answer, loose=answer)


def _work(facts: dict[str, str], prices: dict[str, int], question: str) -> tuple[str, str, str, str] | None:
    """Return the working, the result in a sentence, the same reached on another way, and the answer."""
    item, less = _ITEM.search(question), _LESS.search(question)
    if item and item[1].lower() in prices:
        return _field(f"price of the {item[1]}", _money(prices[item[1].lower()]))
    if less and less[1].lower() in prices:
        return _without(less[1], prices)
    if _MOST in question and prices:
        order = sorted(prices, key=prices.__getitem__, reverse=True)
        best, cost = order[0], _money(prices[order[0]])
        line = f"Ordered by price, the items run {listing(order)}."
        others = f"Every other item stays below {cost}, so nothing else can come first."
        return line, f"At the head is the {best} at {cost}.", others, f"It was the {best}, for {cost}."
    if _WHO in question and {"server", "means"} <= facts.keys():
        line = f"Two things are asked for. The name of the person who served is {facts['server']}."
        paid = f"The receipt also says how it was paid, namely by {facts['means']}."
        other = f"Only one person is named on the receipt, {facts['server']}, and only one way of paying."
        return line, paid, other, f"{facts['server']} did, and the guest paid by {facts['means']}."
    sort = next((sort for sort, words in _FIELDS.items() if words in question), "")
    return _field(_FIELDS[sort].split("the ", 1)[1].rstrip("?"), facts[sort]) if sort in facts else None


def _field(label: str, value: str) -> tuple[str, str, str, str]:
    line = f"What is asked for is the {label}, and of all the lines on the receipt only one gives it."
    other = f"No other line of the receipt speaks of the {label}, so {value} is the only reading."
    return line, f"It reads {value}, so the {label} is {value}.", other, value


def _without(item: str, prices: dict[str, int]) -> tuple[str, str, str, str]:
    price, rest = prices[item.lower()], sum(prices.values()) - prices[item.lower()]
    line = f"Together the items make {_money(rest + price)}, and the {item} is {_money(price)} of that."
    kept = listing(_money(cents) for name, cents in prices.items() if name != item.lower())
    other = f"Adding up the other items alone, {kept}, gives {_money(rest)} as well."
    return line, f"Taking it off leaves {_money(rest)}.", other, f"{_money(rest)} would then be due."
