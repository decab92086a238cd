"""Which samples become pairs, and what the frozen reference says of them."""

import numpy as np
from oracles import decoders, micro_runs
from oracles import rollouts as make

from qsharp_jax import data, models, rollout
from qsharp_jax.finetuning import objectives as policy_objectives
from qsharp_jax.finetuning import preferences, recipes


def samples(question, labels, **fields):
  return [
    make.rollout(question, i, tokens=[10 + i, 3], label=label, **fields)
    for i, label in enumerate(labels)
  ]


def completions(pairs):
  end = lambda s: s.tokens[s.mask].tolist()
  return [(end(p.chosen), end(p.rejected)) for p in pairs]


def test_best_with_worst_as_long_as_they_differ():
  found = samples("a", [0.0, 1.0, 0.0, 1.0]) + samples("b", [1.0, 1.0])
  one = preferences.pairs(found, per_question=1)
  assert completions(one) == [([11, 3], [12, 3])]
  two = preferences.pairs(found, per_question=4)
  assert completions(two) == [([11, 3], [12, 3]), ([13, 3], [10, 3])]
  assert [(p.chosen_reward, p.rejected_reward) for p in two] == [(1, 0)] * 2
  assert one[0].chosen.tokens.tolist() == [5, 6, 7, 11, 3]


def test_failed_rewards_make_no_pair():
  found = samples("a", [1.0, 0.0])
  found += samples("b", [1.0]) + samples("b", [0.0], error="raised")
  assert len(preferences.pairs(found, per_question=2)) == 1
  assert preferences.pairs([], per_question=2) == []


def test_gold_answers_are_preferred_to_what_earned_less():
  found = samples("a", [0.0, 1.0, 0.5]) + samples("b", [1.0])
  problems = [rollout.Problem(i, [5, 6, 7], "") for i in "ab"]
  pairs = preferences.gold_pairs(
    found, problems, lambda problem: [20, 21, 3], per_question=5
  )
  assert completions(pairs) == [([20, 21, 3], [10, 3]), ([20, 21, 3], [12, 3])]
  assert [p.rejected_reward for p in pairs] == [0.0, 0.5]


def test_scores_are_log_probs_under_the_model():
  model = models.LanguageModel(decoders.SMALLEST)
  params = decoders.params(model)
  sequences = [preferences.sequence([1, 2], [3] * n) for n in (1, 4, 2)]
  rows = data.packing.pad(sequences, length=6)
  layout = micro_runs.one_device()
  found = preferences.scored(model, params, rows, batch_size=2, layout=layout)
  expected = policy_objectives.token_log_probs(model, params, rows._asdict())
  np.testing.assert_allclose(found.labels, expected, atol=1e-5)
  assert (found.labels[0, 1:3] < 0).all() and not found.labels[0, 3:].any()


def test_optimal_values_by_hand():
  found = samples("a", [1.0, 0.0]) + samples("b", [0.5])
  found += samples("a", [1.0], error="raised")
  values = recipes.optimal_values(found, eta=0.5)
  assert values.keys() == {"a", "b"}
  np.testing.assert_allclose(
    [values["a"], values["b"]],
    [0.5 * np.log((np.exp(2) + 1) / 2), 0.5],
    rtol=1e-5,
  )
