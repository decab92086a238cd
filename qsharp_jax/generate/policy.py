"""The guided policy: from logits and values to the next-token distribution."""

import dataclasses

import chex
import jax
from flax import struct

from qsharp_jax import models
from qsharp_jax.core.arrays import Array, ArrayLike
from qsharp_jax.generate import guided
from qsharp_jax.ops import filtering, guidance
from qsharp_jax.ops import kl as kl_ops

# What gives values to candidates.
Scorer = models.ValueModel | models.LogRatio | models.Several


@dataclasses.dataclass(frozen=True)
class Policy:
  """A frozen reference model and what guides it. Static: it shapes programs.

  Parameters come as {"reference": …, "actor": …, "value": …}, the latter two
  where there is such a model.
  """

  reference: models.LanguageModel
  eos_ids: tuple[int, ...]
  value: Scorer | None = None
  guidance: guided.Guidance | None = None
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


@struct.dataclass
class NextDistribution:
  """Distribution of the next token, and what it costs."""

  sampled: Array  # [B, V] log-probabilities that the token is drawn from
  reference: Array  # [B, V] log-probabilities of the reference at temperature
  kl: Array  # [B] nats, KL(guided || reference) before top-p
  kl_filtered: Array  # [B] nats, the same after top-p


def next_distribution(
  ref_logits: Array,
  candidates: Array,
  log_weights: Array,
  controls: Controls,
  *,
  actor_logits: Array | None = None,
  other_weight: ArrayLike = 0.0,
  is_guidance_tempered: bool = False,
) -> NextDistribution:
  """Temperature, then guidance, then top-p.

  Args:
    ref_logits: reference logits. Shape [B, V].
    candidates: tokens that have a value. Shape [B, A], int32.
    log_weights: their log-weights. Shape [B, A].
    controls: per-row temperature and top-p.
    actor_logits: logits that are guided instead of the reference's. [B, V].
    other_weight: log-weight of all other tokens, 0, or -inf to exclude them.
      Scalar or [B].
    is_guidance_tempered: see `Policy`.

  Returns:
    The distribution to sample from, the reference's, and both divergences.

  Source: arXiv 2502.20548, the induced policy pi^{Z, eta}.
  """
  chex.assert_rank([ref_logits, candidates, log_weights], 2)
  chex.assert_type([ref_logits, candidates, log_weights], [float, int, float])
  chex.assert_equal_shape_prefix([ref_logits, candidates, log_weights], 1)
  if actor_logits is not None:
    chex.assert_type(actor_logits, float)
    chex.assert_equal_shape([ref_logits, actor_logits])
  reference = jax.nn.log_softmax(
    filtering.apply_temperature(ref_logits, controls.temperature)
  )
  logits = ref_logits if actor_logits is None else actor_logits
  weights = guidance.at_tokens(
    log_weights, candidates, logits.shape[-1], other=other_weight
  )
  if is_guidance_tempered:
    # The sum is divided, not the weights: temperature 0 stays the argmax.
    tilted = jax.nn.log_softmax(
      filtering.apply_temperature(logits + weights, controls.temperature)
    )
  else:
    base = reference
    if actor_logits is not None:
      base = filtering.apply_temperature(actor_logits, controls.temperature)
    tilted = kl_ops.tilted_log_probs(base, weights)
  sampled = filtering.top_p(tilted, controls.top_p)
  return NextDistribution(
    sampled=sampled,
    reference=reference,
    kl=kl_ops.kl_divergence(tilted, reference),
    kl_filtered=kl_ops.kl_divergence(sampled, reference),
  )
