"""The defects of the released rows: what each is called, what it is, and what `import` does about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Defect:
    """One kind of defect."""

    what: str
    """What is wrong, as the card says it."""
    done: str
    """What becomes of the row."""


REJECTED = "the row is in `rejected`"

DEFECTS = {
    # The file.
    "unreadable_row": Defect("the line is not a JSON object in UTF-8, or is too long", REJECTED),
    "february_schema": Defect("the form of February 2025: the raw reply is `ds_answer`, and there is no `answer`", "read as that reply"),
    "meta_as_text": Defect("`meta` is text, a Python literal", "read, never run"),
    "meta_unreadable": Defect("`meta` is neither an object nor a literal of one", "left out"),
    "damaged_escapes": Defect("LaTeX commands lost their first letter to a backslash that was not doubled", "put back"),
    # Identity.
    "no_id": Defect("the row has no id", "named by a hash of image path and question"),
    "repeated_id": Defect("different rows have one id", "told apart by that hash"),
    "duplicate_row": Defect("the same id, image and question stood in an earlier row", REJECTED),
    "extension_in_id": Defect("the id ends like an image's file name", "kept: it is the source's own"),
    "ordinal_id": Defect("the id is a place in a list", "kept: it is the source's own"),
    # Image and source.
    "leading_slash": Defect("the image's path begins with a slash", "read from below images/"),
    "outside_path": Defect("the image's path leaves images/", REJECTED),
    "undeclared_source": Defect("a source that the paper does not name", "kept"),
    "unknown_source": Defect("the image lies in no folder of the release", "kept, its licence unknown"),
    "missing_image": Defect("there is no such image file", REJECTED),
    "not_an_image": Defect("the file is no image", REJECTED),
    "broken_image": Defect("the image cannot be decoded", REJECTED),
    "image_too_large": Defect("the image's file in its archive is too long to be read", REJECTED),
    "image_bomb": Defect("the image has too many pixels", REJECTED),
    # Question.
    "empty_question": Defect("there is no question", REJECTED),
    "chinese_or": Defect('a Chinese word stands for "or"', "written in English"),
    "denote_clause": Defect('the question names a quantity only to ask for it ("denote ... as")', "kept"),
    # Right answer.
    "gt_missing": Defect("an RL row has no `gt`", "read from `answer`"),
    "gt_not_text": Defect("`gt` is a number, elsewhere it is text", "written as text"),
    "gt_steps": Defect("`gt` is a worked solution", 'its last line, behind "Answer:", is taken'),
    "gt_prefix": Defect("`gt` begins with a model's 'Output'", "taken off"),
    "gt_form": Defect("a letter is written with brackets, a colon or its option's text", "the letter alone"),
    "gt_unknown_only": Defect("the function is asked, and `gt` gives one unknown's value", "read from `answer` where it states the function, else the row is in `rejected`"),
    "gt_unreadable": Defect("`gt` cannot be read", "read from `answer` in SFT rows"),
    "verifier_unknown": Defect("`verifier_type` is none of the five", "told by the source, else by the answer"),
    "square_box": Defect("a box is given in shares of the square that its image was padded to", "turned into shares of the image"),
    "unturned_box": Defect("such a box, which reaches beyond the image, or whose image's size is not known", REJECTED),
    "bad_answer": Defect("no right answer can be read", REJECTED),
    "gold_conflict": Defect("the row's own answer is not its right answer", REJECTED),
    # Reasoning.
    "no_answer_tags": Defect("the reply has no single <answer> block", "its answer is looked for"),
    "answer_spaces": Defect("spaces around the answer, within its tags", "taken off"),
    "answer_wrapped": Defect("the answer is wrapped in \\boxed{} or \\[ \\]", "unwrapped"),
    "answer_prose": Defect("the answer is a sentence where a letter, a number or an expression is asked", "read out of it where it states one"),
    "no_reasoning": Defect("an SFT row has no reasoning in one pair of <think> tags", REJECTED),
    "reasoning_in_rl": Defect("an RL row holds a model's reasoning", "in columns that nobody trains on by mistake"),
}  # fmt: skip
"""By code, in the order in which the card lists them."""
