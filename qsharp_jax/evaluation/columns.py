"""Columns of the report's rows: their names, what they mean, their order."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

DEFINITIONS = {
  "eta": "KL weight in reward units; small is strong guidance.",
  "round": "round of training that gave the value model.",
  "reward": "mean reward, with its 95% bootstrap interval over questions.",
  "pass@1": (
    "share of right samples, with its 95% bootstrap interval over questions."
  ),
  "kl": (
    "KL(policy || reference) in nats over the full vocabulary before top-p, "
    "summed over the response, mean over samples. Where it is estimated from "
    "some of them, their number stands in n, and its 95% interval here."
  ),
  "objective": "reward - eta x kl: what KL-regularised RL maximises.",
  "optimum": (
    "the greatest objective that any policy has at this eta, eta ln E[exp("
    "reward / eta)] of each question under the reference, from its own "
    "samples (their number is in report.json), the jackknife taking most of "
    "the bias away; with its 95% interval. With top-p below 1 the samples "
    "are those of the filtered reference, while kl refers to the unfiltered "
    "one."
  ),
  "share": (
    "(objective - reward of the reference) / (optimum - reward of the "
    "reference): how much of the possible gain is made; 1 for exact values."
  ),
  "n": (
    "questions x samples of each; after kl: how many of all these the KL rests "
    "on, if not on all."
  ),
  "maj1@8": (
    "is the most frequent answer of 8 samples right: mean over disjoint groups "
    "of 8, empty answers ignored, ties counted fractionally."
  ),
  "pass@8": "unbiased chance that 8 samples hold a right one.",
  "kl filtered": (
    "the same KL of the policy after top-p, which is above 0 even without "
    "guidance."
  ),
  "length": "mean tokens of a response.",
  "truncated": "share of responses that never ended.",
  "tokens/s": (
    "response tokens over the seconds spent sampling them, compilation "
    "included."
  ),
  "forwards": (
    "passes of any model over one row, over its prompt or over one new token "
    "with its candidates, and readings of a whole or unfinished answer by a "
    "reward that a search asks for (two for two rewards): mean over responses, "
    "all that a search threw away included."
  ),
  "seconds": "spent sampling the row.",
  "judge": "mean score by the judge, in its own units.",
  "win": (
    "share of comparisons with the reference's answers to the same question "
    "that the judge decides for the method, by more than the margin; tie and "
    "lose are the others."
  ),
  "diversity": (
    "product over n = 2, 3, 4 of distinct n-grams of words / (all + 1), mean "
    "over responses."
  ),
  "coherence": (
    "of response and prompt: the cosine of the guide's mean hidden states, if "
    "the config names no function."
  ),
  "failed_rewards": (
    "samples without an honest reward; they count as wrong, and as the least "
    "reward."
  ),
}
# Which row it is, and what people compare.
NAMES = ("method", "eta", "round")
_COMPARED = ("reward", "kl", "objective", "share")
_COST = (
  *("n", "kl filtered", "length", "truncated"),
  *("tokens/s", "forwards", "seconds", "failed_rewards"),
)
_RENAMED = {
  "kl_filtered": "kl filtered",
  "mean_length": "length",
  "truncated_share": "truncated",
  "tokens_per_second": "tokens/s",
}
_HIDDEN = (
  *("selected", "num_reference_samples"),
  *("num_questions", "num_samples", "num_kl_samples"),
)
_INTERVAL = "_ci95"


class Cell(NamedTuple):
  """A number or a text, and its interval."""

  value: Any
  interval: Sequence[float] | None = None
  is_strong: bool = False


class Groups(NamedTuple):
  """Names of columns, the most wanted group first."""

  compared: list[str]
  besides: list[str]
  cost: list[str]


def cells(row: Mapping[str, Any]) -> dict[str, Cell]:
  """Column -> cell, several keys of the row sharing a column."""
  number = row.get("num_questions", 0) * row.get("num_samples", 0)
  num_kl = row.get("num_kl_samples")
  is_estimated = num_kl is not None and num_kl < number
  found = {
    _RENAMED.get(key, key): Cell(
      value,
      row.get(key + _INTERVAL) if key != "kl" or is_estimated else None,
      is_strong=key == "eta" and bool(row.get("selected")),
    )
    for key, value in row.items()
    if key not in _HIDDEN and not key.endswith(_INTERVAL)
  }
  if "num_questions" in row:
    sizes = f"{row['num_questions']} x {row['num_samples']}"
    found["n"] = Cell(sizes + f", kl: {num_kl}" * is_estimated)
  return found


def groups(rows: Sequence[Mapping[str, Cell]]) -> Groups:
  """All columns of some rows, each in one group; names are in none."""
  found = list(dict.fromkeys(name for row in rows for name in row))
  compared = list(_COMPARED)
  if any(_differs(row.get("pass@1"), row.get("reward")) for row in rows):
    compared.insert(1, "pass@1")  # the reward is more than right or wrong
  known = {*NAMES, *compared, *_COST}
  return Groups(
    [name for name in compared if name in found],
    [name for name in found if name not in known],
    [name for name in _COST if name in found],
  )


def _differs(one: Cell | None, other: Cell | None) -> bool:
  return one is not None and other is not None and one.value != other.value
