"""What is written down of the columns, held against what `datasets` writes."""

import json

import pytest
from datasets import Features, Image, SplitDict, SplitInfo
from datasets import config as defaults
from datasets.arrow_writer import get_parquet_column_options
from datasets.info import DatasetInfo, DatasetInfosDict
from huggingface_hub import DatasetCardData

from vlaa_thinking import Project
from vlaa_thinking.arrow import CHUNKING, arrow_schema, parquet_options
from vlaa_thinking.columns import ALL
from vlaa_thinking.dataset import Split
from vlaa_thinking.front_matter import front_matter


@pytest.mark.parametrize("config", ALL)
def test_the_schema_is_the_one_that_datasets_makes_of_its_features(config: str) -> None:
    ours = arrow_schema(config)
    features = Features.from_arrow_schema(ours)
    assert features["image"] == Image()
    assert ours.equals(features.arrow_schema, check_metadata=True)


@pytest.mark.parametrize("config", ALL)
def test_columns_are_stored_as_datasets_stores_them(config: str) -> None:
    ours = arrow_schema(config)
    options = get_parquet_column_options(Features.from_arrow_schema(ours), ours)
    assert json.dumps(options) == json.dumps(parquet_options(config))


def test_content_is_chunked_as_datasets_chunks_it() -> None:
    assert CHUNKING == defaults.DEFAULT_CDC_OPTIONS


@pytest.mark.parametrize("configs", [ALL, ("rl",)])
def test_a_card_s_yaml_is_the_one_that_datasets_writes(configs: tuple[str, ...]) -> None:
    splits = [
        Split(config=config, part=part, rows=7, files=(), bytes=900, arrow_bytes=1000, figures={})
        for config in configs
        for part in ("train", "validation")
    ]
    infos = DatasetInfosDict()
    for config in configs:
        mine = [s for s in splits if s.config == config]
        infos[config] = DatasetInfo(
            features=Features.from_arrow_schema(arrow_schema(config)),
            splits=SplitDict({s.part: SplitInfo(s.part, s.arrow_bytes, s.rows) for s in mine}),
            download_size=sum(s.bytes for s in mine),
            dataset_size=sum(s.arrow_bytes for s in mine),
            config_name=config,
        )
    card = DatasetCardData()
    infos.to_dataset_card_data(card)
    ours = front_matter(Project.default().settings().curate.card, splits)
    assert ours.endswith(f"\n{str(card.to_yaml()).strip()}")
