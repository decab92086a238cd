"""The guided policy: its models and how they are combined, and its controls."""

import dataclasses
from typing import Literal

import jax.numpy as jnp
from flax import struct

from qsharp_jax import models
from qsharp_jax.core.arrays import Array
from qsharp_jax.data import stops as stops_lib
from qsharp_jax.generate import choice, guided

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
