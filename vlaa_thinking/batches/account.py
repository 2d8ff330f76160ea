"""Who sends batches, and who asks for what is in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlaa_thinking.batches import Service
    from vlaa_thinking.batches.journal import Journal
    from vlaa_thinking.cache import Cache
    from vlaa_thinking.counts import Counts
    from vlaa_thinking.llm.budget import Budget
    from vlaa_thinking.llm.http import Endpoint
    from vlaa_thinking.llm.wrap import Standing
    from vlaa_thinking.prices import Price
    from vlaa_thinking.settings import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """One entry of models.toml: how its requests are written, and what it has taken before."""

    name: str
    model: Model
    endpoint: Endpoint
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One model at one provider; several entries of models.toml may ask for it."""

    asker: Asker
    """The first of them: its settings say how batches are made."""
    who: str
    """API, identity and model, as the cache has it."""
    price: Price | None
    """Of a call in a batch; None: not known."""
    service: Service
    journal: Journal
    cache: Cache
    counts: Counts
    budget: Budget | None

    @property
    def name(self) -> str:
        """As the user knows the model."""
        return self.asker.name

    @property
    def model(self) -> Model:
        """How its batches are made."""
        return self.asker.model


def service_of(name: str, model: Model, key: str) -> Service:
    """Make the batch endpoint of a model's provider; its SDK is imported at the first call."""
    if model.api == "anthropic":
        from vlaa_thinking.batches.anthropic import AnthropicBatches  # noqa: PLC0415

        return AnthropicBatches(name, model, key)
    from vlaa_thinking.batches.openai import OpenAIBatches  # noqa: PLC0415

    return OpenAIBatches(name, model, key)
