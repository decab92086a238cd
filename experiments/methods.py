"""The one table from the names of methods to pure functions of values."""

import jax

from qsharp_jax import generate, pipeline
from qsharp_jax.core.errors import InputError
from qsharp_jax.ops import guidance


def table(critic: pipeline.Critic) -> dict[str, generate.Guidance]:
  """Log-weights [B, A] from value logits [B, A, K] and eta [B, 1], by name."""
  return {
    "qsharp": _qsharp(critic),
    "cd": lambda logits, eta: guidance.cd(critic.mean(logits), eta=eta),
    "vas": lambda logits, eta: guidance.vas(critic.mean(logits), eta=eta),
  }


def select(
  critic: pipeline.Critic, names: tuple[str, ...]
) -> dict[str, generate.Guidance]:
  """The named rows of the table."""
  known = table(critic)
  for name in names:
    if name not in known:
      raise InputError(
        f"there is no method {name!r}; choose from {', '.join(known)}"
      )
  return {name: known[name] for name in names}


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
  return lambda logits, eta: guidance.cd(critic.mean(logits), eta=eta)
