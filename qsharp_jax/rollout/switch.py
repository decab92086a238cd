"""When the guided policy hands over to the reference, and what gets a label."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

# `algorithm1`: the switch is drawn before the roll-in, and the token at the
# switch already comes from the reference. `response`: it is drawn uniformly
# over the guided response's own length, and the token at the switch is kept
# from the guided policy. Both end with fresh reference tokens.
Rule = Literal["algorithm1", "response"]


def draw_before(seeds: Sequence[int], *, horizon: int) -> np.ndarray:
  """Guided steps h - 1 of each sample, h uniform over 1..horizon.

  Source: arXiv 2502.20548, Algorithm 1.
  """
  return _uniform(seeds, np.full(len(seeds), horizon)) - 1


def draw_within(seeds: Sequence[int], lengths: Sequence[int]) -> np.ndarray:
  """Guided steps of each sample, uniform over 1..length of its response."""
  return _uniform(seeds, np.asarray(lengths))


def first_label(guided_steps: np.ndarray, rule: Rule) -> np.ndarray:
  """Index of the first token whose reward-to-go is under the reference.

  After `algorithm1` it is the first reference token; after `response` the last
  guided one, since how a token was chosen does not change what follows it.
  """
  guided_steps = np.asarray(guided_steps)
  return guided_steps if rule == "algorithm1" else guided_steps - 1


def _uniform(seeds: Sequence[int], highest: np.ndarray) -> np.ndarray:
  """One integer in 1..highest per seed. Shape [n], int64."""
  draws = [np.random.default_rng([seed, 1]).random() for seed in seeds]
  return 1 + np.minimum(np.array(draws) * highest, highest - 1).astype(int)
