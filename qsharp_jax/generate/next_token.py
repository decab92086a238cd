"""From logits and weights to the next token: its distribution and numbers."""

import chex
import jax
import jax.numpy as jnp
from flax import struct

from qsharp_jax.core.arrays import Array, ArrayLike
from qsharp_jax.generate import policy as policy_lib
from qsharp_jax.ops import filtering
from qsharp_jax.ops import kl as kl_ops


@struct.dataclass
class Unguided:
  """What the next token's distribution is made from, before guidance."""

  base: Array  # [B, V] log-probabilities that guidance tilts
  reference: Array  # [B, V] log-probabilities that the KL is measured to


@struct.dataclass
class NextToken:
  """One token of each row and its numbers; NaN where they were not computed."""

  tokens: Array  # [B] int32
  log_probs: Array  # [B]
  ref_log_probs: Array  # [B]
  kl: Array  # [B] nats
  kl_filtered: Array  # [B] nats
  top: "Top | None" = None  # of the same step


@struct.dataclass
class Top:
  """The likeliest tokens of a distribution, the likeliest first."""

  tokens: Array  # [..., n] int32
  log_probs: Array  # [..., n]


@struct.dataclass
class NextDistribution:
  """Distribution of the next token, and what it costs."""

  sampled: Array  # [B, V] log-probabilities that the token is drawn from
  reference: Array  # [B, V] log-probabilities that the KL is measured to
  kl: Array  # [B] nats, KL(guided || reference) before top-p
  kl_filtered: Array  # [B] nats, the same after top-p

  def at(self, tokens: Array, num_top: int = 0) -> NextToken:
    """The numbers of these tokens [B], and some alternatives."""

    def take(table):
      return jnp.take_along_axis(table, tokens[:, None], axis=1)

    return NextToken(
      tokens,
      take(self.sampled)[:, 0],
      take(self.reference)[:, 0],
      self.kl,
      self.kl_filtered,
      Top(*jax.lax.top_k(self.sampled, num_top)[::-1]) if num_top else None,
    )


def unguided(
  ref_logits: Array,
  controls: policy_lib.Controls,
  *,
  actor_logits: Array | None = None,
  top_p_of: policy_lib.TopPOf = "guided",
) -> Unguided:
  """Temperature, and top-p of what is guided.

  An actor is cut, but not the reference that it is measured by: nothing keeps
  the actor inside the reference's nucleus.

  Args:
    ref_logits: reference logits. Shape [B, V].
    controls: per-row temperature and top-p.
    actor_logits: logits that are guided instead of the reference's. [B, V].
    top_p_of: see `policy.Policy`.

  Returns:
    What guidance tilts, and the reference.
  """
  chex.assert_rank(ref_logits, 2)
  chex.assert_type(ref_logits, float)

  def at_temperature(logits):
    return jax.nn.log_softmax(
      filtering.apply_temperature(logits, controls.temperature)
    )

  base = reference = at_temperature(ref_logits)
  if actor_logits is not None:
    chex.assert_type(actor_logits, float)
    chex.assert_equal_shape([ref_logits, actor_logits])
    base = at_temperature(actor_logits)
  if top_p_of == "reference":
    base = filtering.top_p(base, controls.top_p)
    reference = base if actor_logits is None else reference
  return Unguided(base, reference)


def next_distribution(
  ref_logits: Array,
  candidates: Array,
  log_weights: Array,
  controls: policy_lib.Controls,
  *,
  actor_logits: Array | None = None,
  other_weight: ArrayLike = 0.0,
  is_guidance_tempered: bool = False,
  top_p_of: policy_lib.TopPOf = "guided",
) -> NextDistribution:
  """Temperature, then guidance, then top-p; or top-p before guidance.

  Args:
    ref_logits: reference logits. Shape [B, V].
    candidates: tokens that have a value. Shape [B, A], int32.
    log_weights: their log-weights. Shape [B, A].
    controls: per-row temperature and top-p.
    actor_logits: logits that are guided instead of the reference's. [B, V].
    other_weight: log-weight of all other tokens, 0, or -inf to exclude them.
      Scalar or [B].
    is_guidance_tempered: see `policy.Policy`.
    top_p_of: see `policy.Policy`.

  Returns:
    The distribution to sample from, the reference's, and both divergences.

  Source: arXiv 2502.20548, the induced policy pi^{Z, eta}.
  """
  chex.assert_rank([ref_logits, candidates, log_weights], 2)
  chex.assert_type([ref_logits, candidates, log_weights], [float, int, float])
  chex.assert_equal_shape_prefix([ref_logits, candidates, log_weights], 1)
  found = unguided(
    ref_logits, controls, actor_logits=actor_logits, top_p_of=top_p_of
  )
  whole = tilt(found, candidates, log_weights, other_weight)
  if is_guidance_tempered:
    logits = ref_logits if actor_logits is None else actor_logits
    weights = kl_ops.at_tokens(
      log_weights, candidates, logits.shape[-1], other=other_weight
    )
    tilted = _tempered(logits + weights, found.base, controls, top_p_of)
    whole = _beside(found.reference, tilted)
  if top_p_of == "reference":
    return whole
  sampled = filtering.top_p(whole.sampled, controls.top_p)
  cost = kl_ops.kl_divergence(sampled, found.reference)
  return whole.replace(sampled=sampled, kl_filtered=cost)


def distribution_of(
  policy: policy_lib.Policy,
  controls: policy_lib.Controls,
  logits: dict[str, Array],
  candidates: Array,
  log_weights: Array,
  other_weight: ArrayLike,
) -> NextDistribution:
  """`next_distribution` as a policy makes it.

  Args:
    policy: says in which order.
    controls: per-row temperature and top-p.
    logits: of the reference and, if it samples, the actor. Shapes [B, V].
    candidates: tokens that have a value. Shape [B, A], int32.
    log_weights: their log-weights. Shape [B, A].
    other_weight: log-weight of all other tokens. Scalar or [B].
  """
  return next_distribution(
    logits["reference"],
    candidates,
    log_weights,
    controls,
    actor_logits=logits.get("actor"),
    other_weight=other_weight,
    is_guidance_tempered=policy.is_guidance_tempered,
    top_p_of=policy.top_p_of,
  )


def tilt(
  found: Unguided,
  candidates: Array,
  log_weights: Array,
  other_weight: ArrayLike,
) -> NextDistribution:
  """The guided distribution, nothing cut off it; see `next_distribution`."""
  weights = kl_ops.at_tokens(
    log_weights, candidates, found.base.shape[-1], other=other_weight
  )
  return _beside(found.reference, kl_ops.tilted_log_probs(found.base, weights))


def _beside(reference: Array, tilted: Array) -> NextDistribution:
  cost = kl_ops.kl_divergence(tilted, reference)
  return NextDistribution(tilted, reference, cost, cost)


def _tempered(
  logits: Array,
  base: Array,
  controls: policy_lib.Controls,
  top_p_of: policy_lib.TopPOf,
) -> Array:
  """Guided logits at temperature; the sum is divided, not the weights.

  So temperature 0 stays the argmax of the sum.
  """
  if top_p_of == "reference":
    is_whole = controls.top_p[:, None] >= 1
    logits = jnp.where(is_whole | jnp.isfinite(base), logits, -jnp.inf)
  return jax.nn.log_softmax(
    filtering.apply_temperature(logits, controls.temperature)
  )
