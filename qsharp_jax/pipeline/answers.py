"""Answers of the reference and of guided policies, side by side, for people."""

import collections
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from qsharp_jax import generate, rollout

_MOST_QUESTIONS = 500
_MOST_ANSWERS = 3  # different ones of a policy to a question
_MOST_CHARACTERS = 2_000_000  # of all answers
_LEAST_SHOWN = 200  # characters of an answer, however many there are


class Policy(NamedTuple):
  """A row of the report whose answers are shown."""

  label: str
  method: str
  eta: float | None
  stage: str  # that sampled it
  found: rollout.Rollouts  # with texts
  rewards: np.ndarray  # [S], of what was not graded the least
  guidance: generate.Guidance | None = None  # by the last round's values


def side_by_side(policies: Sequence[Policy]) -> dict[str, Any]:
  """Every question with what each policy answers most often.

  Args:
    policies: the reference first; all have answered the same questions.

  Returns:
    `policies`, `total` (how many questions there are) and `questions`, the
    worst by any guided policy where there are too many; as JSON has it.
  """
  means = mean_rewards(policies)
  ids = sorted(means, key=lambda id_: badness(means[id_]))
  kept = set(ids[:_MOST_QUESTIONS])
  rows = [_rows(policy.found) for policy in policies]
  asked = [id_ for id_ in rows[0] if id_ in kept]
  num_texts = max(1, len(asked) * len(policies) * _MOST_ANSWERS)
  most = max(_LEAST_SHOWN, _MOST_CHARACTERS // num_texts)
  questions = []
  for id_ in asked:
    own = [found[id_] for found in rows]
    first = int(own[0][0])
    questions.append(
      {
        "id": id_,
        "question": clipped(policies[0].found.question[first], most),
        "gold": clipped(policies[0].found.answer[first], most),
        "means": means[id_],
        "counts": [len(indices) for indices in own],
        "answers": [
          _distinct(policy, indices, most)
          for policy, indices in zip(policies, own, strict=True)
        ],
      }
    )
  return {
    "policies": [{"label": policy.label} for policy in policies],
    "total": len(means),
    "questions": questions,
  }


def mean_rewards(policies: Sequence[Policy]) -> dict[str, list[float]]:
  """Of every question that all policies answered: each one's mean reward."""
  rows = [_rows(policy.found) for policy in policies]
  return {
    id_: [
      float(policy.rewards[found[id_]].mean())
      for policy, found in zip(policies, rows, strict=True)
    ]
    for id_ in rows[0]
    if all(id_ in found for found in rows)
  }


def badness(means: Sequence[float]) -> tuple[float, float]:
  """Sorts the questions that a guided policy answers worst to the front."""
  worst = min(means[1:], default=means[0])
  return worst, worst - means[0]


def clipped(text: str, most: int) -> str:
  """The beginning of a text that is too long."""
  return text if len(text) <= most else f"{text[: most - 1]}…"


def _rows(found: rollout.Rollouts) -> dict[str, np.ndarray]:
  """Indices of each question's samples, questions as they were asked."""
  ids, codes = found.questions()
  order = np.argsort(codes, kind="stable")
  ends = np.cumsum(np.bincount(codes, minlength=len(ids)))[:-1]
  return dict(zip(ids.tolist(), np.split(order, ends), strict=True))


def _distinct(
  policy: Policy, indices: np.ndarray, most: int
) -> list[dict[str, Any]]:
  """The most frequent answers of a policy to a question."""
  groups: dict[str, list[int]] = collections.defaultdict(list)
  for index in indices:
    groups[policy.found.text[index]].append(int(index))
  ranked = sorted(groups.items(), key=lambda pair: -len(pair[1]))
  return [
    {
      "text": clipped(text, most),
      "count": len(own),
      "reward": float(policy.rewards[own[0]]),
      "correct": _verdict(policy.found.correct[own[0]]),
      "error": policy.found.error[own[0]],
    }
    for text, own in ranked[:_MOST_ANSWERS]
  ]


def _verdict(correct: float) -> bool | None:
  return None if np.isnan(correct) else bool(correct)
