"""How near answers are to their prompts, as some encoder sees both."""

import numpy as np
import numpy.typing as npt

from qsharp_jax.core.errors import InputError

_TINY = 1e-12  # a length below it has no direction


def cosines(prompts: npt.ArrayLike, answers: npt.ArrayLike) -> np.ndarray:
  """The cosine of each prompt's vector and its answer's.

  Args:
    prompts: embeddings. Shape [S, D].
    answers: embeddings. Shape [S, D].

  Returns:
    Numbers from -1 to 1; 0 where one has no direction. Shape [S], float64.

  Raises:
    InputError: shapes that differ, or an entry that is not finite.
  """
  a, b = np.asarray(prompts, float), np.asarray(answers, float)
  if a.ndim != 2 or a.shape != b.shape:
    raise InputError(
      f"embeddings of prompts have the shape {a.shape}, those of answers "
      f"{b.shape}; expected one shape, [answers, width]"
    )
  if not (np.isfinite(a).all() and np.isfinite(b).all()):
    raise InputError("an embedding is not finite; expected numbers: mend it")
  sizes = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
  found = (a * b).sum(axis=1) / np.maximum(sizes, _TINY)
  return np.where(sizes > _TINY, np.clip(found, -1.0, 1.0), 0.0)
