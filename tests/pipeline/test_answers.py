"""Which answers are shown, in what order, and how many of them."""

import numpy as np
from oracles import rollouts as make

from qsharp_jax.pipeline import answers


def policy(label, texts_by_question, question="asked?"):
  """Rewards are 1 for texts that hold "good"."""
  rows = [
    make.rollout(
      id_, i, text=text, label=float("good" in text), question=question
    )
    for id_, texts in texts_by_question.items()
    for i, text in enumerate(texts)
  ]
  found = make.columns(*rows)
  return answers.Policy(label, "m", None, "s", found, found.label)


def test_equal_answers_are_one_with_their_number_the_most_frequent_first():
  both = [
    policy("Reference", {"b": ["good", "bad", "bad"], "a": ["good"] * 3}),
    policy("Q#", {"b": ["good"], "a": ["bad"]}),
  ]
  shown = answers.side_by_side(both)
  first, second = shown["questions"]
  assert [first["id"], second["id"]] == ["b", "a"]  # as they were asked
  assert first["answers"][0] == [
    {"text": "bad", "count": 2, "reward": 0.0, "correct": False, "error": None},
    {"text": "good", "count": 1, "reward": 1.0, "correct": True, "error": None},
  ]
  np.testing.assert_allclose(first["means"], [1 / 3, 1])
  assert (first["counts"], second["means"]) == ([3, 1], [1.0, 0.0])
  assert [p["label"] for p in shown["policies"]] == ["Reference", "Q#"]


def test_of_many_long_answers_the_worst_are_kept_and_all_stays_small():
  ids = [f"q{i}" for i in range(600)]
  texts = lambda good: {
    id_: [
      ("good " if good(i) else "bad ") + "x" * 5000 + str(n) for n in range(4)
    ]
    for i, id_ in enumerate(ids)
  }
  both = [
    policy("Reference", texts(lambda i: True)),
    policy("Q#", texts(lambda i: i < 590)),
  ]
  shown = answers.side_by_side(both)
  kept = [q["id"] for q in shown["questions"]]
  assert (shown["total"], len(kept)) == (600, 500)
  assert set(ids[590:]) <= set(kept)
  size = sum(
    len(answer["text"])
    for q in shown["questions"]
    for own in q["answers"]
    for answer in own
  )
  assert size < 2_100_000
  assert shown["questions"][0]["answers"][0][0]["text"].endswith("x…")


def test_a_policy_that_answered_fewer_questions_is_compared_on_those():
  both = [
    policy("Reference", {"a": ["good"], "b": ["bad"]}),
    policy("Q#", {"b": ["good"]}),
  ]
  shown = answers.side_by_side(both)
  assert [q["id"] for q in shown["questions"]] == ["b"]
