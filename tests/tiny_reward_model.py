"""Reward models of random weights: a text classifier with one label, and one that is shown the image."""

from pathlib import Path
from typing import Any

import torch
from tiny_model import CHAT_TEMPLATE, make_tokenizer
from transformers import (
    Gemma3Config,
    Gemma3ForSequenceClassification,
    Gemma3ImageProcessorPil,
    Gemma3Processor,
    Qwen2Config,
    Qwen2ForSequenceClassification,
)

TOKENS = 4
"""That an image takes."""


def write_reward_model(folder: Path, *, sees: bool = False) -> None:
    """Write a model and its tokenizer or processor, as `from_pretrained` reads them."""
    torch.manual_seed(0)
    small: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    if sees:
        _seeing(folder, small)
        return
    tokenizer = make_tokenizer()
    config = Qwen2Config(
        **small,
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        num_labels=1,  # type: ignore[call-arg]
    )
    Qwen2ForSequenceClassification(config).save_pretrained(folder)  # type: ignore[no-untyped-call]
    tokenizer.save_pretrained(folder)


def _seeing(folder: Path, small: dict[str, Any]) -> None:
    tokenizer = make_tokenizer(boi_token="<image>", eoi_token="<|image_end|>", image_token="<|image_soft|>")
    ids = tokenizer.get_vocab()
    text = {**small, "head_dim": 8, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    vision = {k: v for k, v in small.items() if k != "num_key_value_heads"} | {
        "image_size": 28,
        "patch_size": 7,
    }
    config = Gemma3Config(  # type: ignore[call-arg]
        text_config=text,
        vision_config=vision,
        mm_tokens_per_image=TOKENS,
        boi_token_index=ids["<image>"],
        eoi_token_index=ids["<|image_end|>"],
        image_token_index=ids["<|image_soft|>"],
        num_labels=1,  # pyright: ignore[reportCallIssue]
    )
    config.pad_token_id = tokenizer.pad_token_id
    processor = Gemma3Processor(
        image_processor=Gemma3ImageProcessorPil(size={"height": 28, "width": 28}),
        tokenizer=tokenizer,
        chat_template=CHAT_TEMPLATE,
        image_seq_length=TOKENS,
    )
    model = Gemma3ForSequenceClassification(config)  # type: ignore[no-untyped-call]
    torch.nn.init.normal_(model.model.multi_modal_projector.mm_input_projection_weight)  # a fresh one is zero
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
