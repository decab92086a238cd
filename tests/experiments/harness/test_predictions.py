"""Files of predictions: read, or the broken line named."""

import json

import pytest
from oracles import mutations

from experiments.harness import predictions
from qsharp_jax.core.errors import InputError

GOOD = {"prediction": "so 18", "answer": "#### 18", "id": 7, "note": {"a": [1]}}


def test_what_is_written_is_read_again(tmp_path):
  file = str(tmp_path / "a.jsonl")
  lines = [GOOD, GOOD | {"prediction": "\ud800 é", "prompt": ""}]
  predictions.write(file, lines)
  assert predictions.read(file) == lines


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_line_says_its_encoding(encoding, tmp_path):
  file = tmp_path / "a.jsonl"
  file.write_text(json.dumps(GOOD), encoding=encoding)
  assert predictions.read(str(file)) == [GOOD]


def test_damaged_files_give_one_line(tmp_path):
  file = tmp_path / "a.jsonl"
  line = (json.dumps(GOOD) + "\n").encode() * 3
  refused = 0
  for content in (
    *mutations.documents(GOOD, 1, 150),
    *mutations.texts(line, 1, 150),
    *(mutations.DEEP.encode(), bytes(range(256)), b"1e999", b"\n"),
  ):
    file.write_bytes(content)
    try:
      predictions.write(str(tmp_path / "b"), predictions.read(str(file)))
    except InputError as error:
      assert "\n" not in str(error) and str(error).isprintable()
      refused += 1
  assert 100 < refused < 304


@pytest.mark.parametrize("place", ["", "a\0b", "x" * 5000, "hdfs://x", "/"])
def test_odd_places_give_one_line(place):
  for attempt in (predictions.read, lambda p: predictions.write(p, [])):
    with pytest.raises(InputError) as error:
      attempt(place)
    assert "\n" not in str(error.value)
