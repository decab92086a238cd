r"""Rows of data sets: competition problems, AIME, multiple choice."""

import json

import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import records, sources


def last_box(text):
  """What stands in the last box, if it is closed; no braces inside."""
  _, box, rest = text.rpartition("\\boxed{")
  return rest.split("}")[0] if box and "}" in rest else None


PROBLEM = records.problem("problem", "answer", last_box=last_box)
AIME = records.aime(PROBLEM)
SOLVED = r"First \boxed{1}. Then $x = \boxed{\pi}.$"
ITEM = {"question": "Who?", "options": ["a dog", "a cat"], "gold_label": 2}


@pytest.mark.parametrize(
  ("row", "answer"),
  [
    ({"problem": "p", "solution": SOLVED, "answer": r"\frac12"}, r"\frac12"),
    ({"problem": "p", "solution": SOLVED}, r"\pi"),
    ({"problem": "p", "solution": SOLVED, "answer": ""}, r"\pi"),
    ({"problem": "p", "solution": SOLVED, "answer": None}, r"\pi"),
    ({"problem": "p", "answer": 7}, "7"),
  ],
)
def test_a_problem_has_its_bare_answer(row, answer):
  assert PROBLEM(row) == [("p", answer)]


def test_a_solution_may_be_named_as_the_answer():
  parse = records.problem("p", "solution", last_box=last_box)
  assert parse({"p": "q", "solution": SOLVED}) == [("q", r"\pi")]


@pytest.mark.parametrize(
  ("row", "says"),
  [
    ({"problem": "p", "solution": "It is 3."}, "no \\boxed{} in 'solution'"),
    ({"problem": "p", "solution": "\\boxed{3"}, "no \\boxed{} in 'solution'"),
    ({"problem": "p"}, "no 'answer' and no \\boxed{}"),
    ({"problem": "p", "answer": 0.5}, "non-text value under the key 'answer'"),
    ({"problem": "p", "answer": True}, "non-text value"),
    ({"question": "p", "answer": "3"}, "no value under the key 'problem'"),
  ],
)
def test_a_problem_without_an_answer_is_refused(row, says):
  with pytest.raises(InputError) as caught:
    PROBLEM(row)
  assert says in str(caught.value)


@pytest.mark.parametrize(
  ("answer", "kept"),
  [("42", "42"), ("042", "42"), ("000", "0"), (999, "999"), (" 7 ", "7")],
)
def test_an_aime_answer_is_a_number_up_to_999(answer, kept):
  assert AIME({"problem": "p", "answer": answer}) == [("p", kept)]


@pytest.mark.parametrize(
  "answer", ["1000", "-1", "3.5", "²", "x", "\\pi", 1000]
)
def test_other_aime_answers_are_refused(answer):
  with pytest.raises(InputError, match="whole number from 0 to 999"):
    AIME({"problem": "p", "answer": answer})


def test_a_set_of_questions_shares_its_article():
  article = "<p>A &amp; B.</p><p>One<br/>two</p><!-- no --> 1 < 2 "
  row = {"article": article, "questions": [ITEM, ITEM | {"gold_label": 1}]}
  (first, b), (second, a) = records.multiple_choice(row)
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
  ((question, found),) = records.multiple_choice(row)
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
      records.multiple_choice(row)
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
    records.multiple_choice(row)
  assert says in str(caught.value)


def test_every_question_of_a_line_has_an_id_and_every_error_a_place(tmp_path):
  path = tmp_path / "train.jsonl"
  good = {"article": "x", "questions": [ITEM, ITEM]}
  lines = [json.dumps(good), json.dumps(ITEM)]
  path.write_text("\n".join(lines))
  read = lambda: sources.load(
    f"jsonl:{tmp_path}", split="train", parse=records.multiple_choice
  )
  assert [q.id for q in read()] == ["train-1.1", "train-1.2", "train-2"]
  path.write_text("\n".join([*lines, json.dumps(ITEM | {"gold_label": 5})]))
  with pytest.raises(InputError, match=r"train.jsonl:3: 'gold_label' is 5"):
    read()
