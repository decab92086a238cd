"""Advantages within a group, the loss, its kin RLOO, and that it learns."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from oracles import decoders, micro_runs
from oracles import finetuning as oracle
from oracles import policy_gradient as policy_oracle

from qsharp_jax import data, rewards
from qsharp_jax.finetuning import experience as experience_lib
from qsharp_jax.finetuning import grpo, methods, rloo

ETA = 0.3


@pytest.fixture(scope="module")
def params():
  return decoders.params(oracle.MODEL)


def labelled(params):
  """Sequences whose labels are `Targets`: some ratios beyond the clip."""
  found = oracle.sequences(num_columns=3)
  log_probs = oracle.log_probs(params, found)
  advantages = (1.3, -0.4, -2.1, 0.6)
  for sequence, own, advantage in zip(
    found, log_probs, advantages, strict=True
  ):
    sequence.labels[:, :2] = own[:, None] + 0.5 * sequence.labels[:, :2]
    sequence.labels[:, 2] = advantage
  return found, log_probs


@pytest.mark.parametrize("is_dr", [False, True])
def test_the_loss_equals_the_oracle(is_dr, params):
  found, log_probs = labelled(params)
  objective = grpo.objective(oracle.MODEL, eta=ETA, clip=0.2, is_dr=is_dr)
  got = jax.jit(objective)(params, oracle.packed(found))
  samples = [
    (
      float(s.labels[0, 2]),
      [(float(p), *map(float, s.labels[t, :2])) for t, p in enumerate(own)
       if s.mask[t]],
    )
    for s, own in zip(found, log_probs, strict=True)
    if s.mask.any()
  ]  # fmt: skip
  ratios = [np.exp(p - old) for _, tokens in samples for p, old, _ in tokens]
  assert min(ratios) < 0.8 and max(ratios) > 1.2
  total = policy_oracle.grpo(samples, ETA, 0.2, is_dr)
  np.testing.assert_allclose(got, (total, 3), rtol=1e-4)


@pytest.mark.parametrize("is_dr", [False, True])
def test_advantages_are_those_of_the_group(is_dr):
  experience = oracle.experience()
  found = list(grpo.credit(is_dr=is_dr).of_samples(experience))
  expected = [
    policy_oracle.group_relative(r, m, not is_dr)
    for r, m in zip(
      experience.rewards.tolist(), experience.is_graded.tolist(), strict=True
    )
  ]
  completions = [c for group in experience.completions for c in group]
  for columns, completion, advantage in zip(
    found, completions, np.ravel(expected), strict=True
  ):
    np.testing.assert_allclose(columns[:, 2], advantage, atol=1e-6)
    np.testing.assert_array_equal(columns[:, 0], completion.log_probs)
    np.testing.assert_array_equal(columns[:, 1], completion.ref_log_probs)


def test_without_deviation_and_length_it_is_rloo(params):
  """At ratio 1, and up to the factor (n - 1) / n of the advantages."""
  num = 4
  rewards_of_group = np.array([[-2.5, 0.37, 11.0, 0.37]], np.float32)
  sequences = oracle.sequences()
  log_probs = oracle.log_probs(params, sequences)
  completions = [
    dataclasses.replace(
      oracle.experience().completions[0][0],
      tokens=s.tokens[s.mask],
      log_probs=own[s.mask],
      ref_log_probs=own[s.mask],
    )
    for s, own in zip(sequences, log_probs, strict=True)
  ]
  experience = experience_lib.Experience(
    oracle.experience().problems[:1],
    [completions],
    rewards=rewards_of_group,
    is_graded=np.ones((1, num), bool),
  )

  def gradient(credit, objective):
    labels = credit.of_samples(experience)
    rows = [
      data.packing.completion(s.tokens[~s.mask], s.tokens[s.mask], own)
      for s, own in zip(sequences, labels, strict=True)
    ]
    slope = jax.jit(jax.grad(lambda p, b: objective(p, b)[0]))
    return jax.device_get(slope(params, oracle.packed(rows)))

  of_grpo = gradient(
    grpo.credit(is_dr=True), grpo.objective(oracle.MODEL, eta=0.0, is_dr=True)
  )
  of_rloo = gradient(
    rloo.credit(eta=0.0, baseline="leave_one_out"), rloo.objective(oracle.MODEL)
  )
  scaled = jax.tree.map(lambda x: x * (num - 1) / num, of_rloo)
  assert max(np.abs(x).max() for x in jax.tree.leaves(scaled)) > 0.1
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4),
    of_grpo,
    scaled,
  )


def test_padding_weighs_nothing_and_has_no_nan(params):
  objective = grpo.objective(oracle.MODEL, eta=ETA)
  oracle.no_loss_from_padding(objective, params, (3,))


def test_labels_outside_the_mask_are_not_read(params):
  rows = data.packing.pack(oracle.sequences(num_columns=3), length=10)
  objective = grpo.objective(oracle.MODEL, eta=ETA)
  oracle.no_labels_outside_the_mask(objective, params, rows)


def unbounded(texts, answers, split, *, prompts):
  """Any real number: 40 times the share of the favourite, less 30."""
  del split, prompts
  return [
    rewards.Grade(None, None, 40 * grade.reward - 30)
    for grade in micro_runs.prefers_favourite(texts, answers)
  ]


def test_grpo_learns_to_say_what_is_rewarded(tmp_path):
  settings = oracle.small(
    "grpo",
    eta=0.01,
    num_iterations=16,
    prompts_per_iteration=16,
    num_samples=2,
    fit=dataclasses.replace(oracle.FIT, learning_rate=0.03, batch_size=32),
  )
  model = oracle.train(micro_runs.run(tmp_path, unbounded), "grpo", settings)
  found = json.loads((model.parent / "metrics.json").read_text())["iterations"]
  first, last = (
    np.mean([row["reward"] for row in rows]) for rows in (found[:3], found[-3:])
  )
  assert first < 40 * 0.2 - 30 and last > 40 * 0.6 - 30


def test_dr_grpo_is_a_switch():
  changes = {"num_samples": 3}
  switched = methods.make("grpo", changes | {"is_dr": True})
  assert switched == methods.make("dr_grpo", changes)
  assert switched != methods.make("grpo", changes)
