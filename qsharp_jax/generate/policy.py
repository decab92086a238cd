"""The guided policy: from logits and values to the next-token distribution."""

import dataclasses
from typing import Literal

import chex
import jax
import jax.numpy as jnp
from flax import struct

from qsharp_jax import models
from qsharp_jax.core.arrays import Array, ArrayLike
from qsharp_jax.data import stops as stops_lib
from qsharp_jax.generate import choice, guided
from qsharp_jax.ops import filtering
from qsharp_jax.ops import kl as kl_ops

# What gives values to candidates.
Scorer = models.ValueModel | models.LogRatio | models.Several
# What top-p cuts: what is guided, or what guidance makes of it.
TopPOf = Literal["reference", "guided"]


@dataclasses.dataclass(frozen=True)
class Policy:
  """A frozen reference model and what guides it. Static: it shapes programs.

  Parameters come as {"reference": …, "actor": …, "value": …}, the latter two
  where there is such a model.
  """

  reference: models.LanguageModel
  eos_ids: tuple[int, ...]
  value: Scorer | None = None
  guidance: guided.Guidance | choice.Choice | None = None
  num_candidates: int = 20  # A: the reference's most likely tokens get values
  # False: guidance tilts the reference at its sampling temperature, the
  # distribution that the values were learnt for. True: guidance is added to raw
  # logits and divided by the temperature with them, as the paper's public
  # release does.
  is_guidance_tempered: bool = False
  # Samples, guided or not, in the place of the reference, by which only the KL
  # is then measured: a fine-tuned model, or an aligned baseline.
  actor: models.LanguageModel | None = None
  # True: where guidance acts, only candidates can be sampled.
  is_truncated: bool = False
  # m: candidates of a row that are scored at first. As long as that leaves the
  # tokens of many rows open, more are; a few open rows get theirs in the next
  # turn. 0: all at once, which the KL and the log-probability of a guided token
  # need.
  num_scored: int = 0
  # False: no row waits for its next turn, so that each turn writes a token.
  may_wait: bool = True
  top_p_of: TopPOf = "reference"
  # Ends answers by their text, as `eos_ids` do by a token.
  stops: stops_lib.Automaton | None = None
  # Alternatives to every token that are written down: the likeliest ones of the
  # distribution that it is drawn from, for which all candidates are scored.
  num_top: int = 0

  @property
  def most_candidates(self) -> int:
    """A, or all tokens if they are fewer."""
    return min(self.num_candidates, self.reference.config.vocab_size)

  @property
  def is_raced(self) -> bool:
    """Whether noise of its own decides if a candidate comes next.

    The one place that says where that is impossible: without a bound of the
    weights; where the guided distribution is cut, which takes all of it; where
    weights are divided by a temperature that may be 0; and where the KL is
    measured by another model than the one that samples.
    """
    return (
      self.guidance is not None
      and self.guidance.has_bound
      and self.top_p_of == "reference"
      and not self.is_guidance_tempered
      and self.actor is None
    )

  @property
  def is_lazy(self) -> bool:
    """Whether turns may leave candidates unscored; not where they are free."""
    is_fewer = 0 < self.num_scored < self.most_candidates
    return (
      is_fewer
      and not self.num_top
      and self.is_raced
      and self.guidance.is_always_raced
      and self.value.has_leaves
    )

  @property
  def num_leaves(self) -> int:
    """Candidates of a row in a pass of the value model."""
    if self.value is None or not self.value.has_leaves:
      return 0
    return self.num_scored if self.is_lazy else self.most_candidates

  def guidance_of(
    self, controls: "Controls"
  ) -> guided.Guidance | choice.Rows | None:
    """The guidance, or what the rows choose."""
    if isinstance(self.guidance, choice.Choice):
      return self.guidance.of(controls.which, controls.num_candidates)
    return self.guidance

  def num_spare(self, num_new_tokens: int) -> int:
    """Slots for turns that write no token, beside those of the tokens."""
    is_needed = self.is_lazy and self.may_wait
    return max(16, num_new_tokens // 32) if is_needed else 0

  def read_on(self, stop: Array | None, tokens: Array) -> Array | None:
    """States [B] of the stop strings after these tokens [B]."""
    if self.stops is None:
      return None
    classes = jnp.asarray(self.stops.classes)
    column = classes[jnp.minimum(tokens, len(classes) - 1)]
    return jnp.asarray(self.stops.moves)[stop, column]

  def is_end(self, tokens: Array, stop: Array | None) -> Array:
    """Where an answer ends: by this token [B], or by the text it completes."""
    is_end = jnp.isin(tokens, jnp.array(self.eos_ids, jnp.int32))
    if self.stops is None:
      return is_end
    return is_end | (stop == self.stops.found)

  def at(self, top_p: float) -> "Policy":
    """The same policy where all rows have this top-p."""
    # Where nothing is cut, both orders are one.
    return (
      dataclasses.replace(self, top_p_of="reference") if top_p >= 1 else self
    )

  @property
  def decoders(self) -> dict[str, tuple[models.DecoderConfig, ...]]:
    """Sizes of all decoders, by the name of their parameters."""
    found = {"reference": (self.reference.config,)}
    if self.actor is not None:
      found["actor"] = (self.actor.config,)
    if self.value is not None:
      found["value"] = self.value.decoders
    return found


@struct.dataclass
class Controls:
  """What may differ from row to row without a new program. Each [B]."""

  seeds: Array  # uint32: the row's own random stream
  eta: Array  # float32, KL weight in reward units; inf = no guidance
  guided_steps: Array  # int32: from this step on the reference alone decides
  max_new_tokens: Array  # int32; 0 for a row that only fills the batch
  temperature: Array  # float32, >= 0
  top_p: Array  # float32, in (0, 1]
  # [B, M] float32, >= 0: of the rewards of a mixture; None: the same in all.
  weights: Array | None = None
  # Of a `Choice`: the row's guidance, and how many candidates it has.
  which: Array | None = None  # int32
  num_candidates: Array | None = None  # int32

  def etas(self, is_guided: Array) -> Array:
    """KL weights for each reward, infinite where nothing guides.

    Args:
      is_guided: rows whose next token is guided. Shape [B].

    Returns:
      One a row, or one for each reward of a mixture. Shape [B, 1] or [B, M].
    """
    eta = jnp.where(is_guided, self.eta, jnp.inf)[:, None]
    return eta if self.weights is None else eta / self.weights


@struct.dataclass
class Laws:
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


def laws(
  ref_logits: Array,
  controls: Controls,
  *,
  actor_logits: Array | None = None,
  top_p_of: TopPOf = "guided",
) -> Laws:
  """Temperature, and top-p of what is guided.

  An actor is cut, but not the reference that it is measured by: nothing keeps
  the actor inside the reference's nucleus.

  Args:
    ref_logits: reference logits. Shape [B, V].
    controls: per-row temperature and top-p.
    actor_logits: logits that are guided instead of the reference's. [B, V].
    top_p_of: see `Policy`.

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
  return Laws(base, reference)


def next_distribution(
  ref_logits: Array,
  candidates: Array,
  log_weights: Array,
  controls: Controls,
  *,
  actor_logits: Array | None = None,
  other_weight: ArrayLike = 0.0,
  is_guidance_tempered: bool = False,
  top_p_of: TopPOf = "guided",
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
    is_guidance_tempered: see `Policy`.
    top_p_of: see `Policy`.

  Returns:
    The distribution to sample from, the reference's, and both divergences.

  Source: arXiv 2502.20548, the induced policy pi^{Z, eta}.
  """
  chex.assert_rank([ref_logits, candidates, log_weights], 2)
  chex.assert_type([ref_logits, candidates, log_weights], [float, int, float])
  chex.assert_equal_shape_prefix([ref_logits, candidates, log_weights], 1)
  found = laws(
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
  policy: Policy,
  controls: Controls,
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
  laws: Laws, candidates: Array, log_weights: Array, other_weight: ArrayLike
) -> NextDistribution:
  """The guided distribution, nothing cut off it; see `next_distribution`."""
  weights = kl_ops.at_tokens(
    log_weights, candidates, laws.base.shape[-1], other=other_weight
  )
  return _beside(laws.reference, kl_ops.tilted_log_probs(laws.base, weights))


def _beside(reference: Array, tilted: Array) -> NextDistribution:
  cost = kl_ops.kl_divergence(tilted, reference)
  return NextDistribution(tilted, reference, cost, cost)


def _tempered(
  logits: Array, base: Array, controls: Controls, top_p_of: TopPOf
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
