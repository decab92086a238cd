"""Do estimates from samples agree with dynamic programming?

A report estimates the optimum, its front and the share of the possible gain
from samples (`evaluation.optimum`). Here each is beside its exact value, which
is known for populations of small questions (`tabular.questions`).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from qsharp_jax.core import seeds
from qsharp_jax.evaluation import intervals, optimum
from qsharp_jax.tabular import questions

ETA = 0.1  # of policies, optimum and share, in reward units
FRONT_ETAS = (0.05, 0.1, 0.2)  # where the exact front is compared
NUM_SAMPLES = 64  # of the reference and of each policy, for each question
NUM_QUESTIONS = 256  # drawn from each population, as for a test set
POPULATION_SIZE = 32
_NUM_RESAMPLES = 500
# Close enough to interpolate between.
_GRID = tuple(np.geomspace(0.02, 5.0, 30).tolist())


class Estimate(NamedTuple):
  """A number estimated from samples.

  Attributes:
    exact: of the whole population.
    found: from answers to the questions that were drawn.
    low: lower end of its 95% interval.
    high: upper end.
    drawn: exact, of the questions that were drawn.
  """

  exact: float
  found: float
  low: float
  high: float
  drawn: float


def study(num: int, seed: int) -> dict:
  """Estimates for random populations of questions.

  Args:
    num: populations, which are token MDPs whose first choice is the question.
    seed: of all of them.

  Returns:
    For each quantity its means, the bias, and how many intervals hold the exact
    value; and the shares of exact Q# and CD without any sampling.
  """
  found: dict[str, list[Estimate]] = {}
  shares: dict[str, list[float]] = {"qsharp": [], "cd": []}
  for i in range(num):
    own = questions.population(
      seeds.stable_seed(seed, "questions", i),
      eta=ETA,
      etas=FRONT_ETAS,
      num_questions=POPULATION_SIZE,
    )
    draws = np.random.default_rng(seeds.stable_seed(seed, "answers", i))
    for name, estimate in _estimates(own, draws):
      found.setdefault(name, []).append(estimate)
    for name, exact in shares.items():
      exact.append(_share(own, name, np.arange(POPULATION_SIZE)))
  return {
    "num": num,
    "eta": ETA,
    "num_questions": NUM_QUESTIONS,
    "num_samples": NUM_SAMPLES,
    "rows": [_row(name, estimates) for name, estimates in found.items()],
    "exact_shares": {
      name: {"least": min(x), "mean": float(np.mean(x)), "greatest": max(x)}
      for name, x in shares.items()
    },
  }


def _row(name: str, estimates: Sequence[Estimate]) -> dict:
  """One quantity over all populations."""
  means = Estimate(*np.mean(estimates, axis=0).tolist())
  return {
    "quantity": name,
    "exact": means.exact,
    "estimate": means.found,
    "bias": means.found - means.drawn,
    "width": means.high - means.low,
    "inside": sum(e.low <= e.exact <= e.high for e in estimates),
    "of": len(estimates),
  }


def _estimates(
  own: questions.Population, generator: np.random.Generator
) -> Iterable[tuple[str, Estimate]]:
  """Every quantity, from answers to questions drawn from a population."""
  drawn = generator.integers(POPULATION_SIZE, size=NUM_QUESTIONS)
  answers = {
    name: questions.draw(
      own, name, drawn, num_samples=NUM_SAMPLES, generator=generator
    )
    for name in own.policies
  }
  rewards = answers["reference"].rewards
  for name, is_corrected in (("optimum, plug-in", False), ("optimum", True)):
    yield (
      name,
      _of_means(
        own.optimum,
        optimum.optimum(rewards, eta=ETA, is_corrected=is_corrected),
        drawn,
      ),
    )
  yield from _on_the_front(own, rewards, drawn)
  for name in ("qsharp", "cd"):
    objectives = answers[name].rewards - ETA * answers[name].kl
    columns = np.stack(
      [
        objectives.mean(axis=1),
        rewards.mean(axis=1),
        optimum.optimum(rewards, eta=ETA),
      ]
    )
    exact = [_share(own, name, i) for i in (np.arange(POPULATION_SIZE), drawn)]
    yield f"share of {name}", _of_shares(columns, *exact)


def _of_means(
  exact: np.ndarray, found: np.ndarray, drawn: np.ndarray
) -> Estimate:
  """A mean over questions, with the interval of the report."""
  low, high = intervals.bootstrap_mean(found, num_resamples=_NUM_RESAMPLES)
  return Estimate(
    float(exact.mean()),
    float(found.mean()),
    low,
    high,
    float(exact[drawn].mean()),
  )


def _on_the_front(
  own: questions.Population, rewards: np.ndarray, drawn: np.ndarray
) -> Iterable[tuple[str, Estimate]]:
  """Rewards of the front, each at the KL of an exact point of it."""
  band = optimum.band(
    optimum.front(rewards, _GRID), num_resamples=_NUM_RESAMPLES
  )

  def at(kl, curve):
    return float(np.interp(np.sqrt(kl), np.sqrt(band.kl), curve))

  for eta, kls, means in zip(
    FRONT_ETAS, own.front_kl, own.front_reward, strict=True
  ):
    kl = float(kls.mean())
    # What the drawn questions gain on the front is at another KL.
    offset = at(kls[drawn].mean(), band.reward) - float(means[drawn].mean())
    yield (
      f"front at eta {eta:g}",
      Estimate(
        float(means.mean()),
        at(kl, band.reward),
        at(kl, band.low),
        at(kl, band.high),
        at(kl, band.reward) - offset,
      ),
    )


def _of_shares(columns: np.ndarray, exact: float, drawn: float) -> Estimate:
  """A share, with an interval over questions.

  Args:
    columns: objective, reference's reward and optimum. Shape [3, Q].
    exact: the share of the population.
    drawn: and of the questions that were drawn.
  """

  def share(means):
    return optimum.share(means[0], reference_reward=means[1], optimum=means[2])

  generator = np.random.default_rng(0)
  size = columns.shape[1]
  redrawn = [
    share(columns[:, generator.integers(size, size=size)].mean(axis=1))
    for _ in range(_NUM_RESAMPLES)
  ]
  low, high = np.quantile(redrawn, [0.025, 0.975])
  return Estimate(
    exact, share(columns.mean(axis=1)), float(low), float(high), drawn
  )


def _share(own: questions.Population, name: str, chosen: np.ndarray) -> float:
  """Share of a policy with exact values on some questions."""

  def mean(of_questions):
    return float(np.mean(of_questions[chosen]))

  return optimum.share(
    mean(own.policies[name].objective),
    reference_reward=mean(own.policies["reference"].objective),
    optimum=mean(own.optimum),
  )
