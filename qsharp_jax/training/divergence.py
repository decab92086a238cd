"""Numbers with which training must not go on."""

import math
from collections.abc import Mapping

import jax
import optax

from qsharp_jax.core.arrays import PyTree
from qsharp_jax.core.errors import InputError


class Diverged(InputError):
  """A loss, a gradient or weights that are not finite, and after which step."""


def check_metrics(step: int, metrics: Mapping[str, float]) -> None:
  """Refuses a step whose loss or gradient was not finite.

  Args:
    step: steps done with it.
    metrics: what the step gave.

  Raises:
    Diverged: names the step and the numbers.
  """
  broken = [
    f"{name} {number}"
    for name, number in metrics.items()
    if not math.isfinite(number)
  ]
  if broken:
    raise Diverged(f"step {step} has {', '.join(broken)}")


def check_weights(step: int, params: PyTree) -> None:
  """Refuses parameters that are not finite, or too large to be squared.

  It reads all of them and waits for the device: for before they are saved.

  Args:
    step: steps done.
    params: of any sharding.

  Raises:
    Diverged: names the step.
  """
  norm = float(_norm(params))
  if not math.isfinite(norm):
    raise Diverged(f"the norm of the weights after step {step} is {norm}")


_norm = jax.jit(optax.tree.norm)
