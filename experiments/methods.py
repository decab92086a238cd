"""The one table from the names of methods to pure functions of values."""

from collections.abc import Collection

import jax

from qsharp_jax import generate, pipeline
from qsharp_jax.core.errors import InputError
from qsharp_jax.ops import guidance


def check(names: Collection[str]) -> None:
  """Raises an InputError for a name that is not in the table."""
  for name in names:
    if name not in _TABLE:
      raise InputError(
        f"there is no method {name!r}; choose from {', '.join(_TABLE)}"
      )


def select(
  critic: pipeline.Critic, names: Collection[str]
) -> dict[str, generate.Guidance]:
  """Log-weights [B, A] from value logits [B, A, K] and eta [B, 1], by name."""
  check(names)
  return {name: _TABLE[name](critic) for name in names}


def _qsharp(critic: pipeline.Critic) -> generate.Guidance:
  """Q# with the law that the value model was trained to predict."""
  if critic.loss == "bernoulli":
    return lambda logits, eta: guidance.qsharp_bernoulli(
      logits[..., 0], eta=eta
    )
  if critic.loss == "categorical":
    return lambda logits, eta: guidance.zero_floor(
      guidance.qsharp_categorical(
        jax.nn.log_softmax(logits), critic.atoms, eta=eta
      )
    )
  # Squared error knows the mean only: a law without spread, which is CD's.
  return _cd(critic)


def _cd(critic: pipeline.Critic) -> generate.Guidance:
  return lambda logits, eta: guidance.cd(critic.mean(logits), eta=eta)


def _vas(critic: pipeline.Critic) -> generate.Guidance:
  return lambda logits, eta: guidance.vas(critic.mean(logits), eta=eta)


_TABLE = {"qsharp": _qsharp, "cd": _cd, "vas": _vas}
