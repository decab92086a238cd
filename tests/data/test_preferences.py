"""Preferences out of files, their bad lines named."""

import json

import pyarrow
import pytest
from pyarrow import parquet

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import preferences

USER = {"role": "user", "content": "What color is the sky?"}
BLUE = {"role": "assistant", "content": "It is blue."}
GREEN = {"role": "assistant", "content": "It is green."}
NECTAR = {
  "prompt": "\n\nHuman: Why?\n\nAssistant: ",
  "answers": [
    {"answer": "b", "rank": 2.0},
    {"answer": "a", "rank": 1.0},
    {"answer": "c", "rank": 3.0},
  ],
}
GOOD = {"prompt": "The sky is", "chosen": " blue.", "rejected": " green."}
BAD = GOOD | {"rejected": " blue."}


def test_files_are_read_and_their_bad_lines_named(tmp_path):
  lines = tmp_path / "train.jsonl"
  lines.write_text(f"{json.dumps(GOOD)}\n\n{json.dumps(GOOD)}\n")
  found = preferences.load(f"jsonl:{tmp_path}")
  assert [p.id for p in found] == ["train-1", "train-3"]
  lines.write_text(f"{json.dumps(GOOD)}\n\n{json.dumps(BAD)}\n")
  with pytest.raises(InputError, match=f"{lines}:3: chosen and rejected"):
    preferences.load(f"jsonl:{lines}")


def test_parquet_holds_what_json_lines_do(tmp_path):
  rows = [
    {"chosen": [USER, BLUE], "rejected": [USER, GREEN], "score_chosen": 2.0,
     "score_rejected": 1.0},
    {"chosen": [USER, GREEN], "rejected": [USER, BLUE], "score_chosen": 2.0,
     "score_rejected": 1.0},
  ]  # fmt: skip
  file = tmp_path / "test.parquet"
  parquet.write_table(pyarrow.Table.from_pylist(rows), file)
  lines = tmp_path / "test.jsonl"
  lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
  found = preferences.load(f"parquet:{tmp_path}", split="test")
  assert found == preferences.load(f"jsonl:{tmp_path}", split="test")
  assert found[1].chosen == "It is green."
  rows[1]["chosen"] = rows[1]["rejected"]
  parquet.write_table(pyarrow.Table.from_pylist(rows), file)
  with pytest.raises(InputError, match=f"{file} row 2: chosen and rejected"):
    preferences.load(f"parquet:{file}")


def test_a_local_folder_is_read_as_the_hub_is(tmp_path):
  (tmp_path / "train.jsonl").write_text(json.dumps(NECTAR) + "\n")
  found = preferences.load(f"hub:{tmp_path}", choice="all")
  assert [p.id for p in found] == ["train-1.1", "train-1.2", "train-1.3"]


@pytest.mark.parametrize("source", ["tfds:x", "jsonl:", "rows.jsonl"])
def test_other_sources_are_refused(source):
  with pytest.raises(InputError, match="is not jsonl:PATH, parquet:PATH or"):
    preferences.load(source)


def test_ranks_without_a_difference_leave_nothing(tmp_path):
  row = NECTAR | {"answers": NECTAR["answers"][:1]}
  (tmp_path / "train.jsonl").write_text(json.dumps(row) + "\n")
  with pytest.raises(InputError, match="no preference in it"):
    preferences.load(f"jsonl:{tmp_path}")
