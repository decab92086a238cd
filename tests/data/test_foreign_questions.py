"""Files of questions, graphs and samples as others might have written them."""

import json

import pyarrow
import pytest
from oracles import mutations
from pyarrow import parquet

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import preferences, sources
from qsharp_jax.rollout import store
from qsharp_jax.tasks import reading, star_graph_text

USER = {"role": "user", "content": "Why?"}
ANSWERS = [{"role": "assistant", "content": text} for text in "ab"]
PREFERENCES = {
  "texts": {"prompt": "The sky is", "chosen": " a", "rejected": " b"},
  "messages": {
    "chosen": [USER, ANSWERS[0]],
    "rejected": [USER, ANSWERS[1]],
    "score_chosen": 2.0,
    "score_rejected": 1.0,
  },
  "ranked": {
    "prompt": "\n\nHuman: Why?\n\nAssistant: ",
    "answers": [{"answer": "b", "rank": 2.0}, {"answer": "a", "rank": 1.0}],
  },
  "scored": {
    "instruction": "Why?",
    "completions": [
      {"response": "a", "overall_score": 2.0},
      {"response": "b", "overall_score": 1.0},
    ],
  },
}
NUM = 150  # mutants of each form
ROWS = {
  "jsonl": {"question": "1 + 1?", "answer": "#### 2"},
  "math": {"problem": "1 + 1?", "solution": "So \\boxed{2}.", "level": "1"},
  "aime": {"problem": "1 + 1?", "answer": "002"},
  "quality": {
    "article": "A long text.",
    "question": "Who?",
    "options": ["a", "b", "c", "d"],
    "gold_label": 2,
  },
}
GRAPH = b"1,2|2,3|1,4|4,5/1,3=1,2,3\n"


def mutants(document, seed=1):
  """Damaged documents, and lines of a good one damaged byte by byte."""
  yield from mutations.documents(document, seed, NUM)
  lines = (json.dumps(document) + "\n").encode() * 3
  yield from mutations.texts(lines, seed, NUM)
  yield from (mutations.DEEP.encode(), b"\xef\xbb\xbf", b"\n\r\n", b"null\n")


def faults(file, contents, read):
  """Everything but one line that a reader raises, for some contents."""
  found = []
  for content in contents:
    file.write_bytes(content)
    try:
      read()
    except InputError as error:
      if "\n" in str(error):
        found.append(f"{content[:60]!r}: {str(error)[:200]!r}")
    except Exception as error:
      found.append(f"{content[:60]!r}: {type(error).__name__}: {error}"[:200])
  return found


@pytest.mark.parametrize("kind", ROWS)
def test_damaged_questions_give_one_line(kind, tmp_path):
  file = tmp_path / "train.jsonl"
  prefix = "" if kind == "jsonl" else f"{kind}:"
  keys = [k for k in ("question", "problem") if k in ROWS[kind]]
  keys += [k for k in ("answer", "solution") if k in ROWS[kind]]
  source = reading.Reading(f"{prefix}jsonl:{file}", "", *keys)
  read = source.tests
  file.write_text(json.dumps(ROWS[kind]))
  assert read()
  assert not faults(file, mutants(ROWS[kind]), read)


@pytest.mark.parametrize("kind", PREFERENCES)
def test_damaged_preferences_give_one_line(kind, tmp_path):
  file = tmp_path / "train.jsonl"
  read = lambda: preferences.load(f"jsonl:{file}", choice="all")
  file.write_text(json.dumps(PREFERENCES[kind]))
  assert read()
  assert not faults(file, mutants(PREFERENCES[kind]), read)


def test_damaged_parquet_gives_one_line(tmp_path):
  file = tmp_path / "train.parquet"
  read = lambda: preferences.load(f"parquet:{file}")
  table = pyarrow.Table.from_pylist([PREFERENCES["messages"]] * 3)
  parquet.write_table(table, file)
  assert read()
  assert not faults(file, mutations.texts(file.read_bytes(), 1, NUM), read)
  odd = [
    *([b"\xff"] * 2, [None] * 2, [1, 2], [[1], None], [{"a": 1}, None]),
    *([float("nan")] * 2, [["a", None], []], [True, False]),
    [[{"role": "user", "content": None}], [{"role": None, "content": "x"}]],
    pyarrow.array([10**17, -(10**17)], pyarrow.timestamp("ms")),
  ]
  for column in odd:
    parquet.write_table(
      pyarrow.table({"chosen": column, "rejected": column}), file
    )
    assert not faults(file, [file.read_bytes()], read)


def test_damaged_graphs_give_one_line(tmp_path):
  file = tmp_path / "graphs.txt"
  contents = mutations.texts(GRAPH * 3, 1, 2 * NUM)
  assert not faults(file, contents, lambda: star_graph_text.load(file))


def test_damaged_shards_of_samples_give_one_line(tmp_path):
  from oracles import rollouts as make

  store.write_shard(tmp_path, 0, [make.rollout("q", i) for i in range(3)])
  file = store.shard_path(tmp_path, 0)
  contents = mutations.texts(file.read_bytes(), 1, NUM)

  def read():
    store.read(tmp_path)
    store.shard_size(tmp_path, default=1)
    store.is_judged(tmp_path)

  assert not faults(file, contents, read)


def test_a_broken_folder_of_the_hubs_form_is_one_line(tmp_path, monkeypatch):
  import datasets

  monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
  good = json.dumps(ROWS["jsonl"]).encode()
  for i, (name, content) in enumerate(
    [
      ("train.jsonl", good + b'\n{"question": "x'),
      ("train.jsonl", good + b'\n{"question": 3, "answer": []}'),
      ("train.jsonl", b"\xff\xfe" + good),
      ("train.csv", b'question,answer\n"1,2\n'),
      ("train.parquet", b"PAR1 nothing"),
      ("data.zip", b"PK nothing"),
    ]
  ):
    folder = tmp_path / str(i)
    folder.mkdir()
    read = lambda folder=folder: sources.load(f"hub:{folder}", split="train")
    assert not faults(folder / name, [content], read)
    with pytest.raises(InputError):
      read()
