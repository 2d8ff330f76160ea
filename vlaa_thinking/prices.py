"""What a call costs: prices from models.toml or a kept library; an unknown one is unknown, never zero.

Tokens are estimated here for plans and reservations alone; what was spent is settled from the provider's usage.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from vlaa_thinking.errors import ProjectError

if TYPE_CHECKING:
    from vlaa_thinking.llm import Image, Request, Usage
    from vlaa_thinking.settings import Model

MILLION = 1_000_000

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""Some providers are cheaper at night: one hour for all makes a dataset's cost a function of its answers."""

IMAGE_TOKENS = {"openai": "tiles:85,170", "anthropic": "patches:28,2576,4784"}
"""How an image is counted where the model does not say."""

CHARS_PER_TOKEN = 4.0
"""A rule of thumb for English text; a plan's sample replaces it."""

LONGEST_REPLY = 32_768
"""Output tokens that a request may take which states no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float

    def of(self, input_tokens: float, output_tokens: float) -> float:
        """Return the cost in US dollars."""
        return (self.input * input_tokens + self.output * output_tokens) / MILLION


def price_of(model: Model, mode: Literal["live", "batch"] | None = None) -> Price | None:
    """Return the price of a model's calls, as they are made or in another `mode`; None if it is not known."""
    live = _live_price(model)
    if live is None or (mode or model.mode) == "live":
        return live
    return Price(input=live.input * model.batch.price, output=live.output * model.batch.price)


def _live_price(model: Model) -> Price | None:
    """Return a model's own price in models.toml, else the library's for its server."""
    if model.input_price is not None and model.output_price is not None:
        return Price(input=model.input_price, output=model.output_price)
    if model.url is None or model.model is None:
        return None
    return _listed(model.model, model.url)


@lru_cache(maxsize=64)
def _listed(model: str, url: str) -> Price | None:
    from genai_prices import Usage as Used  # noqa: PLC0415 - heavy
    from genai_prices import calc_price  # noqa: PLC0415

    thousand = Used(input_tokens=1000, output_tokens=1000)
    try:
        found = calc_price(thousand, model, provider_api_url=url, genai_request_timestamp=NOON)
    except LookupError:
        return None
    if not found.input_price or not found.output_price:
        return None  # listed without a price, or as a trial
    return Price(input=float(found.input_price) * 1000, output=float(found.output_price) * 1000)


def cost(price: Price | None, usage: Usage) -> float | None:
    """Return what a call cost; None where price or usage is not known."""
    if price is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    return price.of(usage.input_tokens, usage.output_tokens)


def input_tokens(request: Request, model: Model) -> float:
    """Estimate a request's tokens: its text and its schema by length, its images by the model's rule."""
    text = sum(len(m.text.encode()) for m in request.messages)
    if request.schema is not None:
        text += len(json.dumps(request.schema))
    images = sum(image_tokens(i, model) for m in request.messages for i in m.images)
    return text / CHARS_PER_TOKEN + images + 4 * len(request.messages)


def longest_reply(request: Request, model: Model) -> int:
    """Return how many tokens the reply may have: its limit, where the request states one."""
    limit = request.params.get(model.max_tokens_field)
    return limit if isinstance(limit, int) else LONGEST_REPLY


def image_tokens(image: Image, model: Model) -> float:
    """Count an image's tokens by the rule that the model states.

    "tiles:BASE,TILE": OpenAI's high detail, within 2048 x 2048, the short side at most 768, BASE and TILE for each
    512-pixel tile. "patches:SIDE": a token for each square of so many pixels, as Qwen-VL's 28; "patches:SIDE,LONG,MOST"
    with the long side at most LONG and at most MOST tokens, as Claude's 28,1568,1568 and, from Opus 4.7 on,
    28,2576,4784. "area:PIXELS": Claude's older rule of thumb, a token for so many pixels, at most 1600.
    """
    rule = model.image_tokens or IMAGE_TOKENS.get(model.api, "patches:28")
    name, _, text = rule.partition(":")
    try:
        numbers = [float(n) for n in text.split(",")]
    except ValueError:
        numbers = []
    width, height = _within(image.width, image.height, model.max_side)
    match name, numbers:
        case "tiles", [base, tile]:
            width, height = _within(width, height, 2048)
            shrink = min(1.0, 768 / min(width, height))
            return base + tile * math.ceil(width * shrink / 512) * math.ceil(height * shrink / 512)
        case "patches", [side]:
            return math.ceil(width / side) * math.ceil(height / side)
        case "patches", [side, longest, most]:
            width, height = _within(width, height, longest)
            return min(most, math.ceil(width / side) * math.ceil(height / side))
        case "area", [pixels]:
            width, height = _within(width, height, 1568)
            return min(1600.0, width * height / pixels)
    message = (
        f'image_tokens = "{rule}" is no rule: write "tiles:85,170", "patches:28" or "patches:28,1568,1568"'
    )
    raise ProjectError(message, file="generators/models.toml")


def _within(width: float, height: float, most: float | None) -> tuple[float, float]:
    shrink = min(1.0, most / max(width, height)) if most else 1.0
    return max(1.0, width * shrink), max(1.0, height * shrink)
