"""Questions of a source, and what may stand before its scheme."""

import json

import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.tasks import reading


def write(path, *rows):
  path.write_text("\n".join(map(json.dumps, rows)))
  return path


def pairs(questions):
  return [(q.id, q.question, q.answer) for q in questions]


def test_no_question_of_test_is_learnt_from(tmp_path):
  rows = [{"question": f"{i}?", "answer": str(i)} for i in range(4)]
  write(tmp_path / "train.jsonl", *rows[:3])
  write(tmp_path / "test.jsonl", *rows[2:])
  found = reading.Reading(f"jsonl:{tmp_path}").questions()
  assert pairs(found["train"]) == [
    ("train-1", "0?", "0"),
    ("train-2", "1?", "1"),
  ]
  assert pairs(found["test"]) == [("test-1", "2?", "2"), ("test-2", "3?", "3")]


def test_tests_may_come_from_elsewhere_in_another_form(tmp_path):
  row = {"problem": "p", "solution": "\\boxed{x}"}
  train = write(tmp_path / "problems.jsonl", row)
  test = write(tmp_path / "aime.jsonl", {"problem": "a", "answer": "042"})
  found = reading.Reading(
    f"math:jsonl:{train}", f"aime:jsonl:{test}", "problem", "answer"
  ).questions()
  assert pairs(found["train"]) == [("problems-1", "p", "x")]
  assert pairs(found["test"]) == [("aime-1", "a", "42")]


def test_choices_need_no_keys(tmp_path):
  row = {"question": "Who?", "options": ["he", "she"], "gold_label": 1}
  path = write(tmp_path / "choices.jsonl", row, row | {"question": "What?"})
  found = reading.Reading(f"quality:jsonl:{path}").questions()
  # One file for both: then nothing is left to learn from.
  assert found["train"] == []
  assert [q.answer for q in found["test"]] == ["A", "A"]


@pytest.mark.parametrize("source", ["maths:jsonl:x", "math:", "x.csv"])
def test_other_sources_are_refused(source):
  with pytest.raises(InputError, match="is not jsonl:PATH"):
    reading.Reading(source).questions()
