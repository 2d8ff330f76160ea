"""A Qwen2.5-VL of random weights: the family whose boxes are pixels of the image as the processor resizes it.

Its own processor needs torchvision for videos; this one takes images alone.
"""

from pathlib import Path
from typing import Any

from tiny_model import CHAT_TEMPLATE, END, IMAGE, PAD, make_tokenizer
from transformers import (
    AutoProcessor,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessorPil,
)
from transformers.processing_utils import ProcessorMixin

VISION = ("<|vision_start|>", "<|vision_end|>")
VIDEO = "<|video_pad|>"
LEAST, MOST = 28 * 28 * 4, 28 * 28 * 16
"""Pixels that an image is brought to; a token is 28 by 28."""


class ImagesAlone(Qwen2_5_VLProcessor):
    """Qwen2.5-VL's processor without videos."""

    @classmethod
    def get_attributes(cls) -> list[str]:
        return ["image_processor", "tokenizer"]

    def __init__(self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None) -> None:
        self.image_token = IMAGE
        self.video_token = VIDEO
        self.image_token_id = tokenizer.convert_tokens_to_ids(IMAGE)
        self.video_token_id = tokenizer.convert_tokens_to_ids(VIDEO)
        ProcessorMixin.__init__(  # type: ignore[no-untyped-call]
            self, image_processor, tokenizer, chat_template=chat_template
        )


AutoProcessor.register(Qwen2_5_VLConfig, ImagesAlone, exist_ok=True)  # type: ignore[no-untyped-call]


def write_qwen(folder: Path) -> None:
    """Write the model and its processor, as `from_pretrained` reads them once this module is imported."""
    tokenizer = make_tokenizer(vision_bos_token=VISION[0], vision_eos_token=VISION[1], video_token=VIDEO)
    ids = tokenizer.get_vocab()
    small = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
    config = Qwen2_5_VLConfig(
        text_config={
            **small,
            "num_hidden_layers": 2,
            "num_key_value_heads": 2,
            "vocab_size": len(ids),
            "max_position_embeddings": 4096,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
            "eos_token_id": ids[END],
            "pad_token_id": ids[PAD],
            "bos_token_id": None,
        },
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 4,
            "depth": 2,
            "out_hidden_size": 32,
            "fullatt_block_indexes": [1],
        },
        image_token_id=ids[IMAGE],
        video_token_id=ids[VIDEO],
        vision_start_token_id=ids[VISION[0]],
        vision_end_token_id=ids[VISION[1]],
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = ids[END]
    model.generation_config.pad_token_id = ids[PAD]
    model.save_pretrained(folder)
    processor = ImagesAlone(
        Qwen2VLImageProcessorPil(min_pixels=LEAST, max_pixels=MOST),
        tokenizer,
        chat_template=CHAT_TEMPLATE.replace("<image>", f"{VISION[0]}{IMAGE}{VISION[1]}"),
    )
    processor.save_pretrained(folder)
