"""A Hugging Face reward model as a scorer: one number for a question, its image and an answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vlaa_thinking.rewards.scorers import Ask


class RewardModel:
    """Score open answers by a sequence classifier with one label; its scale is its own.

    The conversation is the question, with the image where the processor takes one, and the answer as the
    assistant's turn. A model with an interface of its own (InternLM-XComposer2.5-Reward's `get_scores`, which
    the paper uses) needs a `Scorer` of a few lines around it.
    """

    bounded = False

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - a transformers model; torch is no dependency of this module
        processor: Any,  # noqa: ANN401 - a processor or tokenizer with a chat template
        *,
        batch_size: int = 8,
        offload: bool = False,
    ) -> None:
        """Score by a loaded model, `batch_size` answers at once.

        With `offload` the model waits in the CPU's memory and is on its device only while it scores, as in the
        paper (appendix C.1).
        """
        self._model = model.eval()
        self._processor = processor
        self._batch_size = batch_size
        self._device = model.device
        self._offload = offload
        if offload:
            model.to("cpu")

    @classmethod
    def load(
        cls,
        name: str,
        *,
        batch_size: int = 8,
        offload: bool = False,
        **options: Any,  # noqa: ANN401
    ) -> Self:
        """Load a model by name or folder; `options` go to its `from_pretrained` (dtype, device_map, revision)."""
        from transformers import AutoModelForSequenceClassification, AutoProcessor  # noqa: PLC0415 - heavy

        model = AutoModelForSequenceClassification.from_pretrained(name, num_labels=1, **options)
        revision = {key: options[key] for key in ("revision", "trust_remote_code") if key in options}
        processor: Any = AutoProcessor.from_pretrained(name, **revision)  # type: ignore[no-untyped-call]
        return cls(model, processor, batch_size=batch_size, offload=offload)

    async def __call__(self, asks: Sequence[Ask], /) -> Sequence[float | None]:
        """Score answers in a thread, so that other rewards of the batch go on."""
        return await asyncio.to_thread(self._score, asks)

    def _score(self, asks: Sequence[Ask]) -> list[float | None]:
        import torch  # noqa: PLC0415 - heavy

        if self._offload:
            self._model.to(self._device)
        try:
            with torch.inference_mode():
                lots = (asks[i : i + self._batch_size] for i in range(0, len(asks), self._batch_size))
                return [number for lot in lots for number in self._numbers(lot)]
        finally:
            if self._offload:
                self._model.to("cpu")

    def _numbers(self, asks: Sequence[Ask]) -> list[float]:
        """Score one batch: (B, 1) logits."""
        sees = hasattr(self._processor, "image_processor")
        images = [ask.image for ask in asks if sees and ask.image is not None]
        texts = [self._text(ask, sees=sees) for ask in asks]
        given = {"images": [[image] for image in images]} if images else {}
        inputs = self._processor(
            text=texts, **given, padding=True, return_tensors="pt", add_special_tokens=False
        )
        logits = self._model(**inputs.to(self._model.device)).logits
        numbers: list[float] = logits[:, 0].float().tolist()
        return numbers

    def _text(self, ask: Ask, *, sees: bool) -> str:
        question: Any = ask.question
        answer: Any = ask.answer
        if sees:
            shown = [{"type": "image"}] if ask.image is not None else []
            question = [*shown, {"type": "text", "text": ask.question}]
            answer = [{"type": "text", "text": ask.answer}]
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        text: str = self._processor.apply_chat_template(turns, tokenize=False)
        return text
