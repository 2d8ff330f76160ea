"""The nine sets in their native formats, tiny and made up: every one as the files that its publishers give out.

`SETS` says, for each source of the paper, what lies on the Hub and what a folder holds; `made_of` tells the images
apart. Rows are numbered so that each is another's neighbour in nothing; odd ones are among them, and said to be.
"""

import io
import json
import random
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features, Image, List, Value
from PIL import Image as Pillow
from PIL import ImageDraw

Files = dict[str, bytes]


PAPER = (250, 250, 245)
"""The colour that images are drawn on."""


def drawn(name: str, *, form: str = "PNG", size: tuple[int, int] = (48, 32), orientation: int = 1) -> bytes:
    """Draw an image that no other name gives, nor one like it; `orientation` is its EXIF one."""
    rng = random.Random(name)
    image = Pillow.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(image)
    for place in range(66):
        left, top = 2 + 4 * (place % 11), 2 + 5 * (place // 11)
        if rng.random() < 0.5:
            draw.rectangle((left, top, left + 3, top + 4), fill=tuple(rng.randrange(200) for _ in "rgb"))
    buffer = io.BytesIO()
    if orientation == 1:
        image.save(buffer, form)
    else:
        exif = Pillow.Exif()
        exif[0x0112] = orientation
        image.save(buffer, form, exif=exif)
    return buffer.getvalue()


def zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


def tarred(files: Mapping[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]  # a mode of the test's choice
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def split(name: str, data: bytes, parts: int) -> Files:
    """Cut a file into parts, named as `split` names them."""
    size = -(-len(data) // parts)
    return {f"{name}.part-a{chr(97 + n)}": data[n * size : (n + 1) * size] for n in range(parts)}


def lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def array(rows: Any) -> bytes:
    return json.dumps(rows, ensure_ascii=False, indent=1).encode()


def parquet(rows: list[dict[str, Any]], features: Features) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=features.arrow_schema), buffer)
    return buffer.getvalue()


def card(config: str | None, folder: str, *splits: str) -> bytes:
    """Write the YAML by which `datasets` finds a set's files."""
    head = [f"- config_name: {config or 'default'}", "  data_files:"]
    body = [line for s in splits for line in (f"  - split: {s}", f"    path: {folder}/{s}-*")]
    return "\n".join(["---", "configs:", *head, *body, "---", ""]).encode()


def put(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below a folder."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def talk(question: str, answer: str, *, mark: str = "<image>\n") -> list[dict[str, str]]:
    return [{"from": "human", "value": mark + question}, {"from": "gpt", "value": answer}]


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeSet:
    """One set: what is on the Hub, and what a folder holds."""

    reader: str
    hf: str
    hub: Files
    folder: Files


# --- CLEVR-Math: questions and CLEVR itself in two zip files ---------------------------------------

CLEVR_QUESTIONS = [
    ("CLEVR_train_000001.png", "Subtract all balls. How many objects are left?", 3),
    (
        "CLEVR_train_000001.png",
        "Add 2 red cubes. How many objects are there?",
        6,
    ),  # the same image, and so the same id
    ("CLEVR_train_000002.png", "Remove all small things. How many are left?", 0),
    ("CLEVR_train_000009.png", "Subtract all cubes. How many are left?", 1),  # no such image
]
_THING = {"3d_coords": [1.2, 0.4, 0.7], "pixel_coords": [231, 98, 10.5], "rotation": 120.5}
CLEVR_SCENES = {
    "info": {"split": "train", "license": "Creative Commons Attribution (CC BY 4.0)", "version": "1.0"},
    "scenes": [
        {
            "split": "train",
            "image_index": number,
            "image_filename": f"CLEVR_train_{number:06d}.png",
            "objects": [
                {**_THING, "size": "large", "color": "blue", "material": "metal", "shape": "sphere"},
                {**_THING, "size": "small", "color": "red", "material": "rubber", "shape": "cylinder"},
            ][:number],
        }
        for number in range(3)
    ],
}


def clevr_math() -> NativeSet:
    questions = {
        "info": {"version": "1.1"},
        "questions": [
            {"template_filename": "subtraction.json", "question": q, "answer": a, "image_filename": name, "split": "train"}
            for name, q, a in CLEVR_QUESTIONS
        ],
    }  # fmt: skip
    images = {f"CLEVR_train_{n:06d}.png": drawn(f"clevr{n}") for n in range(3)}
    test = {
        "questions": [{"question": "Not this one?", "answer": 9, "image_filename": "CLEVR_test_000001.png"}]
    }
    inner = {"clevr-math-train.json": json.dumps(questions).encode(), "clevr-math-test.json": array(test)}
    clevr = {f"CLEVR_v1.0/images/train/{name}": data for name, data in images.items()}
    clevr["CLEVR_v1.0/scenes/CLEVR_train_scenes.json"] = json.dumps(CLEVR_SCENES).encode()
    hub = {
        "README.md": b"---\nlicense: cc-by-4.0\n---\n",
        "data/clevr-math.zip": zipped(inner),
        "data/clevr-math-multihop.zip": zipped({"clevr-math-train.json": array(test)}),
        "data/CLEVR_v1.0.zip": zipped(clevr),
    }
    folder = {**inner, **{name.replace("CLEVR_v1.0/", ""): data for name, data in clevr.items()}}
    return NativeSet(reader="clevr_math", hf="dali-does/clevr-math", hub=hub, folder=folder)


ONEVISION = Features(
    {"id": Value("string"), "image": Image(), "conversations": List({"from": Value("string"), "value": Value("string")}),
     "data_source": Value("string")}
)  # fmt: skip
HINT = "Hint: Please answer the question requiring an integer answer and provide the final value, e.g., 1, 2, 3, at the end.\nQuestion: "


def clevr_onevision() -> Files:
    """The config of LLaVA-OneVision-Data that holds a part of CLEVR-Math."""
    rows = [
        {"id": name, "image": {"bytes": drawn(f"one{n}"), "path": name}, "conversations": talk(HINT + q, f"The answer is {a}"),
         "data_source": "CLEVR-Math(MathV360K)"}
        for n, (name, q, a) in enumerate(CLEVR_QUESTIONS[:3])
    ]  # fmt: skip
    return {
        "README.md": card("CLEVR-Math(MathV360K)", "CLEVR-Math(MathV360K)", "train"),
        "CLEVR-Math(MathV360K)/train-00000-of-00001.parquet": parquet(rows, ONEVISION),
    }


# --- GeoQA170K: Parquet on the Hub, JSON and images as G-LLaVA has them -----------------------------

TEMPLATE = "First perform reasoning, then finally select the question from the choices in the following format: Answer: xxx.\nQuestion:"
GEOQA = [
    ("geoqa_plus/2905.png", "In the semicircle, what is tan(angle ADC)?\nChoices:\nA: \\frac{1}{2}\nB: 2\nC: √3\nD: 27°",
     "AB is the diameter, so the answer is D: 27°.\nAnswer:D"),
    ("geo3k/12.png", TEMPLATE + "Find x.\nChoices:\nA: 5或7\nB: 6\nC: 8\nD: 9", "By Pythagoras, 5 or 7. Answer: (a)"),
    ("geoqa_plus/2905.png", TEMPLATE + "What is the angle ABC?\nChoices:\nA: 80°\nB: 60°\nC: 50°\nD: 40°", "C"),
    ("geoqa_plus/11.png", "What is the angle?\nChoices:\nA: 1°\nB: 2°", "It cannot be told."),  # no answer
]  # fmt: skip


def geoqa170k() -> NativeSet:
    images = {name: drawn(name) for name, *_ in GEOQA}
    rows = [
        {"id": f"{name.replace('/', '-').removesuffix('.png')}-{n}", "image": {"bytes": images[name], "path": name},
         "conversations": talk(q, a, mark=""), "data_source": "geo170k(qa)"}
        for n, (name, q, a) in enumerate(GEOQA)
    ]  # fmt: skip
    hub = {
        "README.md": card("geo170k(qa)", "geo170k(qa)", "train"),
        "geo170k(qa)/train-00000-of-00001.parquet": parquet(rows, ONEVISION),
    }
    original = [{"image": name, "conversations": talk(q, a)} for name, q, a in GEOQA]
    folder = {
        "qa_tuning.json": array(original),
        "images.zip": zipped({f"images/{n}": d for n, d in images.items()}),
    }
    return NativeSet(reader="geoqa", hf="lmms-lab/LLaVA-OneVision-Data", hub=hub, folder=folder)


# --- Math-PUMA: JSON and one tar file ---------------------------------------------------------------

_STEPS = "Step 1: Substitute the point: 5 = a * sin(-5 * (pi/10)).\nStep 2: So a = -5.\n\n†Answer: "
PUMA = [
    ("gen_func-func_sine_1_qtmb", "The function y = a * sin(-5 * x) goes through the points (pi/10,5). What is the function's equation?",
     "What is the function's equation?", _STEPS + "y = -5 * sin(-5 * x)."),
    ("gen_func-func_sine_2_abcd", "The function y = a * sin(2 * x) goes through (pi/4,-3). What is the function's equation?",
     "What is the function's equation?", _STEPS + "a = -3"),  # the unknown alone
    ("gen_solid_3_efgh", "A cone has radius 3 and height 4. What is its volume?", "What is the volume of this cone?",
     "Step 1: V = pi r^2 h / 3.\n†Answer: Output 4: 12\\pi"),  # residue of a model
    ("gen_func-func_log_4_ijkl", "The curve rises. Determine the function.", "Determine the function.",
     "†Answer: it rises"),  # no function
]  # fmt: skip


def math_puma() -> NativeSet:
    rows = [
        {"image_url": "", "instruction": words, "output": solution,
         "image_url_2": f"images/{name}.png", "instruction_2": short, "output_2": solution}
        for name, words, short, solution in PUMA
    ]  # fmt: skip
    images = tarred({f"images/{name}.png": drawn(name) for name, *_ in reversed(PUMA)})
    files = {"train.json": array(rows), "images.tar.gz": images}
    hub = {
        "README.md": b"---\nlicense: gpl-3.0\n---\n",
        "VarsityTutors/train.jsonl": b"{}\n",
        **{f"Synthesis/{name}": data for name, data in files.items()},
    }
    return NativeSet(reader="math_puma", hf="Math-PUMA/Math-PUMA_Data_Stage2", hub=hub, folder=files)


# --- ArxivQA: JSON Lines and one tar file -----------------------------------------------------------

ARXIV = [
    ("cond-mat-23739", "1704.01566_1.jpg", "What does the trend suggest?",
     ["A) It increases.", "B) It fluctuates.", "C) It levels off.", "D) It ends."], "C"),
    ("cs-101", "2001.00002_2.jpg", "Which model is best?", ["A) First.", "B) Second."], "(b)"),
    ("cs-102", "2001.00002_2.jpg", "Which model is worst?", ["A) First.", "B) Second.", "-"], "A) First."),
    ("cs-103", "2001.00003_1.jpg", "Which is it?", ["A) One.", "B) Two."], "A and B"),  # no single option
]  # fmt: skip


def arxivqa() -> NativeSet:
    rows = [
        {"id": i, "image": f"images/{name}", "question": q, "options": options, "label": label, "rationale": f"See {name}."}
        for i, name, q, options, label in ARXIV
    ]  # fmt: skip
    names = dict.fromkeys(name for _, name, *_ in reversed(ARXIV))
    images = tarred({f"images/{name}": drawn(name, form="JPEG") for name in names})
    hub = {"README.md": b"", "arxivqa.jsonl": lines(rows), "images.tgz": images}
    return NativeSet(reader="arxivqa", hf="MMInstruction/ArxivQA", hub=hub, folder=hub)


# --- DocVQA: Parquet on the Hub, the challenge's own files in a folder ------------------------------

DOCVQA = [
    (337, "xnbl0037_1", "what is the date mentioned in this letter?", ["1/8/93", "January 8, 1993"]),
    (338, "xnbl0037_1", "what is the contact person name mentioned in letter?", ["P. Carter", "p. carter"]),
    (400, "ffbf0023_4", "what is the total?", []),  # no accepted answer
]
_DOC = Features(
    {"questionId": Value("string"), "question": Value("string"), "question_types": List(Value("string")), "image": Image(),
     "docId": Value("int64"), "ucsf_document_id": Value("string"), "ucsf_document_page_no": Value("string"),
     "answers": List(Value("string")), "data_split": Value("string")}
)  # fmt: skip


def docvqa() -> NativeSet:
    facts = [
        {"question": q, "question_types": ["form"], "docId": 279, "ucsf_document_id": page[:8], "ucsf_document_page_no": page[9:],
         "answers": answers, "data_split": "train"}
        for _, page, q, answers in DOCVQA
    ]  # fmt: skip
    pages = {page: drawn(page) for _, page, *_ in DOCVQA}
    rows = [
        {"questionId": str(i), "image": {"bytes": pages[page], "path": None}, **fact}
        for (i, page, *_), fact in zip(DOCVQA, facts, strict=True)
    ]
    hub = {
        "README.md": card("DocVQA", "DocVQA", "train"),
        "DocVQA/train-00000-of-00001.parquet": parquet(rows, _DOC),
    }
    data = [
        {"questionId": i, "image": f"documents/{page}.png", **fact}
        for (i, page, *_), fact in zip(DOCVQA, facts, strict=True)
    ]
    folder = {
        "spdocvqa_qas/train_v1.0_withQT.json": array(
            {"dataset_name": "SP-DocVQA", "dataset_version": "1.0", "dataset_split": "train", "data": data}
        ),
        "spdocvqa_images.tar.gz": tarred(
            {f"spdocvqa_images/{page}.png": data for page, data in pages.items()}
        ),
    }
    return NativeSet(reader="docvqa", hf="lmms-lab/DocVQA", hub=hub, folder=folder)


# --- VizWiz: Parquet on the Hub, the challenge's own files in a folder ------------------------------

VIZWIZ = [
    ("What is this?", ["basil leaves"] * 6 + ["basil"] * 3 + ["spice"]),
    ("Is it red?", ["yes"] * 5 + ["Yes "] * 2 + ["unanswerable"] * 3),
    ("What does it say?", ["unanswerable"] * 7 + ["unsuitable"] * 2 + ["milk"]),  # most could not tell
    ("Which day?", ["monday"] * 5 + ["tuesday"] * 5),  # a tie
]


def vizwiz() -> NativeSet:
    photos = [f"VizWiz_train_{n:08d}.jpg" for n in range(len(VIZWIZ))]
    rows = [
        {"question_id": name.replace("train", "val"), "image": {"bytes": drawn(name, form="JPEG"), "path": name},
         "question": q, "answers": answers, "category": "other"}
        for name, (q, answers) in zip(photos, VIZWIZ, strict=True)
    ]  # fmt: skip
    features = Features(
        {"question_id": Value("string"), "image": Image(), "question": Value("string"), "answers": List(Value("string")),
         "category": Value("string")}
    )  # fmt: skip
    hub = {
        "README.md": card(None, "data", "val"),
        "data/val-00000-of-00001.parquet": parquet(rows, features),
    }
    annotations = [
        {"answers": [{"answer_confidence": "yes" if a != "monday" else "maybe", "answer": a} for a in answers],
         "answer_type": "other", "answerable": int("unanswerable" not in answers[:4]), "image": name, "question": q}
        for name, (q, answers) in zip(photos, VIZWIZ, strict=True)
    ]  # fmt: skip
    folder = {
        "Annotations/train.json": array(annotations),
        "train.zip": zipped({f"train/{name}": drawn(name, form="JPEG") for name in photos}),
    }
    return NativeSet(reader="vizwiz", hf="lmms-lab/VizWiz-VQA", hub=hub, folder=folder)


# --- ALLaVA-LAION: two JSON files and zip files -----------------------------------------------------

ALLAVA = [
    (
        "100277305",
        "How do the gemstones affect the ring?",
        "They add a touch of luxury to it.",
        "A silver ring with a leaf.",
    ),
    ("100760552", "What could the store mean to the area?", "It could be a landmark.", "A map with a store."),
    ("100000003", "What is it?", "A lamp on a desk.", None),  # no caption
]


def allava_laion() -> NativeSet:
    asked = [
        {"id": f"allava_laion_inst_{n}", "image": f"allava_laion/images/{n}.jpeg", "conversations": talk(q, a),
         "original_caption": "", "url": f"https://example.org/{n}.jpg"}
        for n, q, a, _ in ALLAVA
    ]  # fmt: skip
    told = [
        {"id": f"allava_laion_cap_{n}", "image": f"allava_laion/images/{n}.jpeg",
         "conversations": talk("Please depict the image in words.", caption)}
        for n, _, _, caption in reversed(ALLAVA)
        if caption
    ]  # fmt: skip
    images = {n: drawn(n, form="JPEG") for n, *_ in ALLAVA}
    files = {
        "ALLaVA-Instruct-LAION-4V.json": array(asked),
        "ALLaVA-Caption-LAION-4V.json": array(told),
        "image_chunks/images_0.zip": zipped({"images/100277305.jpeg": images["100277305"]}),
        "image_chunks/images_1.zip": zipped(
            {f"images/{n}.jpeg": d for n, d in images.items() if n != "100277305"}
        ),
    }
    hub = {"README.md": b"", **{f"allava_laion/{name}": data for name, data in files.items()}}
    unpacked = {f"allava_laion/images/{n}.jpeg": data for n, data in images.items()}
    jsons = {name: data for name, data in files.items() if name.endswith(".json")}
    return NativeSet(
        reader="allava", hf="FreedomIntelligence/ALLaVA-4V", hub=hub, folder={**jsons, **unpacked}
    )


# --- LLaVA-CoT: JSON Lines and a zip file in parts --------------------------------------------------


def structured(answer: str, *, seen: str = "a picture") -> str:
    return (
        f"<SUMMARY> I will look for it. </SUMMARY>\n\n<CAPTION> It shows {seen}. </CAPTION>\n\n"
        f"<REASONING> It lies there, at {answer}. </REASONING>\n\n<CONCLUSION> {answer} </CONCLUSION>"
    )


REGION = "Please provide the bounding box coordinate of the region this sentence describes: "
LLAVA_COT = [
    ("000000033471", "coco/train2017/000000033471.jpg", [
        (REGION + "a man bent over", structured("[0.25, 0.25, 0.75, 0.75]")),
        ("What is he doing?", structured("He is tying his shoe.")),
    ]),
    ("2350517", "vg/VG_100K/2350517.jpg", [
        (REGION + "a red bus", structured("[0.0, 0.25, 0.5, 0.5]")),
        ("Please provide a short description for this region: [0.5, 0.25, 1.0, 0.75].", structured("A green door.")),
        (REGION + "a hat", "[0.1, 0.3, 0.2, 0.4]"),  # without its sections
    ]),
    ("7", "vg/VG_100K_2/7.jpg", [(REGION + "the sky", structured("[0.25, 0.0, 0.75, 0.25]"))]),  # taller than wide
    ("ai2d-1", "ai2d/abc_images/1.png", [("Which is it? A. x B. y", structured("A"))]),  # of another set
    ("22", "coco/train2017/000000000022.jpg", [(REGION + "the horse", structured("[0.5, 0.1, 0.9, 0.7]"))]),
]  # fmt: skip
LLAVA_COT_SIZES = {"2350517": (64, 32), "7": (32, 64)}
"""Of Visual Genome's images; the others have `drawn`'s."""


def llava_cot(reader: str) -> NativeSet:
    rows = [
        {"id": i, "image": image,
         "conversations": [turn for n, (q, a) in enumerate(turns) for turn in talk(q, a, mark="" if n else "<image>\n")]}
        for i, image, turns in LLAVA_COT
    ]  # fmt: skip
    images = {
        image: drawn(i, form="JPEG", size=LLAVA_COT_SIZES.get(i, (48, 32))) for i, image, _ in LLAVA_COT
    }
    files = {"train.jsonl": lines(rows), **split("image.zip", zipped(images), 3)}
    return NativeSet(reader=reader, hf="Xkev/LLaVA-CoT-100k", hub={"README.md": b"", **files}, folder=files)


def sets() -> dict[str, NativeSet]:
    """Return all nine, by the names of their sources in the default project."""
    return {
        "clevr_math": clevr_math(),
        "geoqa170k": geoqa170k(),
        "math_puma": math_puma(),
        "arxivqa": arxivqa(),
        "docvqa": docvqa(),
        "vizwiz": vizwiz(),
        "allava_laion": allava_laion(),
        "coco": llava_cot("llava_cot_coco"),
        "vg": llava_cot("llava_cot_vg"),
    }
