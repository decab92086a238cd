import json
import os
import pathlib

import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import sources


def write(path, *rows):
  path.write_text("\n".join(rows) + "\n", encoding="utf-8")
  return path


def real_data(*parts):
  folder = os.environ.get("QSHARP_DATA_DIR")
  if not folder:
    pytest.skip("QSHARP_DATA_DIR is not set: no real data here")
  return pathlib.Path(folder, *parts)


GOOD = '{"question": "q", "answer": "a"}'


def test_load_reads_a_file_or_a_folder(tmp_path):
  path = write(tmp_path / "dev.jsonl", GOOD)
  from_file = sources.load(f"jsonl:{path}", split="train")
  assert sources.load(f"jsonl:{tmp_path}", split="dev") == from_file
  with pytest.raises(InputError, match="test.jsonl: no such file"):
    sources.load(f"jsonl:{tmp_path}", split="test")


def test_load_reads_a_local_hub_folder(tmp_path, monkeypatch):
  import datasets

  folder = tmp_path / "set"
  folder.mkdir()
  write(folder / "train.jsonl", GOOD, GOOD)
  monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
  found = sources.load(f"hub:{folder}", split="train")
  assert [q.id for q in found] == ["train-1", "train-2"]
  assert (found[0].question, found[0].answer) == ("q", "a")
  # A part of the one split that there is, for tests.
  part = sources.load(f"hub:{folder}::train[1:]", split="test")
  assert [q.id for q in part] == ["train[1:]-1"]
  with pytest.raises(InputError, match="did not load"):
    sources.load(f"hub:{folder}", split="validation")
  with pytest.raises(InputError, match="'problem'"):
    sources.load(f"hub:{folder}", split="train", question_key="problem")


@pytest.mark.parametrize("source", ["csv:x", "jsonl:", "gsm8k", ""])
def test_unknown_sources(source):
  with pytest.raises(InputError, match="is not jsonl:PATH"):
    sources.load(source, split="train")


@pytest.mark.parametrize(("split", "num"), [("train", 7473), ("test", 1319)])
def test_real_gsm8k(split, num):
  found = sources.load(f"jsonl:{real_data('gsm8k')}", split=split)
  assert len(found) == num == len({q.id for q in found})
  assert all("####" in q.answer for q in found)


def test_real_math500():
  path = real_data("math500", "test.jsonl")
  found = sources.load(
    f"jsonl:{path.parent}",
    split="test",
    question_key="problem",
    answer_key="solution",
  )
  assert len(found) == 500
  assert all("\\boxed" in q.answer for q in found)
  first = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
  assert found[0].question == first["problem"]
