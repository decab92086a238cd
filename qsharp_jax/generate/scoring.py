"""Which tokens are scored, and what the value model says of them."""

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.generate import choice, guided
from qsharp_jax.generate import policy as policy_lib
from qsharp_jax.generate import state as state_lib


def most_likely(logits: Array, k: int) -> Array:
  """The k most likely tokens of each row: [B, V] to [B, k], int32.

  Each device looks at its own rows: left to itself, the compiler gathers the
  logits of all rows on every device, at every step.
  """
  chex.assert_rank(logits, 2)
  chex.assert_type(logits, float)
  find = lambda logits: jax.lax.top_k(logits, k)[1]
  if jax.sharding.get_abstract_mesh().empty:
    return find(logits)
  rows = nn.logical_to_mesh_axes(("batch",))
  return jax.shard_map(
    find, in_specs=rows, out_specs=rows, axis_names=set(rows[0])
  )(logits)


def candidate_values(
  policy: policy_lib.Policy,
  params: PyTree,
  state: state_lib.DecodeState,
  leaves: Array,
) -> tuple[Array, state_lib.DecodeState]:
  """Value logits [B, n, K] of next tokens, and the state with a new cache."""
  values, cache = policy.value.apply(
    params["value"],
    state.newest,
    state.position,
    leaves,
    state.caches["value"],
    method="candidate_values",
  )
  return values, state.replace(caches=state.caches | {"value": cache})


def first_values(
  policy: policy_lib.Policy,
  params: PyTree,
  state: state_lib.DecodeState,
  candidates: Array,
) -> tuple[Array, PyTree, state_lib.DecodeState]:
  """Value logits [B, m, K], what those of others need, and the next state."""
  values, told, cache = policy.value.apply(
    params["value"],
    state.newest,
    state.position,
    candidates,
    policy.num_scored,
    state.caches["value"],
    state_lib.is_waiting(state),
    method="first_values",
  )
  return values, told, state.replace(caches=state.caches | {"value": cache})


def more_values(
  policy: policy_lib.Policy,
  params: PyTree,
  position: Array,
  leaves: Array,
  told: PyTree,
  cache: PyTree,
) -> Array:
  """Value logits [B, n, K] of candidates that `first_values` left out."""
  return policy.value.apply(
    params["value"], position, leaves, told, cache, method="more_values"
  )


def other_scores(
  policy: policy_lib.Policy,
  scores: Array,
  eta: Array,
  guidance: guided.Guidance | choice.Rows | None = None,
) -> Array:
  """The score of tokens that are no candidates, at most. Shape [B].

  Of the policy's guidance, or of the one that its rows have chosen.
  """
  other = (guidance or policy.guidance).other(scores)
  is_excluded = policy.is_truncated & jnp.isfinite(eta).any(axis=1)
  return jnp.where(is_excluded, -jnp.inf, other[:, 0])
