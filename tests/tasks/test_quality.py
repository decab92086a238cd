"""Rows of multiple choice, QuALITY's and others'."""

import json

import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import sources
from qsharp_jax.tasks import quality

ITEM = {"question": "Who?", "options": ["a dog", "a cat"], "gold_label": 2}


def test_a_set_of_questions_shares_its_article():
  article = "<p>A &amp; B.</p><p>One<br/>two</p><!-- no --> 1 < 2 "
  row = {"article": article, "questions": [ITEM, ITEM | {"gold_label": 1}]}
  (first, b), (second, a) = quality.multiple_choice(row)
  assert (b, a) == ("B", "A")
  assert first == second
  assert first == (
    "A & B.\nOne\ntwo\n1 < 2\n\nWho?\nA. a dog\nB. a cat\n"
    "Answer with one letter, A to B."
  )


@pytest.mark.parametrize(
  ("row", "answer"),
  [
    (ITEM, "B"),
    ({"question": "Who?", "options": ["x", "y", "z"], "answer": "C"}, "C"),
    ({"question": "Who?", "options": ["x", "y", "z"], "answer": "y"}, "B"),
  ],
)
def test_a_row_may_be_one_question(row, answer):
  ((question, found),) = quality.multiple_choice(row)
  assert found == answer
  assert question.startswith("Who?\nA. ")


@pytest.mark.parametrize(
  ("changed", "says"),
  [
    ({"gold_label": 3}, "'gold_label' is 3; expected a number from 1 to 2"),
    ({"gold_label": 0}, "'gold_label' is 0"),
    ({"gold_label": "2"}, "'gold_label' is '2'"),
    ({"gold_label": True}, "'gold_label' is True"),
    ({"options": ["one"]}, "expected a list of 2 to 10"),
    ({"options": ["x"] * 11}, "expected a list of 2 to 10"),
    ({"options": ["x", ""]}, "expected a list of 2 to 10"),
    ({"options": "xy"}, "'options' is 'xy'"),
    ({"options": None}, "'options' is None"),
    ({"question": None}, "non-text value under the key 'question'"),
  ],
)
def test_wrong_options_and_labels_are_refused(changed, says):
  for row in (ITEM | changed, {"article": "", "questions": [ITEM | changed]}):
    with pytest.raises(InputError) as caught:
      quality.multiple_choice(row)
    assert says in str(caught.value)
  assert str(caught.value).startswith("question 1: ")


@pytest.mark.parametrize(
  ("row", "says"),
  [
    ({"article": "a", "questions": []}, "no list"),
    ({"article": "a", "questions": {}}, "no list"),
    ({"article": "a", "questions": ["q"]}, "question 1: got str"),
    ({"article": 3, "questions": [ITEM]}, "'article'"),
    ({"question": "q", "options": ["x", "y"], "answer": "z"}, "'answer' is"),
    ({"question": "q", "options": ["x", "x"], "answer": "x"}, "'answer' is"),
    ({"question": "q", "options": ["x", "y"]}, "no value under the key 'ans"),
  ],
)
def test_other_rows_are_refused(row, says):
  with pytest.raises(InputError) as caught:
    quality.multiple_choice(row)
  assert says in str(caught.value)


def test_every_question_of_a_line_has_an_id_and_every_error_a_place(tmp_path):
  path = tmp_path / "train.jsonl"
  good = {"article": "x", "questions": [ITEM, ITEM]}
  lines = [json.dumps(good), json.dumps(ITEM)]
  path.write_text("\n".join(lines))
  read = lambda: sources.load(
    f"jsonl:{tmp_path}", split="train", parse=quality.multiple_choice
  )
  assert [q.id for q in read()] == ["train-1.1", "train-1.2", "train-2"]
  path.write_text("\n".join([*lines, json.dumps(ITEM | {"gold_label": 5})]))
  with pytest.raises(InputError, match=r"train.jsonl:3: 'gold_label' is 5"):
    read()
