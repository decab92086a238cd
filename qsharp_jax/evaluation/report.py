"""The table of one evaluation: rows from samples, written to a workdir."""

import dataclasses
import importlib.metadata
import json
import math
import os
import pathlib
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qsharp_jax.core import files
from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import accuracy, intervals, markdown

# Votes of maj1@k and draws of pass@k; the k is part of the columns' names.
_VOTES = 8

_PACKAGES = (
  "jax",
  "flax",
  "optax",
  "numpy",
  "transformers",
  "math-verify",
  "qsharp_jax",
)

# Field of Row -> key in report.json, where they differ.
_KEYS = {
  "round_index": "round",
  "pass_at_1": "pass@1",
  "pass_at_1_ci95": "pass@1_ci95",
  "majority_at_8": "maj1@8",
  "pass_at_8": "pass@8",
}


@dataclasses.dataclass(frozen=True)
class Samples:
  """All samples of one (method, eta, round); S samples in any order.

  Attributes:
    question_ids: question of each sample, each as often as any other. [S].
    correct: verdicts. [S].
    extracted: class key of the answer, None where none was found. [S].
    kl: KL to the reference over the response, before top-p, nats. [S].
    kl_filtered: the same after top-p. [S].
    length: response tokens. [S].
    truncated: True where the response never ended. [S].
    seconds: spent sampling all of them.
    value: score of each response, or None. [S].
  """

  question_ids: Sequence[str]
  correct: np.ndarray
  extracted: Sequence[str | None]
  kl: np.ndarray
  kl_filtered: np.ndarray
  length: np.ndarray
  truncated: np.ndarray
  seconds: float
  value: np.ndarray | None = None

  def __post_init__(self):
    sizes = {
      field.name: len(getattr(self, field.name))
      for field in dataclasses.fields(self)
      if field.name != "seconds" and getattr(self, field.name) is not None
    }
    if len(set(sizes.values())) != 1 or not sizes["question_ids"]:
      raise InputError(
        f"samples: got lengths {sizes}, expected one length above 0; record "
        "every field of every sample"
      )


@dataclasses.dataclass(frozen=True)
class Row:
  """One line of the report; NaN or None where a number does not exist.

  Attributes:
    method: "reference", "cd", "qsharp" or a later method's name.
    eta: KL weight; None for the reference.
    round_index: training round of the value model, 0 for none.
    num_questions: questions.
    num_samples: samples of each question.
    pass_at_1: share of right samples.
    pass_at_1_ci95: bootstrap interval over questions, (low, high).
    majority_at_8: maj1@8, None with fewer than 8 samples.
    pass_at_8: None with fewer than 8 samples.
    kl: mean over samples, before top-p, nats.
    kl_filtered: mean over samples, after top-p, nats.
    kl_floor: `kl_floor` against the reference row, None without one.
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
  pass_at_1: float
  pass_at_1_ci95: tuple[float, float]
  majority_at_8: float | None
  pass_at_8: float | None
  kl: float
  kl_filtered: float
  kl_floor: float | None
  mean_length: float
  truncated_share: float
  tokens_per_second: float
  selected: bool = False
  extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def to_dict(self) -> dict[str, Any]:
    """The row under the keys of report.json, extra columns last.

    Raises:
      InputError: an extra column has the name of a fixed one.
    """
    names = [field.name for field in dataclasses.fields(self)][:-1]
    row = {_KEYS.get(name, name): getattr(self, name) for name in names}
    if taken := sorted(row.keys() & self.extra.keys()):
      raise InputError(
        f"row: got extra columns {taken}, expected new names; rename them"
      )
    return row | dict(self.extra)


def kl_floor(pass_at_1: float, reference_pass_at_1: float) -> float:
  """Least KL to the reference of any policy with this accuracy, in nats.

  Being right is a function of the response, so KL between responses is at least
  the KL between the two verdicts, d(p || p_ref); averaging over questions keeps
  that, since d is jointly convex. The reference conditioned on success reaches
  it at p = 1.

  Args:
    pass_at_1: accuracy p of the policy, in [0, 1].
    reference_pass_at_1: accuracy of the reference, in [0, 1].

  Returns:
    p ln(p / p_ref) + (1-p) ln((1-p) / (1-p_ref)); inf where the reference never
    does what the policy does; NaN when either is NaN.

  Source: the data-processing inequality.
  """
  if math.isnan(pass_at_1) or math.isnan(reference_pass_at_1):
    return math.nan
  floor = 0.0
  for p, q in (
    (pass_at_1, reference_pass_at_1),
    (1 - pass_at_1, 1 - reference_pass_at_1),
  ):
    if p > 0:
      floor += p * math.log(p / q) if q > 0 else math.inf
  return max(floor, 0.0)


def summarise(
  samples: Samples,
  *,
  method: str,
  eta: float | None = None,
  round_index: int = 0,
  reference_pass_at_1: float | None = None,
  selected: bool = False,
  extra: Mapping[str, Any] | None = None,
  seed: int = 0,
) -> Row:
  """The row of one (method, eta, round).

  With values in `samples` the row gains `best_of_<n>` (NaN if a value is NaN)
  and, from 8 samples on and when no value is negative, `weighted_maj1@8`.

  Args:
    samples: every sample, as many of each question.
    method: its name; "reference" has a floor of 0.
    eta: KL weight, None for the reference.
    round_index: training round of the value model.
    reference_pass_at_1: pass@1 of the run's reference row; None leaves the
      floor empty.
    selected: whether this eta was chosen on validation.
    extra: further columns.
    seed: of the bootstrap.

  Returns:
    The row.

  Raises:
    InputError: questions with different numbers of samples.
  """
  order = _by_question(samples.question_ids)
  correct = np.asarray(samples.correct, bool)[order]
  per_question = accuracy.pass_at_1(correct)
  mean = float(per_question.mean())
  if method == "reference":
    reference_pass_at_1 = mean
  majority, at_least_one = _of_eight(samples, order)
  seconds = float(samples.seconds)
  return Row(
    method=method,
    eta=eta,
    round_index=round_index,
    num_questions=order.shape[0],
    num_samples=order.shape[1],
    pass_at_1=mean,
    pass_at_1_ci95=intervals.bootstrap_mean(per_question, seed=seed),
    majority_at_8=majority,
    pass_at_8=at_least_one,
    kl=_mean(samples.kl),
    kl_filtered=_mean(samples.kl_filtered),
    kl_floor=None
    if reference_pass_at_1 is None
    else kl_floor(mean, reference_pass_at_1),
    mean_length=_mean(samples.length),
    truncated_share=_mean(samples.truncated),
    tokens_per_second=float(np.sum(samples.length)) / seconds
    if seconds > 0
    else math.nan,
    selected=selected,
    extra=_value_columns(samples, order) | dict(extra or {}),
  )


def versions() -> dict[str, str | None]:
  """Version of Python and of each package that moves a number, or None."""
  found: dict[str, str | None] = {"python": platform.python_version()}
  for package in _PACKAGES:
    try:
      found[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      found[package] = None
  return found


def write(report: Mapping[str, Any], workdir: str | os.PathLike) -> None:
  """Writes report.json and report.md, each whole or not at all.

  Args:
    report: "experiment", "variant", "rows" (of Row, or mappings in its form,
      further keys allowed), "seconds" per stage, "versions"; further keys are
      kept. Numbers that are not finite become null.
    workdir: folder, made if missing.

  Raises:
    InputError: a key of the five is missing.
  """
  needed = ("experiment", "variant", "rows", "seconds", "versions")
  if missing := [key for key in needed if key not in report]:
    raise InputError(
      f"report: got no {', '.join(missing)}, expected {', '.join(needed)}; "
      "fill them in"
    )
  content = plain(report)
  folder = pathlib.Path(workdir)
  text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
  files.replace(folder / "report.json", f"{text}\n")
  files.replace(folder / "report.md", markdown.render(content))


def _by_question(question_ids: Sequence[str]) -> np.ndarray:
  """Indices of the samples of each question, in their order. Shape [Q, n]."""
  table: dict[str, list[int]] = {}
  for index, question in enumerate(question_ids):
    table.setdefault(question, []).append(index)
  counts = {len(indices) for indices in table.values()}
  if len(counts) != 1:
    raise InputError(
      f"samples: got between {min(counts)} and {max(counts)} samples of a "
      "question, expected as many of each; draw the missing ones"
    )
  return np.asarray(list(table.values()))


def _of_eight(
  samples: Samples, order: np.ndarray
) -> tuple[float | None, float | None]:
  num_samples = order.shape[1]
  if num_samples < _VOTES:
    return None, None
  correct = np.asarray(samples.correct, bool)[order]
  majority = accuracy.majority_at_k(_answers(samples, order), correct, _VOTES)
  passed = accuracy.pass_at_k(correct.sum(axis=1), num_samples, _VOTES)
  return float(majority.mean()), float(passed.mean())


def _value_columns(samples: Samples, order: np.ndarray) -> dict[str, float]:
  if samples.value is None:
    return {}
  correct = np.asarray(samples.correct, bool)[order]
  values = np.asarray(samples.value, np.float64)[order]
  name = f"best_of_{order.shape[1]}"
  if np.isnan(values).any():
    # A diverged value model must not cost the rest of the row.
    return {name: math.nan}
  columns = {name: float(accuracy.best_of_n(correct, values).mean())}
  # A negative vote has no meaning, so such values only rank.
  if order.shape[1] >= _VOTES and (values >= 0).all():
    weighted = accuracy.majority_at_k(
      _answers(samples, order), correct, _VOTES, weights=values
    )
    columns[f"weighted_maj1@{_VOTES}"] = float(weighted.mean())
  return columns


def _answers(samples: Samples, order: np.ndarray) -> list[list[str | None]]:
  return [[samples.extracted[i] for i in row] for row in order]


def _mean(values: np.ndarray) -> float:
  return float(np.mean(np.asarray(values, np.float64)))


def plain(value: Any) -> Any:
  """The same value in what JSON can hold; not finite becomes None."""
  if isinstance(value, Row):
    value = value.to_dict()
  if isinstance(value, Mapping):
    return {str(key): plain(entry) for key, entry in value.items()}
  if isinstance(value, np.ndarray | np.generic):
    value = value.tolist()
  if isinstance(value, list | tuple):
    return [plain(entry) for entry in value]
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value
