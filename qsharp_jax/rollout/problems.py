"""What is sampled of a question, and what of the decode loop that asks for."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from qsharp_jax import generate
from qsharp_jax.core import seeds as seeds_lib
from qsharp_jax.core.errors import InputError
from qsharp_jax.rollout import switch


@dataclasses.dataclass(frozen=True)
class Problem:
  """A question ready to be sampled and graded."""

  id: str
  prompt: Sequence[int]  # token ids
  answer: str  # gold
  split: str = ""  # train, validation or test
  question: str = ""  # its text, for rewards that read it


@dataclasses.dataclass(frozen=True)
class Preference:
  """Two answers to a prompt, the first preferred; end tokens included."""

  prompt: Sequence[int]
  chosen: Sequence[int]
  rejected: Sequence[int]


@dataclasses.dataclass(frozen=True)
class Plan:
  """What to sample."""

  num_samples: int
  seed: int
  eta: float | None = None  # None: the reference alone
  rule: switch.Rule | None = None  # None: one policy from start to end
  horizon: int = 1  # latest switch of the rule `algorithm1`, in tokens
  # Samples of a problem that are decoded together, a part of all; None: all.
  num_together: int | None = None
  # Where candidates may be left unscored: one sample of so many is scored whole
  # and has a KL, the first among them; 0: none does.
  kl_every: int = 1


@dataclasses.dataclass(frozen=True)
class Answer:
  """All samples of one problem."""

  request: generate.Request
  completions: list[generate.Completion]
  first_labels: np.ndarray  # [num_samples]


def num_requests(plan: Plan) -> int:
  """Requests of a problem."""
  size = plan.num_together or plan.num_samples
  if plan.num_samples % size:
    raise InputError(
      f"{plan.num_samples} samples, {size} together: expected a multiple"
    )
  return plan.num_samples // size


def requests(problem: Problem, plan: Plan) -> list[generate.Request]:
  """The requests for a problem, for as many samples each."""
  whole, num_parts = _request(problem, plan), num_requests(plan)
  if num_parts == 1:
    return [whole]
  size = len(whole.seeds) // num_parts

  def cut(column, i):
    return column and column[i * size : (i + 1) * size]

  return [
    dataclasses.replace(
      whole,
      seeds=cut(whole.seeds, i),
      guided_steps=cut(whole.guided_steps, i),
    )
    for i in range(num_parts)
  ]


def joined(parts: Sequence[Answer]) -> Answer:
  """All samples of one problem, from the answers to its requests."""
  first, *others = parts
  if not others:
    return first
  seeds = [seed for part in parts for seed in part.request.seeds]
  return Answer(
    dataclasses.replace(first.request, seeds=seeds),
    [c for part in parts for c in part.completions],
    np.concatenate([part.first_labels for part in parts]),
  )


def _request(problem: Problem, plan: Plan) -> generate.Request:
  """What a problem asks for; its seeds name the question and the sample."""
  seeds = [
    seeds_lib.stable_seed(plan.seed, problem.id, i)
    for i in range(plan.num_samples)
  ]
  steps = None
  if plan.rule == "algorithm1":
    steps = switch.draw_before(seeds, horizon=plan.horizon).tolist()
  eta = float("inf") if plan.eta is None else plan.eta
  return generate.Request(problem.prompt, seeds, eta, steps, id=problem.id)


def cut(request: generate.Request, lengths: Sequence[int]) -> generate.Request:
  """The same request with a switch inside each guided response."""
  steps = switch.draw_within(request.seeds, lengths).tolist()
  return dataclasses.replace(request, guided_steps=steps)
