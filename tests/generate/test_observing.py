"""The loop beside plain passes: equal, unless a fault is planted."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import players

from qsharp_jax import generate
from qsharp_jax.generate import observing, reading
from qsharp_jax.models import rope

# Two rows for five prompts: most wait, and the ring goes round.
SAMPLING = players.sampling(batch_size=2, prompts_per_refill=1, top_p=1.0)
LENGTHS = (5, 1, 8, 3, 7)


def wanted(eta):
  return [
    dataclasses.replace(own, seeds=[i], eta=eta)
    for i, own in enumerate(players.requests(LENGTHS))
  ]


def compared(kind, num_atoms=1, eta=0.2, sampling=SAMPLING, **how):
  found = observing.compare(
    players.policy(kind, num_atoms).at(sampling.top_p),
    players.params(kind, num_atoms),
    wanted(eta),
    sampling,
    **how,
  )
  return list(found)


def worst(found):
  return max(np.nanmax(own.kl) for own in found)


@pytest.mark.parametrize(
  ("kind", "num_atoms", "eta", "top_p"),
  [
    ("v", 1, 0.2, 1.0),
    ("q", 3, 0.2, 1.0),
    ("v", 1, np.inf, 1.0),
    ("v", 1, 0.2, 0.8),  # cut, so that noise alone cannot decide
  ],
)
def test_the_loop_draws_from_what_plain_passes_say(kind, num_atoms, eta, top_p):
  sampling = dataclasses.replace(SAMPLING, top_p=top_p)
  found = compared(kind, num_atoms, eta, sampling)
  assert worst(found) < 1e-6
  assert all(np.isfinite(own.kl).all() for own in found)
  # What was looked at is what the loop draws unobserved.
  unseen = generate.generate(
    players.policy(kind, num_atoms),
    players.params(kind, num_atoms),
    wanted(eta),
    sampling,
  )
  for own, (completion,) in zip(found, unseen, strict=True):
    assert own.tokens.tolist() == completion.tokens.tolist()


def test_few_positions_of_an_answer_can_be_enough():
  found = compared("v", most_positions=2)
  whole = compared("v")
  for own, other in zip(found, whole, strict=True):
    there = np.isfinite(own.kl)
    assert there.sum() == min(2, len(own.tokens))
    np.testing.assert_allclose(own.kl[there], other.kl[there], atol=1e-9)


@pytest.mark.parametrize("name", ["reference", "value"])
def test_one_key_rotated_by_one_position_is_seen(name, monkeypatch):
  read = reading.Reader.read

  def faulty(self, entering, *sizes):
    state = read(self, entering, *sizes)
    if 2 not in entering:  # the prompt of eight tokens
      return state
    cache = state.caches[name]
    turned = _turned(cache.keys[0], row=0, slot=5)
    cache = cache.replace(keys=(turned, *cache.keys[1:]))
    return state.replace(caches=state.caches | {name: cache})

  monkeypatch.setattr(reading.Reader, "read", faulty)
  found = compared("v")
  assert np.nanmax(found[2].kl) > 1e-4
  # Its neighbours are not disturbed.
  assert worst(found[:2] + found[3:]) < 1e-6


def _turned(keys, row, slot):
  """Keys [B, G, S, H], one of them as if it stood one position further."""
  one = jnp.ones((1, 1), jnp.int32)
  turn = rope.rotations(players.CONFIG, one, 2)
  moved = rope.rotate(keys[row : row + 1, :, slot : slot + 1], turn)
  return jax.device_get(keys.at[row, :, slot].set(moved[0, :, 0]))


def test_divergence_of_rows_by_hand():
  one = np.log(np.array([[0.5, 0.5, 1e-300]]))
  one[0, 2] = -np.inf
  other = np.log(np.array([[0.25, 0.5, 0.25]]))
  np.testing.assert_allclose(
    observing._divergence(one, other), [0.5 * np.log(2)], rtol=1e-12
  )
  assert observing._divergence(other, one)[0] == np.inf
