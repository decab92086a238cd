"""Scorers made of several models, beside the models alone."""

import jax
import jax.numpy as jnp
import numpy as np
from oracles import decoders
from oracles import losses as losses_oracle

from qsharp_jax import models

CONFIG = decoders.SMALLEST
TOKENS = np.array([[3, 5, 7], [0, 2, 4]], np.int32)
POSITIONS = np.array([[0, 1, 2], [-1, 0, 1]], np.int32)
NEWEST, POSITION = np.array([1, 9], np.int32), np.array([3, 2], np.int32)
CANDIDATES = np.array([[0, 4, 10], [7, 7, 1]], np.int32)


def scored(scorer, params, **more):
  @jax.jit
  def both(params):
    cache = scorer.apply(params, TOKENS, POSITIONS, method="prefill")
    cache = models.cache.each(lambda c: models.cache.grow(c, 4), cache)
    return scorer.apply(
      params,
      *(jnp.asarray(x) for x in (NEWEST, POSITION, CANDIDATES)),
      cache,
      method="candidate_values",
      **more,
    )[0]

  return jax.device_get(both(params))


def next_log_probs(params):
  """Of each row alone: after its prompt and its newest token."""
  apply = jax.jit(models.LanguageModel(CONFIG).apply)
  rows = [
    [*tokens[at >= 0], newest]
    for tokens, at, newest in zip(TOKENS, POSITIONS, NEWEST, strict=True)
  ]
  padded = decoders.right_padded(rows, time=4)
  logits, _ = jax.device_get(apply(params, *padded))
  last = [logits[i, len(row) - 1] for i, row in enumerate(rows)]
  return np.log([losses_oracle.softmax(np.float64(x)) for x in last])


def test_a_log_ratio_is_what_tuning_changed():
  scorer = models.LogRatio(CONFIG, CONFIG)
  tuned, untuned = (
    decoders.params(models.LanguageModel(CONFIG), seed) for seed in (1, 2)
  )
  params = {"tuned": tuned["params"], "untuned": untuned["params"]}
  found = scored(scorer, {"params": params})
  ratio = next_log_probs(tuned) - next_log_probs(untuned)
  expected = np.take_along_axis(ratio, CANDIDATES, 1)[..., None]
  np.testing.assert_allclose(found, expected, atol=1e-5)
  assert scorer.decoders == (CONFIG, CONFIG) and not scorer.has_leaves


def test_several_are_read_side_by_side():
  heads = [models.HeadConfig("q", 2), models.HeadConfig("q", 1)]
  members = [models.ValueModel(CONFIG, head) for head in heads]
  trees = [decoders.params(m, seed) for seed, m in enumerate(members)]
  several = models.Several(tuple((CONFIG, head) for head in heads))
  found = scored(
    several,
    {"params": {f"members_{i}": t["params"] for i, t in enumerate(trees)}},
  )
  alone = [scored(m, t) for m, t in zip(members, trees, strict=True)]
  np.testing.assert_allclose(found, np.concatenate(alone, -1), atol=1e-6)
  assert found.shape == (2, 3, 3)


def test_leaves_are_read_where_every_member_reads_them():
  kinds = lambda *names: models.Several(
    tuple((CONFIG, models.HeadConfig(name, 1)) for name in names)
  )
  assert kinds("v", "v").apply({}, method=lambda m: m.has_leaves)
  assert not kinds("v", "q").apply({}, method=lambda m: m.has_leaves)
