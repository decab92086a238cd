"""DPO, RPO and CPL: training on pairs of answers to one question."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from qsharp_jax import data, models
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import base, pairs
from qsharp_jax.ops import losses
from qsharp_jax.ops import preferences as preference_ops
from qsharp_jax.sharding import layout as layout_lib
from qsharp_jax.training import fit as fit_lib
from qsharp_jax.training import objectives
from qsharp_jax.training import rows as rows_lib


@dataclasses.dataclass(frozen=True)
class Preference(base.Settings):
  """Settings of DPO, RPO and CPL."""

  answers_per_row: ClassVar[int] = 2
  is_on_pairs: ClassVar[bool] = True

  fit: fit_lib.Fit = fit_lib.Fit(
    learning_rate=5e-7, num_epochs=1, max_length=4096
  )
  loss: Literal["dpo", "rpo", "cpl"] = "dpo"
  eta: float = 0.1  # KL weight (of CPL: entropy weight) in reward units
  pairs_per_question: int = 1
  min_margin: float = 0.0  # of rewards, within a pair; 0 is any that differ
  alpha: float = 1.0  # of RPO: weight of the likelihood of the chosen answer
  bias: float = 0.5  # of CPL: how much less a rejected answer counts

  def __post_init__(self) -> None:
    """Refuses what means nothing."""
    if not (self.eta > 0 and self.pairs_per_question > 0):
      raise InputError(
        f"eta is {self.eta} and pairs_per_question {self.pairs_per_question}; "
        "expected both > 0"
      )
    if not 0 <= self.min_margin < math.inf:
      raise InputError(
        f"min_margin is {self.min_margin}; expected a finite number >= 0, in "
        "reward units"
      )
    if self.loss not in _LOSSES:
      raise InputError(
        f"loss is {self.loss!r}; expected one of {', '.join(_LOSSES)}"
      )

  def recipe(self, job: base.Job) -> base.Recipe:
    """Every pair once an epoch, scored by the frozen reference before.

    The pairs are the run's preferences; where it has none, those of the best
    and the worst samples of round 1.
    """
    params = job.load(job.reference)
    rows = data.pair_packing.pack_pairs(
      self._pairs(job), length=self.fit.max_length
    )
    log_probs = ref_log_probs(
      job.model,
      params,
      rows,
      batch_size=self.fit.batch_size,
      layout=job.run.layout,
    )
    return base.Recipe(
      objective(job.model, functools.partial(_LOSSES[self.loss], self)),
      params,
      fit_lib.Epochs(rows._replace(labels=log_probs), self.fit),
    )

  def _pairs(self, job: base.Job) -> list[data.pair_packing.Pair]:
    if job.run.task.preferences:
      return pairs.of_preferences(
        job.run.task.preferences, length=self.fit.max_length
      )
    rollouts, most = job.rollouts(), self.pairs_per_question
    if job.gold is None:
      found = pairs.of_samples(
        rollouts, per_question=most, min_margin=self.min_margin
      )
    else:
      found = pairs.of_gold(
        rollouts,
        pairs.graded_gold(job, job.gold, rollouts),
        per_question=most,
        min_margin=self.min_margin,
      )
    if not found:
      margin = f" by {self.min_margin} or more" * (self.min_margin > 0)
      raise InputError(
        f"no question has samples whose rewards differ{margin}, so there are "
        "no preference pairs: take easier or harder questions, more samples, a "
        "smaller min_margin, or check the reward"
      )
    logging.info("%d preference pairs of %d samples", len(found), len(rollouts))
    return found


class PairSums(NamedTuple):
  """What a loss on pairs reads; sums over the tokens of a sequence, each [B].

  Attributes:
    chosen: log-probability of the preferred sequence under the policy.
    rejected: that of the other one.
    ref_chosen: log-probability of the preferred sequence under the reference.
    ref_rejected: that of the other one.
    num_chosen: number of tokens of the preferred sequence.
  """

  chosen: Array
  rejected: Array
  ref_chosen: Array
  ref_rejected: Array
  num_chosen: Array


def _dpo(settings: Preference, sums: PairSums) -> Array:
  return preference_ops.dpo(
    sums.chosen,
    sums.rejected,
    sums.ref_chosen,
    sums.ref_rejected,
    eta=settings.eta,
  )


def _rpo(settings: Preference, sums: PairSums) -> Array:
  return preference_ops.rpo(
    sums.chosen,
    sums.rejected,
    sums.ref_chosen,
    sums.ref_rejected,
    sums.num_chosen,
    eta=settings.eta,
    alpha=settings.alpha,
  )


def _cpl(settings: Preference, sums: PairSums) -> Array:
  return preference_ops.cpl(
    sums.chosen, sums.rejected, eta=settings.eta, bias=settings.bias
  )


_LOSSES = {"dpo": _dpo, "rpo": _rpo, "cpl": _cpl}


def objective(
  model: models.LanguageModel, loss: Callable[[PairSums], Array]
) -> objectives.Objective:
  """A loss on pairs, every pair of equal weight.

  Rows are those of `pair_packing.pack_pairs`; their labels are `ref_log_probs`.

  Args:
    model: the policy.
    loss: of each pair. Shape [B].
  """

  def pair_losses(
    params: PyTree, batch: objectives.Batch
  ) -> tuple[Array, Array]:
    log_probs = base.token_log_probs(model, params, batch)
    chosen, rejected = (
      batch["mask"] & (batch["segments"] == segment) for segment in (1, 2)
    )
    of_pairs = loss(
      PairSums(
        chosen=_row_sums(log_probs, chosen),
        rejected=_row_sums(log_probs, rejected),
        ref_chosen=_row_sums(batch["labels"], chosen),
        ref_rejected=_row_sums(batch["labels"], rejected),
        num_chosen=_row_sums(1.0, chosen),
      )
    )
    # A row of padding, which completes a batch, is no pair.
    is_pair = jnp.any(rejected, axis=1) & jnp.any(chosen, axis=1)
    return losses.weighted_sum(of_pairs, is_pair.astype(jnp.float32))

  return pair_losses


def _row_sums(values: Array | float, mask: Array) -> Array:
  """Sums over the masked tokens of each row. Shape [B]."""
  return jnp.sum(jnp.where(mask, values, 0.0), axis=1)


def ref_log_probs(
  model: models.LanguageModel,
  params: PyTree,
  rows: data.Packed,
  *,
  batch_size: int,
  layout: layout_lib.Layout,
) -> np.ndarray:
  """Log-probabilities of all tokens under the frozen reference.

  Args:
    model: the reference.
    params: its parameters.
    rows: any packed rows. Fields [R, T].
    batch_size: rows at a time.
    layout: places them.

  Returns:
    Nats, as `base.token_log_probs`. Shape [R, T].
  """
  forward = jax.jit(functools.partial(base.token_log_probs, model))
  return rows_lib.over_rows(
    functools.partial(forward, params),
    rows,
    batch_size=batch_size,
    layout=layout,
  )
