"""Every form of preferences, as its publishers write it, good and broken."""

import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import conversations, preferences

USER = {"role": "user", "content": "What color is the sky?"}
BLUE = {"role": "assistant", "content": "It is blue."}
GREEN = {"role": "assistant", "content": "It is green."}
ASKED = "What color is the sky?"
# A dialogue of two turns as HH-RLHF has it.
DIALOGUE = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Why?\n\nAssistant:"
NECTAR = {
  "prompt": "\n\nHuman: Why?\n\nAssistant: ",
  "answers": [
    {"answer": "c", "model": "m3", "rank": 3.0},
    {"answer": "a", "model": "m1", "rank": 1.0},
    {"answer": "b", "model": "m2", "rank": 2.0},
  ],
  "turns": 1,
  "num_responses": 3,
  "source": ["ultrachat"],
  "good_natured": True,
}
ULTRA = {
  "source": "evol_instruct",
  "instruction": "Why?",
  "models": ["a", "b", "c"],
  "completions": [
    {"model": "a", "response": "one", "overall_score": 6.5},
    {"model": "b", "response": "two", "overall_score": 8.0},
    {"model": "c", "response": "three", "overall_score": 6.5},
  ],
}


def read(row, **more):
  found = preferences.parse(row, "x-1", "x:1", **more)
  return [(p.question, p.chosen, p.rejected, p.margin) for p in found]


@pytest.mark.parametrize(
  ("row", "expected"),
  [
    # The documented examples of TRL: standard and conversational, explicit
    # and implicit.
    (
      {"prompt": "The sky is", "chosen": " blue.", "rejected": " green."},
      ("The sky is", " blue.", " green.", None),
    ),
    (
      {"chosen": "The sky is blue.", "rejected": "The sky is green."},
      ("The sky is", " blue.", " green.", None),
    ),
    (
      {"prompt": [USER], "chosen": [BLUE], "rejected": [GREEN]},
      (ASKED, "It is blue.", "It is green.", None),
    ),
    (
      {"chosen": [USER, BLUE], "rejected": [USER, GREEN]},
      (ASKED, "It is blue.", "It is green.", None),
    ),
    # UltraFeedback, binarized.
    (
      {
        "prompt": ASKED, "prompt_id": "0f", "messages": [USER, BLUE],
        "chosen": [USER, BLUE], "rejected": [USER, GREEN],
        "score_chosen": 8.5, "score_rejected": 7.0,
      },
      (ASKED, "It is blue.", "It is green.", 1.5),
    ),
    # HH-RLHF, and its copy with a prompt of its own.
    (
      {"chosen": DIALOGUE + " So.", "rejected": DIALOGUE + " Because."},
      (DIALOGUE, " So.", " Because.", None),
    ),
    (
      {"prompt": DIALOGUE, "chosen": " So.", "rejected": " Because."},
      (DIALOGUE, " So.", " Because.", None),
    ),
    (
      {"prompt": ASKED, "chosen": [BLUE], "rejected": [GREEN], "margin": 2},
      (ASKED, "It is blue.", "It is green.", 2.0),
    ),
  ],
)  # fmt: skip
def test_pairs_are_read(row, expected):
  assert read(row) == [expected]


def test_conversations_keep_their_turns():
  system = {"role": "system", "content": "Be brief."}
  turns = [system, USER, BLUE, {"role": "user", "content": "Always?"}]
  yes, no = ({"role": "assistant", "content": x} for x in ("Yes.", "No."))
  for row in (
    {"prompt": turns, "chosen": [yes], "rejected": [no]},
    {"chosen": [*turns, yes], "rejected": [*turns, no]},
  ):
    ((question, *answers, _),) = read(row)
    assert conversations.read(question) == turns
    assert answers == ["Yes.", "No."]


HH = "\n\nHuman: Why?\n\nAssistant:"


@pytest.mark.parametrize(
  ("choice", "pairs"),
  [
    ("ends", ["ac"]),
    ("best", ["ab", "ac"]),
    ("all", ["ab", "ac", "bc"]),
  ],
)
def test_pairs_of_ranked_answers_are_the_right_ones(choice, pairs):
  found = read(NECTAR, choice=choice)
  assert [better + worse for _, better, worse, _ in found] == pairs
  assert {question for question, *_ in found} == {HH}
  distance = {"ab": 1.0, "ac": 2.0, "bc": 1.0}
  assert [f[3] for f in found] == [distance[pair] for pair in pairs]


def test_equal_ranks_and_equal_texts_make_no_pair():
  answers = [
    {"answer": "a", "rank": 1.0}, {"answer": "b", "rank": 1.0},
    {"answer": "a", "rank": 2.0}, {"answer": "c", "rank": 3.0},
  ]  # fmt: skip
  row = NECTAR | {"answers": answers}
  pairs = [x[1] + x[2] for x in read(row, choice="all")]
  assert pairs == ["ac", "ba", "bc", "ac"]
  assert read(row | {"answers": answers[:2]}, choice="ends") == []


def test_pairs_by_score():
  assert read(ULTRA) == [("Why?", "two", "three", 1.5)]
  pairs = [x[1:3] for x in read(ULTRA, choice="all")]
  assert pairs == [("two", "one"), ("two", "three")]


ANSWERED = [USER, BLUE]


@pytest.mark.parametrize(
  ("row", "says"),
  [
    ({"chosen": "a b", "rejected": "a b", "prompt": "c"}, "both 'a b'"),
    (
      {"chosen": [USER, BLUE], "rejected": [USER, BLUE]},
      "both 'It is blue.'; expected answers that differ: drop the row",
    ),
    (
      {"prompt": ANSWERED, "chosen": [BLUE], "rejected": [GREEN]},
      "a conversation ends with the assistant",
    ),
    (
      {"prompt": [BLUE, USER], "chosen": [BLUE], "rejected": [GREEN]},
      "the roles of a conversation are 'assistant, user'; expected",
    ),
    (
      {"prompt": [USER], "chosen": [USER], "rejected": [GREEN]},
      "the answer has the roles ['user']; expected one message",
    ),
    (
      {"prompt": [USER], "chosen": [BLUE, USER, BLUE], "rejected": [GREEN]},
      "the answer has the roles ['assistant', 'user', 'assistant']",
    ),
    ({"chosen": [BLUE], "rejected": [GREEN]}, "a question is []"),
    ({"chosen": "yes", "rejected": "no"}, "do not begin alike"),
    ({"chosen": "yes", "rejected": ["no"]}, "expected two texts, or two"),
    ({"prompt": "a", "chosen": None, "rejected": "no"}, "chosen is None"),
    (
      {"chosen": DIALOGUE + " a", "rejected": HH + " b"},
      "chosen and rejected answer different dialogues",
    ),
    (
      {"chosen": "\n\nHuman: a", "rejected": "\n\nHuman: b"},
      "a dialogue has no '\\n\\nAssistant:'",
    ),
    (
      {"prompt": DIALOGUE + " So.", "chosen": "a", "rejected": "b"},
      "a conversation ends with the assistant",
    ),
    (
      {"prompt": "Else?", "chosen": ANSWERED, "rejected": [USER, GREEN]},
      "the prompt is 'Else?', and chosen begins with",
    ),
    (
      {"prompt": "a", "chosen": "b", "rejected": "c", "score_chosen": 1.0,
       "score_rejected": 2.0},
      "score_chosen is 1 and score_rejected 2; expected",
    ),
    (NECTAR | {"answers": "abc"}, "answers is 'abc'; expected a list"),
    (
      NECTAR | {"answers": [{"answer": "a"}]},
      "rank is None; expected a finite number",
    ),
    (
      ULTRA | {"completions": [{"response": 3, "overall_score": 1.0}]},
      "a non-text value under the key 'response'",
    ),
    (
      {"prompt": "a", "completion": "b", "label": True},
      "no preference under the keys ['completion', 'label', 'prompt']",
    ),
    (["a"], "got list, expected an object with a preference"),
  ],
)  # fmt: skip
def test_broken_rows_are_refused_in_one_line(row, says):
  with pytest.raises(InputError) as error:
    read(row)
  message = str(error.value)
  assert message.startswith("x:1: ") and says in message
  assert "\n" not in message


def test_another_choice_is_refused():
  with pytest.raises(InputError, match="expected ends, best or all"):
    read(NECTAR, choice="worst")
