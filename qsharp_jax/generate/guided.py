"""Guidance as a value: from value logits to the log-weights of candidates.

The table `_KINDS` names every guidance that the decode loop knows. A `Guidance`
is equal to another one of the same content, so that both are one argument of
the compiled programs and share them.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp

from qsharp_jax.core.arrays import Array
from qsharp_jax.ops import guidance, readout

Kind = Literal["qsharp", "cd", "vas", "fudge", "args", "log_ratio", "mixture"]

# Those that need nothing but the values of a round.
BY_VALUES = ("qsharp", "cd", "vas", "fudge")


@dataclasses.dataclass(frozen=True)
class Guidance:
  """How value logits and a KL weight become log-weights. Static.

  Attributes:
    kind: the method.
    loss: what the value model was trained with, so what its logits mean.
    atoms: support of a categorical distribution, in reward units.
    strength: what `log_ratio` divides by eta: the KL weight beta at which the
      model was tuned.
    members: of a mixture: the guidance by each reward, whose logits lie side
      by side.
    weights: of a mixture: the weight of each reward, > 0.
  """

  kind: Kind
  loss: readout.Loss = "bernoulli"
  atoms: tuple[float, ...] | None = None
  strength: float = 1.0
  members: tuple["Guidance", ...] = ()
  weights: tuple[float, ...] = ()

  def __call__(self, logits: Array, eta: Array) -> Array:
    """Log-weights of candidates.

    Args:
      logits: value logits of each candidate. Shape [B, A, K].
      eta: KL weight, in reward units; inf gives weights of 0. Shape [B, 1].

    Returns:
      Log-weights, float32. Shape [B, A].
    """
    return _KINDS[self.kind](self, logits, eta)

  @property
  def num_logits(self) -> int:
    """K: value logits that it reads of each candidate."""
    if self.members:
      return sum(member.num_logits for member in self.members)
    return len(self.atoms) if self.loss == "categorical" else 1

  def mean(self, logits: Array) -> Array:
    """Mean rewards-to-go [...] of value logits [..., K]."""
    return readout.mean(logits, loss=self.loss, atoms=self.atoms)


def mixture(member: Guidance, weights: tuple[float, ...]) -> Guidance:
  """The same guidance by each of several rewards, for their weighted sum."""
  return Guidance(
    "mixture", members=(member,) * len(weights), weights=tuple(weights)
  )


def _qsharp(own: Guidance, logits: Array, eta: Array) -> Array:
  """Q# with the distribution that the value model was trained to predict."""
  if own.loss == "bernoulli":
    return guidance.qsharp_bernoulli(logits[..., 0], eta=eta)
  if own.loss == "categorical":
    atoms = jnp.asarray(own.atoms, jnp.float32)
    weights = guidance.qsharp_categorical(
      jax.nn.log_softmax(logits), atoms, eta=eta
    )
    return guidance.zero_floor(weights)
  # Squared error knows the mean only: a distribution without spread is CD's.
  return _cd(own, logits, eta)


def _cd(own: Guidance, logits: Array, eta: Array) -> Array:
  return guidance.cd(own.mean(logits), eta=eta)


def _vas(own: Guidance, logits: Array, eta: Array) -> Array:
  return guidance.vas(own.mean(logits), eta=eta)


def _fudge(own: Guidance, logits: Array, eta: Array) -> Array:
  if own.loss == "bernoulli":
    odds = logits[..., 0]
  else:
    odds = jax.scipy.special.logit(jnp.clip(own.mean(logits), 1e-6, 1 - 1e-6))
  # An unscored token counts as the worst candidate, not as a sure success.
  return guidance.zero_floor(guidance.fudge(odds, strength=1 / eta))


def _args(own: Guidance, logits: Array, eta: Array) -> Array:
  return guidance.args(own.mean(logits), strength=1 / eta)


def _log_ratio(own: Guidance, logits: Array, eta: Array) -> Array:
  return guidance.log_ratio(logits[..., 0], strength=own.strength / eta)


def _mixture(own: Guidance, logits: Array, eta: Array) -> Array:
  ends, num_read = [], 0
  for member in own.members[:-1]:
    num_read += member.num_logits
    ends.append(num_read)
  parts = jnp.split(logits, ends, axis=-1)
  return guidance.mixed(
    [
      member(part, eta / weight)
      for member, part, weight in zip(
        own.members, parts, own.weights, strict=True
      )
    ]
  )


_KINDS: dict[Kind, Callable[[Guidance, Array, Array], Array]] = {
  "qsharp": _qsharp,
  "cd": _cd,
  "vas": _vas,
  "fudge": _fudge,
  "args": _args,
  "log_ratio": _log_ratio,
  "mixture": _mixture,
}
