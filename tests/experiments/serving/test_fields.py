"""Fields are read once, checked, and none is ignored."""

import pytest

from experiments.serving import fields
from experiments.serving.refusals import Refused


def test_fields_are_taken_and_null_is_none():
  own = fields.Fields({"n": 2, "stop": "a", "eta": None, "echo": True})
  assert own.whole("n", 1, 1, 3) == 2
  assert own.texts("stop", most=2, longest=3) == ["a"]
  assert own.number("eta", 0.5, 0, 1) == 0.5
  assert own.flag("echo") and not own.flag("stream")
  own.end()


@pytest.mark.parametrize("raw", [None, [], "a", 1])
def test_only_objects_have_fields(raw):
  with pytest.raises(Refused, match="JSON object"):
    fields.Fields(raw)


@pytest.mark.parametrize("value", ["1", True, 1.0, 0, 4, [1]])
def test_whole_numbers(value):
  with pytest.raises(Refused, match="from 1 to 3") as error:
    fields.Fields({"n": value}).whole("n", 1, 1, 3)
  assert error.value.param == "n" and error.value.status == 400


@pytest.mark.parametrize("value", ["a", True, -1, 2, float("nan"), {}])
def test_numbers(value):
  with pytest.raises(Refused, match="from 0 to 1"):
    fields.Fields({"eta": value}).number("eta", 0, 0, 1)


@pytest.mark.parametrize(
  "name, value",
  [
    ("user", "me"),
    ("metadata", {"a": 1}),
    ("presence_penalty", 0.0),
    ("tools", []),
    ("logit_bias", {}),
    ("best_of", 1),
    ("response_format", {"type": "text"}),
  ],
)
def test_what_asks_for_nothing_is_let_pass(name, value):
  fields.Fields({name: value}).end()


@pytest.mark.parametrize(
  "name, value",
  [
    ("tools", [{}]),
    ("presence_penalty", 0.5),
    ("best_of", 2),
    ("response_format", {"type": "json_object"}),
    ("anything", 0),
    ("x" * 1000, 0),
  ],
)
def test_what_would_change_the_answer_is_refused(name, value):
  with pytest.raises(Refused) as error:
    fields.Fields({name: value}).end()
  assert len(str(error.value)) < 200
