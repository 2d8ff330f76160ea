"""A LLaVA of random weights with its processor, small enough to train in a test: `python tiny_model.py FOLDER`.

It proves that the parts fit together, and nothing about quality. No torchvision is needed: LLaVA's processor
takes images alone, and `transformers` prepares those with Pillow.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large a model is made."""

    side: int = 28
    """Pixels of the square that an image is brought to."""
    patch: int = 14
    """Pixels of a patch's side; each patch is a token."""
    hidden: int = 32
    layers: int = 2
    """Of the vision tower, and of the language model."""
    words: int = 320
    """Tokens, the 256 bytes among them."""
    spread: float = 0.02
    """Standard deviation of a fresh weight."""
    ground: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    """The colour that a model sees as zero; CLIP's own without."""
    whole: bool = False
    """Whether a token may run over several words, so that what stands in every prompt is one."""


PAD, START, END, IMAGE = SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>")

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


def write(
    folder: Path,
    size: Size = Size(),
    *,
    corpus: Sequence[str] = ("Think first, then answer the question about the image.",),
    tags: Sequence[str] = (),
) -> None:
    """Write the model and its processor, as `from_pretrained` reads them.

    The tokenizer's merges are those of `corpus`; each of `tags` is one token that a decoded text shows.
    """
    tokenizer = make_tokenizer(corpus, size.words, whole=size.whole)
    tokenizer.add_tokens(list(tags))
    square = {"height": size.side, "width": size.side}
    processor = LlavaProcessor(  # type: ignore[no-untyped-call]
        image_processor=CLIPImageProcessorPil(size=square, crop_size=square, image_mean=size.ground),
        tokenizer=tokenizer,
        patch_size=size.patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )
    ids = tokenizer.get_vocab()
    model = LlavaForConditionalGeneration(_config(ids, size))
    model.generation_config.eos_token_id = ids[END]
    model.generation_config.pad_token_id = ids[PAD]
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def make_tokenizer(
    corpus: Sequence[str] = (), words: int = 320, *, whole: bool = False, **named: str
) -> PreTrainedTokenizerFast:
    """Make a tokenizer of single bytes and the merges of `corpus`: every text can be written with it.

    `named` are special tokens under names that a processor asks for.
    """
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not whole)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=words, initial_alphabet=alphabet, special_tokens=list(SPECIAL), show_progress=False
    )
    bpe.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[START, IMAGE, *named.values()],
        extra_special_tokens={"image_token": IMAGE} | named,
        chat_template=CHAT_TEMPLATE,
    )


def _config(ids: dict[str, int], size: Size) -> LlavaConfig:
    small: dict[str, Any] = {
        "hidden_size": size.hidden,
        "intermediate_size": 2 * size.hidden,
        "num_hidden_layers": size.layers,
        "num_attention_heads": 4,
    }
    text = Qwen2Config(
        **small,
        initializer_range=size.spread,
        num_key_value_heads=2,
        vocab_size=len(ids),
        max_position_embeddings=4096,
        eos_token_id=ids[END],
        pad_token_id=ids[PAD],
        bos_token_id=None,
    )
    vision = CLIPVisionConfig(
        **small,
        initializer_range=size.spread,
        initializer_factor=size.spread / 0.02,
        image_size=size.side,
        patch_size=size.patch,
        projection_dim=size.hidden,
    )
    return LlavaConfig(  # type: ignore[call-arg]
        text_config=text,
        vision_config=vision,
        initializer_range=size.spread,  # pyright: ignore[reportCallIssue]
        image_token_index=ids[IMAGE],
        vision_feature_select_strategy="default",
        vision_feature_layer=-1,
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]))
