"""DPO, RPO and CPL: training on pairs of answers to one question."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from qsharp_jax import data, models, rollout
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import base
from qsharp_jax.ops import losses
from qsharp_jax.ops import preferences as preference_ops
from qsharp_jax.sharding import layout as layout_lib
from qsharp_jax.training import fit as fit_lib
from qsharp_jax.training import objectives
from qsharp_jax.training import rows as rows_lib


@dataclasses.dataclass(frozen=True)
class Preference(base.Settings):
  """Settings of DPO, RPO and CPL."""

  fit: fit_lib.Fit = fit_lib.Fit(learning_rate=5e-7, num_epochs=1)
  loss: Literal["dpo", "rpo", "cpl"] = "dpo"
  eta: float = 0.1  # KL weight (of CPL: entropy weight) in reward units
  pairs_per_question: int = 1
  alpha: float = 1.0  # of RPO: weight of the likelihood of the chosen answer
  bias: float = 0.5  # of CPL: how much less a rejected answer counts

  def __post_init__(self) -> None:
    """Refuses what means nothing."""
    if not (self.eta > 0 and self.pairs_per_question > 0):
      raise InputError(
        f"eta is {self.eta} and pairs_per_question {self.pairs_per_question}; "
        "expected both > 0"
      )
    if self.loss not in _LOSSES:
      raise InputError(
        f"loss is {self.loss!r}; expected one of {', '.join(_LOSSES)}"
      )

  def recipe(self, job: base.Job) -> base.Recipe:
    """Every pair once an epoch, scored by the frozen reference before."""
    params = job.load(job.reference)
    rows = data.packing.pack_pairs(self._pairs(job), length=self.fit.max_length)
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

  def _pairs(self, job: base.Job) -> list[data.packing.Pair]:
    rollouts, most = job.rollouts(), self.pairs_per_question
    if job.gold is None:
      found = pairs(rollouts, per_question=most)
    else:
      found = gold_pairs(
        rollouts, job.run.task.train, job.gold, per_question=most
      )
    if not found:
      raise InputError(
        "no question has samples with different rewards, so there are no "
        "preference pairs: take easier or harder questions, more samples, or "
        "check the reward"
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

  Rows are those of `packing.pack_pairs`; their labels are `ref_log_probs`.

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


def pairs(
  rollouts: Iterable[rollout.Rollout], *, per_question: int
) -> list[data.packing.Pair]:
  """The best samples of each question beside its worst ones.

  The best is paired with the worst, the second best with the second worst, and
  so on, as long as their rewards differ; samples whose reward failed, and
  questions whose samples are all alike, give no pair.

  Args:
    rollouts: graded samples of any number of questions.
    per_question: the most pairs of one question.
  """
  found = []
  for samples in base.by_question(rollouts).values():
    ranked = sorted(samples, key=lambda r: (-r.label, r.sample))
    for best, worst in list(zip(ranked, ranked[::-1], strict=True))[
      : min(per_question, len(ranked) // 2)
    ]:
      if best.label > worst.label:
        found.append(
          data.packing.Pair(
            data.packing.completion(best.prompt, best.tokens),
            data.packing.completion(worst.prompt, worst.tokens),
            best.label,
            worst.label,
          )
        )
  return found


def gold_pairs(
  rollouts: Iterable[rollout.Rollout],
  problems: Sequence[rollout.Problem],
  gold: base.Gold,
  *,
  per_question: int,
  gold_reward: float = 1.0,
) -> list[data.packing.Pair]:
  """The gold answer of each question beside samples that earned less.

  For tasks with too few samples of a question to differ among themselves.
  """
  answers = {problem.id: problem for problem in problems}
  found = []
  for question, samples in base.by_question(rollouts).items():
    worse = [r for r in samples if r.label < gold_reward]
    for rejected in worse[:per_question]:
      found.append(
        data.packing.Pair(
          data.packing.completion(rejected.prompt, gold(answers[question])),
          data.packing.completion(rejected.prompt, rejected.tokens),
          gold_reward,
          rejected.label,
        )
      )
  return found
