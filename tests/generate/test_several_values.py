"""Value models of several rewards guide together."""

import dataclasses
import functools

import jax
import numpy as np
from oracles import players

from qsharp_jax import generate, models

MEAN = generate.Guidance("cd", "squared_error")
SAMPLING = players.sampling(temperature=1.0, top_p=1.0)


def mixture(weights):
  """The V-type and the Q-type player, for two rewards."""
  heads = [models.HeadConfig(kind) for kind in ("v", "q")]
  trees = [players.params(kind)["value"]["params"] for kind in ("v", "q")]
  params = {f"members_{i}": tree for i, tree in enumerate(trees)}

  policy = generate.Policy(
    players.policy("v").reference,
    players.EOS,
    models.Several(tuple((players.CONFIG, head) for head in heads)),
    generate.guided.mixture((MEAN,) * 2, weights),
    players.CANDIDATES,
  )
  reference = players.params("v")["reference"]
  return policy, {"reference": reference, "value": {"params": params}}


def run(policy, params, weights=None):
  requests = [
    dataclasses.replace(r, weights=weights) for r in players.requests()
  ]
  groups = generate.generate(policy, params, requests, SAMPLING)
  return [completion for group in groups for completion in group]


def test_members_are_read_side_by_side():
  policy, params = mixture((1.0, 1.0))
  tokens = np.array([[4, 5, 6]], np.int32)
  positions = np.arange(3, dtype=np.int32)[None]
  ask = (np.array([7]), np.array([3]), np.array([[1, 2, 9]]))

  @functools.partial(jax.jit, static_argnums=0)
  def values(model, tree):
    cache = model.apply(tree, tokens, positions, method="prefill")
    cache = models.cache.each(lambda c: models.cache.grow(c, 4), cache)
    return model.apply(tree, *ask, cache, method="candidate_values")[0]

  both = values(policy.value, params["value"])
  assert both.shape == (1, 3, 2)
  for i, kind in enumerate(("v", "q")):
    alone = values(players.policy(kind).value, players.params(kind)["value"])
    np.testing.assert_allclose(both[..., i], alone[..., 0], atol=1e-5)


def test_a_weight_of_zero_leaves_the_other_reward_alone():
  found = run(*mixture((1.0, 0.0)))
  policy = players.policy("v")
  alone = dataclasses.replace(policy, guidance=MEAN)
  expected = run(alone, players.params("v"))
  assert players.tokens(found) == players.tokens(expected)
  other = run(*mixture((1.0, 3.0)))
  assert players.tokens(other) != players.tokens(expected)
  assert found[0].num_forwards == 3 * (1 + len(found[0].tokens))


def test_rows_may_have_weights_of_their_own():
  found = run(*mixture(()), (1.0, 3.0))
  assert players.tokens(found) == players.tokens(run(*mixture((1.0, 3.0))))
