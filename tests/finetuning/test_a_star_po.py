"""Optimal values of questions, advantages against them, and their loss."""

import jax
import numpy as np
import pytest
from oracles import decoders
from oracles import finetuning as oracle
from oracles import rollouts as make

from qsharp_jax import data
from qsharp_jax.finetuning import a_star_po

NUM_COLUMNS = len(a_star_po.Targets._fields)


@pytest.fixture(scope="module")
def params():
  return decoders.params(oracle.MODEL)


def test_optimal_values_by_hand():
  found = [make.rollout("a", i, label=1.0 - i) for i in range(2)]
  found += [make.rollout("b", 0, label=0.5)]
  found += [make.rollout("a", 0, label=1.0, error="raised")]
  values = a_star_po.optimal_values(found, eta=0.5)
  assert values.keys() == {"a", "b"}
  np.testing.assert_allclose(
    [values["a"], values["b"]],
    [0.5 * np.log((np.exp(2) + 1) / 2), 0.5],
    rtol=1e-5,
  )


def test_a_star_po_subtracts_the_optimal_value():
  experience = oracle.experience()
  credit = a_star_po.credit({"q0": 0.7, "q1": 0.2})
  targets = [
    a_star_po.Targets(*columns.T) for columns in credit.of_samples(experience)
  ]
  completions = [c for group in experience.completions for c in group]
  for found, completion, advantage in zip(
    targets, completions, [0.3, -0.7, 0.3, -0.2], strict=True
  ):
    np.testing.assert_array_equal(found.ref_log_probs, completion.ref_log_probs)
    np.testing.assert_allclose(found.advantages, advantage, atol=1e-6)


def test_a_star_po_regresses_whole_sequences(params):
  found = oracle.sequences(NUM_COLUMNS)
  targets = [a_star_po.Targets(*s.labels.T) for s in found]
  for i, of_sequence in enumerate(targets):
    of_sequence.advantages[:] = i  # one advantage a sequence
  objective = jax.jit(a_star_po.objective(oracle.MODEL, eta=0.3))
  total = 0.0
  for i, log_probs in enumerate(oracle.log_probs(params, found)[:3]):
    ratios = log_probs - targets[i].ref_log_probs
    total += (0.3 * ratios[found[i].mask].sum() - i) ** 2
  np.testing.assert_allclose(
    objective(params, oracle.packed(found)), (total, 3), rtol=1e-4
  )


def test_padding_weighs_nothing_and_has_no_nan(params):
  objective = a_star_po.objective(oracle.MODEL, eta=0.3)
  oracle.no_loss_from_padding(objective, params, (NUM_COLUMNS,))


def test_labels_outside_the_mask_are_not_read(params):
  rows = data.packing.pack(oracle.sequences(NUM_COLUMNS), length=10)
  objective = a_star_po.objective(oracle.MODEL, eta=0.3)
  oracle.no_labels_outside_the_mask(objective, params, rows)
