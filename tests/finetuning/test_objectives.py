"""Policy objectives against sequence-by-sequence oracles in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import decoders
from oracles import losses as losses_oracle
from oracles import policy_gradient as policy_oracle
from oracles import preferences as preferences_oracle

from qsharp_jax import data, models
from qsharp_jax.finetuning import objectives as policy_objectives
from qsharp_jax.ops import preferences

CONFIG = decoders.SMALLEST
MODEL = models.LanguageModel(CONFIG)
CRITIC = models.ValueModel(CONFIG, models.HeadConfig("v", 1))
LENGTHS = (5, 2, 7, 3)
PROMPTS = (2, 1, 4, 3)  # the last sequence has no tokens of its own


@pytest.fixture(scope="module")
def params():
  return decoders.params(MODEL)


@pytest.fixture(scope="module")
def critic_params():
  return decoders.params(CRITIC, seed=1)


def sequences(num_columns=None, seed=0):
  rng = np.random.default_rng(seed)
  shape = () if num_columns is None else (num_columns,)
  return [
    data.Sequence(
      rng.integers(0, 11, length).astype(np.int32),
      np.arange(length) >= prompt,
      rng.normal(size=(length, *shape)).astype(np.float32),
    )
    for length, prompt in zip(LENGTHS, PROMPTS, strict=True)
  ]


def batch(rows):
  return {k: v for k, v in rows._asdict().items() if k != "sequence_ids"}


def packed(found):
  rows = data.packing.pack(found, length=10)
  assert len(rows.tokens) < len(found)
  return batch(rows)


def log_probs(params, found):
  """Of each sequence alone: a float64 array of its own length."""
  tokens, positions = decoders.right_padded([s.tokens for s in found], time=8)
  logits = jax.device_get(jax.jit(MODEL.apply)(params, tokens, positions)[0])
  softmax = lambda x: losses_oracle.softmax(np.float64(x))
  return [
    np.array(
      [0.0]
      + [np.log(softmax(logits[i, t - 1])[s.tokens[t]])
         for t in range(1, len(s.tokens))]
    )
    for i, s in enumerate(found)
  ]  # fmt: skip


def state_values(params, found):
  tokens, positions = decoders.right_padded([s.tokens for s in found], time=8)
  values = jax.device_get(jax.jit(CRITIC.apply)(params, tokens, positions))
  return [
    [0.0, *values[i, : len(s.tokens) - 1, 0].tolist()]
    for i, s in enumerate(found)
  ]


def test_a_packed_sequence_has_the_log_probs_it_has_alone(params):
  found = sequences()
  rows = data.packing.pack(found, length=10)
  got = policy_objectives.token_log_probs(MODEL, params, batch(rows))
  for i, expected in enumerate(log_probs(params, found)):
    np.testing.assert_allclose(
      got[rows.sequence_ids == i], expected, rtol=1e-4, atol=1e-6
    )
  assert not np.any(np.where(rows.positions > 0, 0, got))


def test_the_value_of_a_state_is_read_before_the_token(critic_params):
  found = sequences()
  rows = data.packing.pack(found, length=10)
  got = policy_objectives.state_values(CRITIC, critic_params, batch(rows))
  for i, expected in enumerate(state_values(critic_params, found)):
    np.testing.assert_allclose(got[rows.sequence_ids == i], expected, atol=1e-5)


def pairs():
  first, second = sequences(seed=0)[:3], sequences(seed=1)[:3]
  return [
    data.packing.Pair(a, b, 1.0, 0.0)
    for a, b in zip(first, second, strict=True)
  ]


LOSSES = {
  "dpo": lambda *x: preferences.dpo(*x[:4], eta=0.3),
  "rpo": lambda *x: preferences.rpo(*x, eta=0.3, alpha=0.8),
  "cpl": lambda *x: preferences.cpl(*x[:2], eta=0.3, bias=0.5),
}
ORACLES = {
  "dpo": lambda *x: preferences_oracle.dpo(*x[:4], 0.3),
  "rpo": lambda *x: preferences_oracle.rpo(*x, 0.3, 0.8),
  "cpl": lambda *x: preferences_oracle.cpl(*x[:2], 0.3, 0.5),
}


@pytest.mark.parametrize("name", LOSSES)
def test_preference_sums_each_side_of_each_row(name, params):
  objective = policy_objectives.preference(MODEL, LOSSES[name])
  rows = data.packing.pack_pairs(pairs(), length=14)
  with_padding = data.Packed(
    *(
      np.concatenate([a, b])
      for a, b in zip(rows, data.packing.padding(2, 14), strict=True)
    )
  )
  total = 0.0
  for pair in pairs():
    sides = (pair.chosen, pair.rejected)
    own, ref = (
      [float(x[s.mask].sum()) for x, s in zip(columns, sides, strict=True)]
      for columns in (log_probs(params, sides), [s.labels for s in sides])
    )
    total += ORACLES[name](*own, *ref, float(pair.chosen.mask.sum()))
  got = jax.jit(objective)(params, batch(with_padding))
  np.testing.assert_allclose(got, (total, 3), rtol=1e-4)


def test_reinforce_averages_over_sequences(params):
  found = sequences()
  got = jax.jit(policy_objectives.reinforce(MODEL))(params, packed(found))
  total = -sum(
    float((s.labels * own)[s.mask].sum())
    for s, own in zip(found, log_probs(params, found), strict=True)
  )
  np.testing.assert_allclose(got, (total, 3), rtol=1e-4)


def test_a_star_po_regresses_whole_sequences(params):
  found = sequences(2)
  for i, s in enumerate(found):
    s.labels[:, 1] = i  # one advantage a sequence
  objective = jax.jit(policy_objectives.a_star_po(MODEL, eta=0.3))
  total = 0.0
  for i, own in enumerate(log_probs(params, found)[:3]):
    log_ratio = (own - found[i].labels[:, 0])[found[i].mask].sum()
    total += (0.3 * log_ratio - i) ** 2
  np.testing.assert_allclose(
    objective(params, packed(found)), (total, 3), rtol=1e-4
  )


def test_ppo_adds_policy_and_value_losses(params, critic_params):
  found = sequences(4)
  tree = {"policy": params, "critic": critic_params}
  objective = policy_objectives.ppo(
    MODEL, CRITIC, clip=0.1, value_clip=0.3, value_weight=0.7
  )
  total, count = 0.0, 0
  own, values = log_probs(params, found), state_values(critic_params, found)
  for i, s in enumerate(found):
    for t in np.flatnonzero(s.mask):
      old, advantage, target, old_value = s.labels[t].tolist()
      total += policy_oracle.ppo(own[i][t], old, advantage, 0.1)
      total += 0.7 * policy_oracle.clipped_value(
        values[i][t], old_value, target, 0.3
      )
      count += 1
  np.testing.assert_allclose(
    jax.jit(objective)(tree, packed(found)), (total, count), rtol=1e-4
  )


OBJECTIVES = {
  "preference": (policy_objectives.preference(MODEL, LOSSES["rpo"]), None),
  "reinforce": (policy_objectives.reinforce(MODEL), None),
  "a_star_po": (policy_objectives.a_star_po(MODEL, eta=0.3), 2),
  "ppo": (policy_objectives.ppo(MODEL, CRITIC), 4),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_padding_weighs_nothing_and_has_no_nan(name, params, critic_params):
  objective, num_columns = OBJECTIVES[name]
  width = () if num_columns is None else (num_columns,)
  empty = batch(data.packing.padding(2, 6, width))
  tree = params
  if name == "ppo":
    tree = {"policy": params, "critic": critic_params}
  gradient = jax.jit(jax.value_and_grad(objective, has_aux=True))
  (total, weight), grads = gradient(tree, empty)
  assert (float(total), float(weight)) == (0.0, 0.0)
  assert all(not np.any(g) for g in jax.tree.leaves(jax.device_get(grads)))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_labels_outside_the_mask_are_not_read(name, params, critic_params):
  objective, num_columns = OBJECTIVES[name]
  rows = data.packing.pack(sequences(num_columns), length=10)
  if name == "preference":
    rows = data.packing.pack_pairs(pairs(), length=14)
  tree = params
  if name == "ppo":
    tree = {"policy": params, "critic": critic_params}
  mask = rows.mask.reshape(*rows.mask.shape, *[1] * (rows.labels.ndim - 2))
  dirty = rows._replace(labels=np.where(mask, rows.labels, np.nan))
  gradient = jax.jit(jax.value_and_grad(objective, has_aux=True))
  jax.tree.map(
    np.testing.assert_array_equal,
    gradient(tree, batch(rows)),
    gradient(tree, batch(dirty)),
  )


def test_ppo_moves_both_models(params, critic_params):
  objective, num_columns = OBJECTIVES["ppo"]
  tree = {"policy": params, "critic": critic_params}
  grads = jax.jit(jax.grad(objective, has_aux=True))(
    tree, packed(sequences(num_columns))
  )[0]
  assert all(
    jnp.abs(jax.tree.leaves(grads[name])[0]).sum() > 0 for name in tree
  )
