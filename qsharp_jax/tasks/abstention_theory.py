"""What exact values make of a question that may be declined, in closed form.

Where a run parts from it, `to_blame` says by which values.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple


class Theory(NamedTuple):
  """What a policy does about one question, and what it earns by it."""

  declined: float  # probability
  solved: float  # probability that an attempt is right
  reward: float
  kl: float  # nats, of whole answers
  objective: float | None  # reward - eta KL; None without an eta
  share: float | None  # of the gain that is possible over the reference


def theory(
  method: Literal["qsharp", "cd"],
  *,
  eta: float,
  pays: float,
  declining: float,
  right: float,
) -> Theory:
  """What exact values make of a question that may be declined.

  The reference declines, or commits to an attempt; later, at one other token,
  it turns right or wrong. All else is given.

  Args:
    method: whose guidance; at both tokens.
    eta: KL weight, in reward units, > 0.
    pays: reward of declining.
    declining: probability that the reference declines, in (0, 1).
    right: probability that an attempt of it is right, in (0, 1).

  Source: arXiv 2502.20548, the induced policies of Q# and CD (derived).
  """
  # ln E exp(r / eta) of an attempt.
  attempt = _log_mix(right, 1 / eta)
  weight = {"qsharp": attempt, "cd": right / eta}[method]
  # Once an attempt is sure, the mean is all there is to know of it.
  wins = _sigmoid(_logit(right) + 1 / eta)
  declined = _sigmoid(_logit(declining) + pays / eta - weight)
  reward = declined * pays + (1 - declined) * wins
  kl = _divergence(declined, declining)
  kl += (1 - declined) * _divergence(wins, right)
  objective = reward - eta * kl
  before = unguided(pays, declining, right).reward
  optimum = eta * (attempt + _log_mix(declining, pays / eta - attempt))
  share = (objective - before) / (optimum - before)
  return Theory(declined, wins, reward, kl, objective, share)


def unguided(pays: float, declining: float, right: float) -> Theory:
  """The reference itself; arguments as of `theory`."""
  reward = declining * pays + (1 - declining) * right
  return Theory(declining, right, reward, 0.0, None, None)


def solved(row: Mapping[str, Any]) -> float | None:
  """Share of a row's attempts that are right; None where none was made."""
  attempts = 1 - row["declined"]
  return row["pass@1"] / attempts if attempts else None


def to_blame(
  row: Mapping[str, Any], exact: Theory, *, pays: float, far: float
) -> list[str]:
  """Which values make a row's reward part from theory; none if it does not.

  What it parts by is what declining too much or too little costs, and what
  attempts lose that ought to be right; they add up.

  Args:
    row: of the report, with `per_position` where attempts are paths.
    exact: what exact values give.
    pays: reward of declining.
    far: rewards no further off than this do not part.
  """
  if abs(row["reward"] - exact.reward) <= far:
    return []
  lost = {
    f"of declining and of committing, {row['declined']:.3f} decline and not "
    f"{exact.declined:.3f}": (row["declined"] - exact.declined)
    * (pays - exact.solved)
  }
  if (found := solved(row)) is not None:
    where = _first_wrong(row, exact.solved - far)
    lost[
      f"{where}, {found:.3f} of the attempts are right and not "
      f"{exact.solved:.3f}"
    ] = (1 - row["declined"]) * (found - exact.solved)
  return [text for text, loss in lost.items() if abs(loss) > far / 2]


def _first_wrong(row: Mapping[str, Any], least: float) -> str:
  """The first token of an attempt that is right less often than `least`."""
  for place, share in enumerate(row.get("per_position", ()), start=1):
    if share < least:
      return f"of node {place} of the path"
  return "of an attempt"


def _log_mix(share: float, log_weight: float) -> float:
  """ln(1 - share + share exp(log_weight)), stable for large weights."""
  if log_weight > 0:
    return log_weight + _log_mix(1 - share, -log_weight)
  return math.log1p(share * math.expm1(log_weight))


def _logit(p: float) -> float:
  return math.log(p / (1 - p))


def _sigmoid(x: float) -> float:
  return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))


def _divergence(p: float, q: float) -> float:
  """Nats from a coin that falls with q to one that falls with p."""
  sides = ((p, q), (1 - p, 1 - q))
  return sum(a * math.log(a / b) for a, b in sides if a > 0)
