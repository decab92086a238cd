"""Advantages of samples, their loss, and that it learns."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from oracles import decoders, micro_runs
from oracles import finetuning as oracle
from oracles import policy_gradient as policy_oracle

from qsharp_jax import data
from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import methods, rloo

ETA = 0.3


@pytest.fixture(scope="module")
def params():
  return decoders.params(oracle.MODEL)


def test_rloo_leaves_one_out_after_the_penalty():
  experience = oracle.experience()
  credit = rloo.credit(eta=ETA, baseline="leave_one_out")
  advantages = list(credit.of_samples(experience))
  expected = [
    policy_oracle.leave_one_out(r, m)
    for r, m in zip(
      oracle.penalised(experience, ETA),
      experience.is_graded.tolist(),
      strict=True,
    )
  ]
  assert [len(of_tokens) for of_tokens in advantages] == [2, 3, 1, 4]
  for of_tokens, advantage in zip(advantages, np.ravel(expected), strict=True):
    np.testing.assert_allclose(of_tokens, advantage, atol=1e-6)


def test_rloo_may_take_the_mean_of_the_batch():
  experience = oracle.experience()
  credit = rloo.credit(eta=ETA, baseline="batch")
  kept = np.ravel(oracle.penalised(experience, ETA))[:3]
  found = [of_tokens[0] for of_tokens in credit.of_samples(experience)]
  np.testing.assert_allclose(found, [*(kept - kept.mean()), 0], atol=1e-6)


def test_rloo_averages_over_sequences(params):
  found = oracle.sequences()
  objective = rloo.objective(oracle.MODEL)
  got = jax.jit(objective)(params, oracle.packed(found))
  total = -sum(
    float((s.labels * log_probs)[s.mask].sum())
    for s, log_probs in zip(found, oracle.log_probs(params, found), strict=True)
  )
  np.testing.assert_allclose(got, (total, 3), rtol=1e-4)


def test_padding_weighs_nothing_and_has_no_nan(params):
  oracle.no_loss_from_padding(rloo.objective(oracle.MODEL), params)


def test_labels_outside_the_mask_are_not_read(params):
  rows = data.packing.pack(oracle.sequences(), length=10)
  oracle.no_labels_outside_the_mask(rloo.objective(oracle.MODEL), params, rows)


def test_rloo_learns_to_say_what_is_rewarded(tmp_path):
  settings = oracle.small(
    "rloo",
    eta=0.01,
    num_iterations=16,
    prompts_per_iteration=16,
    fit=dataclasses.replace(oracle.FIT, learning_rate=0.03, batch_size=32),
  )
  model = oracle.train(micro_runs.run(tmp_path), "rloo", settings)
  found = json.loads((model.parent / "metrics.json").read_text())["iterations"]
  first, last = (
    np.mean([row["reward"] for row in rows]) for rows in (found[:3], found[-3:])
  )
  assert first < 0.2 and last > 0.6


def test_refuses_a_baseline_of_another_name():
  with pytest.raises(InputError, match="baseline is 'critic'.*leave_one_out"):
    rloo.RLOO(baseline="critic")


def test_its_former_name_has_the_same_settings():
  changes = {"num_samples": 3, "fit": {"batch_size": 4}}
  assert methods.make("reinforce", changes) == methods.make("rloo", changes)
