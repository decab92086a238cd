"""Which samples become pairs, how they are scored, and what they cost."""

import functools

import jax
import numpy as np
import pytest
from oracles import decoders, micro_runs
from oracles import finetuning as oracle
from oracles import preferences as preferences_oracle
from oracles import rollouts as make

from qsharp_jax import data, rollout
from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import base, preference
from qsharp_jax.training import rows as rows_lib


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
  one = preference.pairs(found, per_question=1)
  assert completions(one) == [([11, 3], [12, 3])]
  two = preference.pairs(found, per_question=4)
  assert completions(two) == [([11, 3], [12, 3]), ([13, 3], [10, 3])]
  assert [(p.chosen_reward, p.rejected_reward) for p in two] == [(1, 0)] * 2
  assert one[0].chosen.tokens.tolist() == [5, 6, 7, 11, 3]


def test_failed_rewards_make_no_pair():
  found = samples("a", [1.0, 0.0])
  found += samples("b", [1.0]) + samples("b", [0.0], error="raised")
  assert len(preference.pairs(found, per_question=2)) == 1
  assert preference.pairs([], per_question=2) == []


def test_gold_answers_are_preferred_to_what_earned_less():
  found = samples("a", [0.0, 1.0, 0.5]) + samples("b", [1.0])
  problems = [rollout.Problem(i, [5, 6, 7], "") for i in "ab"]
  pairs = preference.gold_pairs(
    found, problems, lambda problem: [20, 21, 3], per_question=5
  )
  assert completions(pairs) == [([20, 21, 3], [10, 3]), ([20, 21, 3], [12, 3])]
  assert [p.rejected_reward for p in pairs] == [0.0, 0.5]


def test_scores_are_log_probs_under_the_model():
  params = decoders.params(oracle.MODEL)
  sequences = [data.packing.completion([1, 2], [3] * n) for n in (1, 4, 2)]
  rows = data.packing.pad(sequences, length=6)
  found = preference.ref_log_probs(
    oracle.MODEL,
    params,
    rows,
    batch_size=2,
    layout=micro_runs.one_device(),
  )
  expected = base.token_log_probs(oracle.MODEL, params, rows._asdict())
  np.testing.assert_allclose(found, expected, atol=1e-5)
  assert (found[0, 1:3] < 0).all() and not found[0, 3:].any()


@pytest.fixture(scope="module")
def params():
  return decoders.params(oracle.MODEL)


def pairs():
  first, second = (oracle.sequences(seed=seed)[:3] for seed in (0, 1))
  return [
    data.packing.Pair(a, b, 1.0, 0.0)
    for a, b in zip(first, second, strict=True)
  ]


SETTINGS = preference.Preference(eta=0.3, alpha=0.8, bias=0.6)
ORACLES = {
  "dpo": lambda *x: preferences_oracle.dpo(*x[:4], 0.3),
  "rpo": lambda *x: preferences_oracle.rpo(*x, 0.3, 0.8),
  "cpl": lambda *x: preferences_oracle.cpl(*x[:2], 0.3, 0.6),
}


def objective(name):
  loss = functools.partial(preference._LOSSES[name], SETTINGS)
  return preference.objective(oracle.MODEL, loss)


@pytest.mark.parametrize("name", ORACLES)
def test_preference_sums_each_side_of_each_row(name, params):
  rows = data.packing.pack_pairs(pairs(), length=14)
  with_padding = rows_lib.completed(rows, len(rows.tokens) + 2)
  total = 0.0
  for pair in pairs():
    sides = (pair.chosen, pair.rejected)
    log_probs, ref = (
      [float(x[s.mask].sum()) for x, s in zip(columns, sides, strict=True)]
      for columns in (
        oracle.log_probs(params, sides),
        [s.labels for s in sides],
      )
    )
    num_chosen = float(pair.chosen.mask.sum())
    total += ORACLES[name](*log_probs, *ref, num_chosen)
  got = jax.jit(objective(name))(params, oracle.batch(with_padding))
  np.testing.assert_allclose(got, (total, 3), rtol=1e-4)


def test_padding_weighs_nothing_and_has_no_nan(params):
  oracle.no_loss_from_padding(objective("rpo"), params)


def test_labels_outside_the_mask_are_not_read(params):
  rows = data.packing.pack_pairs(pairs(), length=14)
  oracle.no_labels_outside_the_mask(objective("rpo"), params, rows)


def test_refuses_a_loss_of_another_name():
  with pytest.raises(InputError, match="loss is 'ipo'.*dpo, rpo, cpl"):
    preference.Preference(loss="ipo")
