"""One line of the report: what the samples of a method at an eta are worth."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import accuracy, intervals, optimum
from qsharp_jax.evaluation.samples import Samples

# Votes of maj1@k and draws of pass@k; the k is part of the columns' names.
_VOTES = 8

# Field of Row -> key in report.json, where they differ.
_KEYS = {
  "round_index": "round",
  "pass_at_1": "pass@1",
  "pass_at_1_ci95": "pass@1_ci95",
  "majority_at_8": "maj1@8",
  "pass_at_8": "pass@8",
}


# Columns that exist only where the reward says what is right.
_VERDICTS = ("pass_at_1", "pass_at_1_ci95", "majority_at_8", "pass_at_8")


@dataclasses.dataclass(frozen=True)
class Row:
  """One line of the report; NaN or None where a number does not exist.

  Attributes:
    method: "reference", "cd", "qsharp" or a later method's name.
    eta: KL weight; None for the reference and what has no such number.
    round_index: training round of the value model, 0 for none.
    num_questions: questions.
    num_samples: samples of each question.
    reward: mean over samples, in reward units.
    reward_ci95: bootstrap interval over questions, (low, high).
    objective: reward less eta times KL, None without an eta.
    optimum: greatest objective of any policy at this eta, see `optimum`.
    optimum_ci95: its bootstrap interval over questions.
    share: how much of the possible gain the objective makes.
    num_reference_samples: of each question, that the optimum rests on.
    pass_at_1: share of right samples; None where the reward gives no verdicts.
    pass_at_1_ci95: bootstrap interval over questions, (low, high).
    majority_at_8: maj1@8, None with fewer than 8 samples.
    pass_at_8: None with fewer than 8 samples.
    kl: mean over the samples that have one, before top-p, nats.
    kl_ci95: bootstrap interval over questions, (low, high).
    num_kl_samples: of all questions together, that both KLs rest on.
    kl_filtered: mean over the same samples, after top-p, nats.
    mean_length: tokens.
    truncated_share: share of responses that never ended.
    tokens_per_second: response tokens over seconds of sampling.
    selected: True at the eta chosen on validation.
    extra: further columns, kept as they are in report.json.
  """

  method: str
  eta: float | None
  round_index: int
  num_questions: int
  num_samples: int
  reward: float
  reward_ci95: tuple[float, float]
  objective: float | None
  optimum: float | None
  optimum_ci95: tuple[float, float] | None
  share: float | None
  num_reference_samples: int | None
  pass_at_1: float | None
  pass_at_1_ci95: tuple[float, float] | None
  majority_at_8: float | None
  pass_at_8: float | None
  kl: float
  kl_ci95: tuple[float, float]
  num_kl_samples: int
  kl_filtered: float
  mean_length: float
  truncated_share: float
  tokens_per_second: float
  selected: bool = False
  extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def to_dict(self) -> dict[str, Any]:
    """The row under the keys of report.json, extra columns last.

    Verdicts that the reward does not give have no key.

    Raises:
      InputError: an extra column has the name of a fixed one.
    """
    names = [field.name for field in dataclasses.fields(self)][:-1]
    if self.pass_at_1 is None:
      names = [name for name in names if name not in _VERDICTS]
    row = {_KEYS.get(name, name): getattr(self, name) for name in names}
    if taken := sorted(row.keys() & self.extra.keys()):
      raise InputError(
        f"row: got extra columns {taken}, expected new names; rename them"
      )
    return row | dict(self.extra)


def summarise(
  samples: Samples,
  *,
  method: str,
  eta: float | None = None,
  round_index: int = 0,
  reference_rewards: npt.ArrayLike | None = None,
  selected: bool = False,
  extra: Mapping[str, Any] | None = None,
  best_of: int | None = None,
  seed: int = 0,
) -> Row:
  """The row of one (method, eta, round).

  With values in `samples` the row gains `best_of_<n>` (NaN if a value is NaN):
  the share of right ones among the samples of greatest value, or, without
  verdicts, `reward_best_of_<n>`, their mean reward. From 8 samples on, with
  verdicts and when no value is negative, it gains `weighted_maj1@8`.

  Args:
    samples: every sample, as many of each question.
    method: its name.
    eta: KL weight, None where there is none.
    round_index: training round of the value model.
    reference_rewards: of the reference's samples of the same questions; None
      leaves the optimum empty. Shape [Q, n].
    selected: whether this eta was chosen on validation.
    extra: further columns.
    best_of: samples that a best one is chosen from, at most those there are;
      None is all.
    seed: of the bootstrap.

  Returns:
    The row.

  Raises:
    InputError: questions with different numbers of samples.
  """
  rewards = samples.by_question(samples.reward).astype(np.float64)
  kls = samples.mean_known(samples.kl)
  kl = float(kls.mean())
  seconds = float(samples.seconds)
  return Row(
    method=method,
    eta=eta,
    round_index=round_index,
    num_questions=rewards.shape[0],
    num_samples=rewards.shape[1],
    reward=float(rewards.mean()),
    reward_ci95=intervals.bootstrap_mean(rewards.mean(axis=1), seed=seed),
    **_objective(float(rewards.mean()), kl, eta, reference_rewards, seed),
    **_verdicts(samples, seed),
    kl=kl,
    kl_ci95=intervals.bootstrap_mean(kls, seed=seed),
    num_kl_samples=int((~np.isnan(samples.kl)).sum()),
    kl_filtered=float(samples.mean_known(samples.kl_filtered).mean()),
    mean_length=_mean(samples.length),
    truncated_share=_mean(samples.truncated),
    tokens_per_second=float(np.sum(samples.length)) / seconds
    if seconds > 0
    else math.nan,
    selected=selected,
    extra=_value_columns(samples, best_of) | dict(extra or {}),
  )


def _objective(
  reward: float,
  kl: float,
  eta: float | None,
  reference_rewards: npt.ArrayLike | None,
  seed: int,
) -> dict[str, Any]:
  """Reward less the price of KL, beside the most that it can be."""
  found: dict[str, Any] = dict.fromkeys(
    ("objective", "optimum", "optimum_ci95", "share", "num_reference_samples")
  )
  if eta is None:
    return found
  found["objective"] = reward - eta * kl
  if reference_rewards is None:
    return found
  table = np.asarray(reference_rewards, np.float64)
  best = optimum.optimum(table, eta=eta)
  return found | {
    "optimum": float(best.mean()),
    "optimum_ci95": intervals.bootstrap_mean(best, seed=seed),
    "share": optimum.share(
      found["objective"],
      reference_reward=float(table.mean()),
      optimum=float(best.mean()),
    ),
    "num_reference_samples": table.shape[1],
  }


def _verdicts(samples: Samples, seed: int) -> dict[str, Any]:
  """What needs to know which samples are right."""
  if samples.correct is None:
    return dict.fromkeys(_VERDICTS)
  correct = samples.by_question(samples.correct).astype(bool)
  per_question = accuracy.pass_at_1(correct)
  found = {
    "pass_at_1": float(per_question.mean()),
    "pass_at_1_ci95": intervals.bootstrap_mean(per_question, seed=seed),
    "majority_at_8": None,
    "pass_at_8": None,
  }
  num_samples = correct.shape[1]
  if num_samples >= _VOTES:
    majority = accuracy.majority_at_k(
      _answers(samples), correct.tolist(), _VOTES
    )
    passed = accuracy.pass_at_k(correct.sum(axis=1), num_samples, _VOTES)
    found |= {
      "majority_at_8": float(majority.mean()),
      "pass_at_8": float(passed.mean()),
    }
  return found


def _value_columns(samples: Samples, best_of: int | None) -> dict[str, float]:
  if samples.value is None:
    return {}
  has_verdicts = samples.correct is not None
  outcomes = samples.by_question(
    samples.reward if samples.correct is None else samples.correct
  )
  values = samples.by_question(samples.value).astype(np.float64)
  size = min(best_of or values.shape[1], values.shape[1])
  name = f"{'' if has_verdicts else 'reward_'}best_of_{size}"
  if np.isnan(values).any():
    # A diverged value model must not cost the rest of the row.
    return {name: math.nan}
  columns = {name: float(accuracy.best_of_n(outcomes, values, size).mean())}
  # A negative vote has no meaning, so such values only rank.
  is_voting = has_verdicts and values.shape[1] >= _VOTES
  if is_voting and (values >= 0).all():
    weighted = accuracy.majority_at_k(
      _answers(samples), outcomes.tolist(), _VOTES, weights=values.tolist()
    )
    columns[f"weighted_maj1@{_VOTES}"] = float(weighted.mean())
  return columns


def _answers(samples: Samples) -> list[list[str | None]]:
  keys = np.full(len(samples.question_ids), None, object)
  if samples.extracted is not None:
    keys[:] = samples.extracted
  return samples.by_question(keys).tolist()


def _mean(values: np.ndarray) -> float:
  return float(np.mean(np.asarray(values, np.float64)))
