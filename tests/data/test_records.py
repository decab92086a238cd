"""From a row to its questions."""

import pytest

from qsharp_jax.core import errors
from qsharp_jax.core.errors import InputError
from qsharp_jax.data import conversations, records


def test_a_row_may_hold_several_questions():
  several = lambda row: [(text, "a") for text in row["texts"]]
  read = lambda *texts: records.questions(
    {"texts": texts}, "x-1", "x.jsonl:1", several
  )
  assert read("p") == [records.Question("x-1", "p", "a")]
  assert [q.id for q in read("p", "q")] == ["x-1.1", "x-1.2"]
  assert [q.question for q in read("p", "q")] == ["p", "q"]


def test_a_question_may_be_a_list_of_messages():
  parse = records.keyed("q", "a")
  lone = [{"role": "user", "content": "p"}]
  more = [*lone, {"role": "assistant", "content": "r"}, *lone]
  assert parse({"q": lone, "a": "x"}) == [("p", "x")]
  ((found, _),) = parse({"q": more, "a": "x"})
  assert conversations.read(found) == more


def test_questions_may_have_no_answers():
  assert records.keyed("q", "")({"q": "p"}) == [("p", "")]


@pytest.mark.parametrize(
  ("row", "says"),
  [
    ({"q": [{"role": "assistant", "content": "p"}], "a": ""}, "place: the rol"),
    ({"q": [], "a": ""}, "place: a question is []"),
    ({"q": "p"}, "place: no value under the key 'a', keys there are ['q']"),
    ({"q": "p", "a": 3}, "place: a non-text value under the key 'a'"),
    (["p", "3"], "place: got list, expected an object"),
  ],
)
def test_a_wrong_row_is_refused_with_its_place(row, says):
  with pytest.raises(InputError) as caught:
    records.questions(row, "x-1", "place", records.keyed("q", "a"))
  assert str(caught.value).startswith(says)


def test_an_empty_set_is_refused_and_long_values_are_shown_in_part():
  with pytest.raises(InputError, match="file: no question in it"):
    records.not_empty([], "file")
  assert errors.short("x" * 200, 80) == "'" + "x" * 79 + "…"
