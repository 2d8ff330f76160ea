"""A LLaVA of fresh weights that trains on one CPU core: about 0.2 million, and no torchvision is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SIDE, PATCH = 28, 7
"""Pixels: of the square that an image is brought to, and of a patch, which is a token."""
HIDDEN, LAYERS = 64, 2
"""Of the vision tower, and of the language model."""
WORDS = 600
"""Tokens. One may run over several words, so that what stands in every prompt and trace is few of them."""
SPREAD = 0.05
"""Standard deviation of a fresh weight."""
GROUND = (0.95, 0.95, 0.95)
"""The colour that the model sees as zero: about that of the scenes' ground."""

PAD, START, END, IMAGE = "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>"
TAGS = ("<think>", "</think>", "<answer>", "</answer>")
CHAT_TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message['role'] }}
{% if message['content'] is string -%}
{{ message['content'] }}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif -%}
{%- endfor -%}
{%- endif -%}
<|im_end|>
{% endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif -%}
"""


def write(folder: Path, corpus: Sequence[str]) -> None:
    """Write a model and its processor, as `from_pretrained` reads them; the tokenizer's merges are those of `corpus`."""
    tokenizer = make_tokenizer(corpus)
    ids = tokenizer.get_vocab()
    square = {"height": SIDE, "width": SIDE}
    processor = LlavaProcessor(  # type: ignore[no-untyped-call]
        image_processor=CLIPImageProcessorPil(size=square, crop_size=square, image_mean=GROUND),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )
    small: dict[str, Any] = {
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "initializer_range": SPREAD,
    }
    text = Qwen2Config(
        **small,
        num_key_value_heads=2,
        vocab_size=len(ids),
        max_position_embeddings=1024,
        eos_token_id=ids[END],
        pad_token_id=ids[PAD],
        bos_token_id=None,
    )
    vision = CLIPVisionConfig(
        **small,
        initializer_factor=SPREAD / 0.02,
        image_size=SIDE,
        patch_size=PATCH,
        projection_dim=HIDDEN,
    )
    config = LlavaConfig(  # type: ignore[call-arg]
        text_config=text,
        vision_config=vision,
        initializer_range=SPREAD,  # pyright: ignore[reportCallIssue]
        image_token_index=ids[IMAGE],
        vision_feature_select_strategy="default",
        vision_feature_layer=-1,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config.eos_token_id = ids[END]
    model.generation_config.pad_token_id = ids[PAD]
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def make_tokenizer(corpus: Sequence[str]) -> PreTrainedTokenizerFast:
    """Make a tokenizer of single bytes, the merges of `corpus`, and a token for each tag that a reply shows."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[PAD, START, END, IMAGE],
        show_progress=False,
    )
    bpe.train_from_iterator(corpus, trainer)
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[START, IMAGE],
        extra_special_tokens={"image_token": IMAGE},
        chat_template=CHAT_TEMPLATE,
    )
    tokenizer.add_tokens(list(TAGS))
    return tokenizer
