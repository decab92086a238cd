"""Labels of sampled tokens, against definitions sample by sample."""

import numpy as np
import pytest
from oracles import decoders, micro_runs
from oracles import policy_gradient as oracle

from qsharp_jax import data, generate, models, rollout
from qsharp_jax.finetuning import credit, on_policy
from qsharp_jax.finetuning import objectives as policy_objectives

LENGTHS = ((2, 3), (1, 4))
ETA = 0.3


@pytest.fixture
def experience():
  rng = np.random.default_rng(0)

  def completion(length):
    negative = lambda: -rng.random(length).astype(np.float32)
    return generate.Completion(
      tokens=rng.integers(0, 11, length).astype(np.int32),
      log_probs=negative(),
      ref_log_probs=negative(),
      kl=np.full(length, 0.1, np.float32),
      kl_filtered=np.zeros(length),
      ended=True,
      num_forwards=length,
    )

  return on_policy.Experience(
    [rollout.Problem(f"q{i}", [1, 2, 3], "") for i in range(2)],
    [[completion(n) for n in row] for row in LENGTHS],
    rewards=np.array([[1.0, 0.0], [0.5, 0.0]], np.float32),
    is_graded=np.array([[True, True], [True, False]]),
  )


def penalised(found):
  return [
    [
      reward - ETA * float((c.log_probs - c.ref_log_probs).sum())
      for c, reward in zip(group, rewards, strict=True)
    ]
    for group, rewards in zip(
      found.completions, found.rewards.tolist(), strict=True
    )
  ]


def test_reinforce_leaves_one_out_after_the_penalty(experience):
  labels = list(
    credit.reinforce(eta=ETA, baseline="leave_one_out").label(experience)
  )
  expected = [
    oracle.leave_one_out(r, m)
    for r, m in zip(
      penalised(experience), experience.is_graded.tolist(), strict=True
    )
  ]
  assert [len(own) for own in labels] == [2, 3, 1, 4]
  for own, advantage in zip(labels, np.ravel(expected), strict=True):
    np.testing.assert_allclose(own, advantage, atol=1e-6)


def test_reinforce_may_take_the_mean_of_the_batch(experience):
  labels = list(credit.reinforce(eta=ETA, baseline="batch").label(experience))
  kept = np.ravel(penalised(experience))[:3]
  found = [own[0] for own in labels]
  np.testing.assert_allclose(found, [*(kept - kept.mean()), 0], atol=1e-6)


def test_a_star_po_subtracts_the_optimal_value(experience):
  labels = list(credit.a_star_po({"q0": 0.7, "q1": 0.2}).label(experience))
  advantages = [own[0, 1] for own in labels]
  np.testing.assert_allclose(advantages, [0.3, -0.7, 0.3, -0.2], atol=1e-6)
  np.testing.assert_array_equal(
    labels[1][:, 0], experience.completions[0][1].ref_log_probs
  )


@pytest.mark.parametrize("is_dense", [False, True])
def test_actor_critic_matches_each_sequence_alone(experience, is_dense):
  critic = models.ValueModel(decoders.SMALLEST, models.HeadConfig("v", 1))
  params = decoders.params(critic)
  bonus = lambda scale, batch, rewards, ref: rewards + scale * ref
  found = credit.actor_critic(
    critic,
    micro_runs.one_device(),
    eta=ETA,
    discount=0.9,
    decay=0.8,
    batch_size=2,
    dense=(bonus, 0.25) if is_dense else None,
  )
  sequences = list(on_policy._sequences(experience, found.label(experience)))
  rows = on_policy._completed(data.packing.pack(sequences, length=16), 4)
  labels = found.finish({"critic": params, "policy": None}, rows)
  assert labels.shape == (4, 16, 4)
  values = policy_objectives.state_values(critic, params, rows._asdict())
  expected = []
  completions = [c for group in experience.completions for c in group]
  for i, c in enumerate(completions):
    at = rows.mask & (rows.sequence_ids == i)
    if not experience.is_graded.ravel()[i]:
      assert not at.any()
      continue
    rewards = -ETA * (c.log_probs - c.ref_log_probs)
    rewards[-1] += experience.rewards.ravel()[i]
    rewards += 0.25 * c.ref_log_probs * is_dense
    own = np.array(values)[at]
    advantages = oracle.gae(rewards.tolist(), own.tolist(), 0.9, 0.8)
    expected.append((at, c.log_probs, advantages, own))
  every = np.concatenate([advantages for _, _, advantages, _ in expected])
  for at, log_probs, advantages, own in expected:
    white = (np.array(advantages) - every.mean()) / every.std()
    columns = [log_probs, white, advantages + own, own]
    np.testing.assert_allclose(labels[at], np.stack(columns, -1), atol=1e-4)
  assert not labels[~rows.mask].any()


def test_summary_counts_failures_apart(experience):
  found = on_policy.summary(experience)
  np.testing.assert_allclose(found.pop("kl"), 0.1 * 2.5, rtol=1e-5)
  assert found == {"reward": 0.5, "length": 2.5, "failed": 1}
