"""Attention against a loop over queries, in numpy."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from qsharp_jax.models import attention

BATCH, TIME, HEADS, GROUPS, SLOTS, WIDTH = 2, 3, 4, 2, 5, 8


def drawn(*shape, seed=0):
  values = np.random.default_rng(seed).normal(size=shape)
  return values.astype(np.float32)


def one_query(query, keys, values, scale, softcap):
  scores = keys @ query * scale
  if softcap:
    scores = softcap * np.tanh(scores / softcap)
  weights = np.exp(scores - scores.max())
  return weights / weights.sum() @ values


def by_loops(
  query, keys, values, mask, own=None, scale=WIDTH**-0.5, softcap=None
):
  """`attend`, query by query; the last ones are leaves where there are some."""
  found = np.zeros(query.shape)
  num_kept = query.shape[1] - (0 if own is None else own[0].shape[2])
  for b, t, n in np.ndindex(query.shape[:3]):
    group = n // (HEADS // GROUPS)
    seen = mask[b, t]
    pair = keys[b, group, seen], values[b, group, seen]
    if t >= num_kept:
      pair = [
        np.concatenate([x, y[b, group, t - num_kept, None]])
        for x, y in zip(pair, own, strict=True)
      ]
    found[b, t, n] = one_query(query[b, t, n], *pair, scale, softcap)
  return found


def arguments():
  mask = np.random.default_rng(1).random((BATCH, TIME, SLOTS)) < 0.6
  mask[..., 0] = True
  return (
    drawn(BATCH, TIME, HEADS, WIDTH),
    drawn(BATCH, GROUPS, SLOTS, WIDTH, seed=2),
    drawn(BATCH, GROUPS, SLOTS, WIDTH, seed=3),
    mask,
  )


class TestAttend(chex.TestCase):
  @chex.variants(with_jit=True, without_jit=True)
  @parameterized.parameters(0, 1, 2, 3)
  def test_equals_the_loop(self, num_leaves):
    own = None
    if num_leaves:
      own = tuple(
        drawn(BATCH, GROUPS, num_leaves, WIDTH, seed=s) for s in (4, 5)
      )
    found = self.variant(attention.attend)(
      *map(jnp.asarray, arguments()), own and tuple(map(jnp.asarray, own))
    )
    wanted = by_loops(*arguments(), own)
    chex.assert_trees_all_close(np.asarray(found, float), wanted, atol=1e-5)


@pytest.mark.parametrize("softcap", [None, 0.7])
def test_capped_and_scaled_scores_equal_the_loop(softcap):
  leaves = tuple(drawn(BATCH, GROUPS, 2, WIDTH, seed=s) for s in (4, 5))
  for own in (None, leaves):
    found = attention.attend(
      *map(jnp.asarray, arguments()), own, scale=0.9, softcap=softcap
    )
    wanted = by_loops(*arguments(), own, scale=0.9, softcap=softcap)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("softcap", [None, 0.7])
def test_blocks_of_queries_equal_all_at_once(softcap, monkeypatch):
  args = tuple(map(jnp.asarray, arguments()))

  def attend(query, keys, values):
    found = attention.attend(query, keys, values, args[3], softcap=softcap)
    return (found**2).sum(), found

  run = lambda: jax.value_and_grad(attend, (0, 1, 2), has_aux=True)(*args[:3])
  whole = run()
  monkeypatch.setattr(attention, "_LONG", TIME - 1)
  monkeypatch.setattr(attention, "BLOCK", 1)
  traced = lambda: str(jax.make_jaxpr(lambda *x: attend(*x))(*args[:3]))
  assert "scan" in traced() and f"length={TIME}" in traced()
  chex.assert_trees_all_close(run(), whole, atol=1e-5)
  # A number of queries that blocks do not share goes as before.
  monkeypatch.setattr(attention, "BLOCK", 2)
  assert "scan" not in traced()


def test_a_query_that_sees_nothing_is_finite():
  query, keys, values, mask = map(jnp.asarray, arguments())
  found = attention.attend(query, keys, values, jnp.zeros_like(mask))
  chex.assert_tree_all_finite(found)


@pytest.mark.parametrize("window", [None, 1, 2, 9])
def test_a_mask_shows_the_past_up_to_the_window_and_no_padding(window):
  queries = np.array([[-1, 0, 1, 2], [0, 1, 2, 3]])
  keys = np.array([[-1, 2, 1, 0], [3, -1, 0, 1]])
  found = attention.causal_mask(jnp.asarray(queries), jnp.asarray(keys), window)
  for b, t, s in np.ndindex(2, 4, 4):
    distance = queries[b, t] - keys[b, s]
    is_seen = keys[b, s] >= 0 and 0 <= distance
    is_seen &= window is None or distance < window
    assert found[b, t, s] == is_seen
