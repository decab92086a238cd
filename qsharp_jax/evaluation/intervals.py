"""Bootstrap intervals over questions."""

import numpy as np
import numpy.typing as npt

from qsharp_jax.core.errors import InputError


def bootstrap_mean(
  per_question_values: npt.ArrayLike,
  *,
  num_resamples: int = 2000,
  seed: int = 0,
  level: float = 0.95,
) -> tuple[float, float]:
  """Percentile bootstrap interval of the mean over questions.

  Questions are redrawn whole, since samples of one question are not
  independent. When all values are equal the interval has no width: it then says
  nothing of the questions not drawn.

  Args:
    per_question_values: one value per question. Shape [Q].
    num_resamples: redrawn sets of Q questions, >= 1.
    seed: of the redraws; equal seeds give equal intervals.
    level: share of the redrawn means inside, in (0, 1).

  Returns:
    (low, high). NaN where a value is NaN.

  Raises:
    InputError: no question, or a level outside (0, 1).

  Source: Efron and Tibshirani, An Introduction to the Bootstrap, section 13.3.
  """
  values = np.asarray(per_question_values, np.float64)
  if values.ndim != 1 or not values.size:
    raise InputError(
      f"bootstrap: got values of shape {values.shape}, expected one value per "
      "question, [Q]; average over samples first"
    )
  if num_resamples < 1 or not 0 < level < 1:
    raise InputError(
      f"bootstrap: got {num_resamples} resamples at level {level}, expected "
      ">= 1 at a level inside (0, 1); try 2000 at 0.95"
    )
  generator = np.random.default_rng(seed)
  size = values.size
  # One redraw at a time: [num_resamples, Q] indices at once would take
  # gigabytes for large question sets.
  means = [
    values[generator.integers(size, size=size)].mean()
    for _ in range(num_resamples)
  ]
  tail = (1 - level) / 2
  low, high = np.quantile(means, [tail, 1 - tail])
  return float(low), float(high)
