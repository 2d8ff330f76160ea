"""A LLaVA of random weights with its processor, small enough to train in a test: `python tiny_model.py FOLDER`.

It proves that the parts fit together, and nothing about quality. No torchvision is needed: LLaVA's processor
takes images alone, and `transformers` prepares those with Pillow.
"""

import sys
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

SIDE = 28
"""Pixels of the square that an image is brought to."""

PATCH = 14
"""Pixels of a patch's side: an image is four patches, so four tokens."""

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


def write(folder: Path) -> None:
    """Write the model and its processor, as `from_pretrained` reads them."""
    tokenizer = _tokenizer()
    size = {"height": SIDE, "width": SIDE}
    processor = LlavaProcessor(  # type: ignore[no-untyped-call]
        image_processor=CLIPImageProcessorPil(size=size, crop_size=size),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )
    ids = tokenizer.get_vocab()
    model = LlavaForConditionalGeneration(_config(ids))
    model.generation_config.eos_token_id = ids[END]
    model.generation_config.pad_token_id = ids[PAD]
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def _tokenizer() -> PreTrainedTokenizerFast:
    """Make a tokenizer of single bytes and a few merges: every text can be written with it."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, initial_alphabet=alphabet, special_tokens=list(SPECIAL), show_progress=False
    )
    bpe.train_from_iterator(["Think first, then answer the question about the image."], trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[START, IMAGE],
        extra_special_tokens={"image_token": IMAGE},
        chat_template=CHAT_TEMPLATE,
    )


def _config(ids: dict[str, int]) -> LlavaConfig:
    small: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    text = Qwen2Config(
        **small,
        num_key_value_heads=2,
        vocab_size=len(ids),
        max_position_embeddings=4096,
        eos_token_id=ids[END],
        pad_token_id=ids[PAD],
        bos_token_id=None,
    )
    vision = CLIPVisionConfig(**small, image_size=SIDE, patch_size=PATCH, projection_dim=32)
    return LlavaConfig(
        text_config=text,
        vision_config=vision,
        image_token_index=ids[IMAGE],
        vision_feature_select_strategy="default",
        vision_feature_layer=-1,
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]))
