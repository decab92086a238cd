"""Votes of answers that are spelt in many ways."""

from oracles import rollouts as make

from qsharp_jax.pipeline import samples
from qsharp_jax.rollout import store


def test_spellings_of_one_answer_vote_together_and_failures_do_not():
  same_as = lambda first, others: [float(first) == float(x) for x in others]
  said = ["18", "17", "18.0", None, "17", "18.00", "17"]
  rows = [
    make.rollout("b", i, extracted=x, error="late" if i == 4 else None)
    for i, x in enumerate(said)
  ]
  alone = make.rollout("a", 0, extracted="18.0")  # of another question
  found = store.Rollouts.of([*rows[:3], alone, *rows[3:]])
  votes = samples.votes_of(found, same_as).tolist()
  assert votes == ["18", "17", "18", "18.0", None, None, "18", "17"]
  as_said = samples.votes_of(found, None).tolist()
  assert as_said == [*said[:3], "18.0", *said[3:]]
