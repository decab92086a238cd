"""PPO's targets and losses sequence by sequence; RTO's DPO policy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import decoders, micro_runs
from oracles import finetuning as oracle
from oracles import policy_gradient as policy_oracle

from qsharp_jax import data
from qsharp_jax.finetuning import experience as experience_lib
from qsharp_jax.finetuning import ppo
from qsharp_jax.training import rows as rows_lib

ETA = 0.3
NUM_COLUMNS = len(ppo.Targets._fields)


@pytest.fixture(scope="module")
def params():
  return {
    "policy": decoders.params(oracle.MODEL),
    "critic": decoders.params(oracle.CRITIC, seed=1),
  }


@pytest.mark.parametrize("is_dense", [False, True])
def test_actor_critic_matches_each_sequence_alone(is_dense):
  experience, params = oracle.experience(), decoders.params(oracle.CRITIC)
  bonus = ppo.TokenRewards(
    lambda scale, batch, sampled: (
      sampled.rewards + scale * sampled.ref_log_probs
    ),
    0.25,
  )
  credit = ppo.actor_critic(
    oracle.CRITIC,
    micro_runs.one_device(),
    eta=ETA,
    discount=0.9,
    decay=0.8,
    batch_size=2,
    token_rewards=bonus if is_dense else ppo.AT_LAST_TOKEN,
  )
  sequences = list(
    experience_lib.sequences(experience, credit.of_samples(experience))
  )
  rows = rows_lib.completed(data.packing.pack(sequences, length=16), 4)
  labels = credit.of_rows({"critic": params, "policy": None}, rows)
  assert labels.shape == (4, 16, NUM_COLUMNS)
  targets = ppo.Targets(*np.moveaxis(labels, -1, 0))
  state_values = jax.jit(ppo.state_values, static_argnums=0)
  values = state_values(oracle.CRITIC, params, oracle.batch(rows))
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
    before = np.array(values)[at]
    advantages = policy_oracle.gae(rewards.tolist(), before.tolist(), 0.9, 0.8)
    expected.append((at, c.log_probs, advantages, before))
  every = np.concatenate([advantages for _, _, advantages, _ in expected])
  close = lambda *both: np.testing.assert_allclose(*both, atol=1e-4)
  for at, log_probs, advantages, before in expected:
    white = (np.array(advantages) - every.mean()) / every.std()
    close(targets.log_probs[at], log_probs)
    close(targets.advantages[at], white)
    close(targets.returns[at], advantages + before)
    close(targets.values[at], before)
  assert not labels[~rows.mask].any()


def test_the_value_of_a_state_is_read_before_the_token(params):
  found = oracle.sequences()
  rows = data.packing.pack(found, length=10)
  got = ppo.state_values(oracle.CRITIC, params["critic"], oracle.batch(rows))
  for i, expected in enumerate(oracle.state_values(params["critic"], found)):
    np.testing.assert_allclose(got[rows.sequence_ids == i], expected, atol=1e-5)


def test_ppo_adds_policy_and_value_losses(params):
  found = oracle.sequences(NUM_COLUMNS)
  objective = ppo.objective(
    oracle.MODEL, oracle.CRITIC, clip=0.1, value_clip=0.3, value_weight=0.7
  )
  total, count = 0.0, 0
  log_probs = oracle.log_probs(params["policy"], found)
  values = oracle.state_values(params["critic"], found)
  for i, s in enumerate(found):
    for t in np.flatnonzero(s.mask):
      target = ppo.Targets(*s.labels[t].tolist())
      total += policy_oracle.ppo(
        log_probs[i][t], target.log_probs, target.advantages, 0.1
      )
      total += 0.7 * policy_oracle.clipped_value(
        values[i][t], target.values, target.returns, 0.3
      )
      count += 1
  np.testing.assert_allclose(
    jax.jit(objective)(params, oracle.packed(found)), (total, count), rtol=1e-4
  )


def test_padding_weighs_nothing_and_has_no_nan(params):
  objective = ppo.objective(oracle.MODEL, oracle.CRITIC)
  oracle.no_loss_from_padding(objective, params, (NUM_COLUMNS,))


def test_labels_outside_the_mask_are_not_read(params):
  rows = data.packing.pack(oracle.sequences(NUM_COLUMNS), length=10)
  objective = ppo.objective(oracle.MODEL, oracle.CRITIC)
  oracle.no_labels_outside_the_mask(objective, params, rows)


def test_ppo_moves_both_models(params):
  objective = ppo.objective(oracle.MODEL, oracle.CRITIC)
  grads = jax.jit(jax.grad(objective, has_aux=True))(
    params, oracle.packed(oracle.sequences(NUM_COLUMNS))
  )[0]
  assert all(
    jnp.abs(jax.tree.leaves(grads[name])[0]).sum() > 0 for name in params
  )


def test_rto_trains_its_dpo_policy_once(tmp_path):
  run = micro_runs.run(tmp_path)
  settings = oracle.small("rto")
  shared = {"dpo": settings.dpo}
  model = oracle.train(run, "rto", settings, shared)
  seconds = run.workdir.seconds()
  assert seconds.keys() == {"baseline_dpo", "baseline_rto"}
  assert not (model.parent / "dpo").exists()
  # Both are done, and so is the row of DPO.
  oracle.train(run, "rto", settings, shared)
  oracle.train(run, "dpo", settings.dpo)
  assert run.workdir.seconds() == seconds


def test_rto_keeps_a_dpo_policy_of_other_settings_apart(tmp_path):
  run = micro_runs.run(tmp_path)
  row = oracle.small(
    "dpo", fit=dataclasses.replace(oracle.FIT, learning_rate=0.03)
  )
  settings = oracle.small("rto", num_iterations=1)
  model = oracle.train(run, "rto", settings, {"dpo": row})
  assert run.workdir.seconds().keys() == {"baseline_rto_dpo", "baseline_rto"}
  # Each is what its own settings say, although RTO came first.
  found = {
    "rto": oracle.weights(model.parent / "dpo" / "model"),
    "row": oracle.weights(oracle.train(run, "dpo", row)),
    "expected": oracle.weights(oracle.train(run, "alone", settings.dpo)),
  }
  assert oracle.distance(found["rto"], found["expected"]) == 0
  assert oracle.distance(found["row"], found["expected"]) > 1e-3
