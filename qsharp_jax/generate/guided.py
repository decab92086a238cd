"""Guidance as a value: from value logits to the log-weights of candidates.

The table `_KINDS` names every guidance that the decode loop knows. A `Guidance`
is equal to another one of the same content, so that both are one argument of
the compiled programs and share them.

A token that was not scored has log-weight 0 and counts as the least reward that
its values know, or as the worst candidate where they know none: values are
counted from there (docs/decisions, 13).

Where a log-weight depends on its own candidate alone and has a bound, those
that can still win are scored first, and most never (docs/decisions, 14).
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Literal

import jax
import jax.numpy as jnp

from qsharp_jax.core import errors
from qsharp_jax.core.arrays import Array
from qsharp_jax.core.errors import InputError
from qsharp_jax.ops import guidance, readout

Kind = Literal["qsharp", "cd", "vas", "fudge", "args", "log_ratio", "mixture"]

# Those that need nothing but the values of a round.
BY_VALUES = ("qsharp", "cd", "vas", "fudge")


def check(name: str) -> None:
  """Raises an InputError for a name of anything but a guidance by values."""
  if name not in BY_VALUES:
    raise InputError(
      f"there is no guidance {errors.short(name)}; choose from "
      f"{', '.join(BY_VALUES)}"
    )


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
    weights: of a mixture: the weight of each reward, > 0; (): its KL weights
      come divided by weights of the row, one column a reward.
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
      eta: KL weight, in reward units; inf gives weights of 0. Shape [B, 1], or
        [B, M] for a mixture whose rows have weights.

    Returns:
      Log-weights, float32. Shape [B, A].
    """
    scores = self.scores(logits, eta)
    return scores - self.other(scores)

  def scores(self, logits: Array, eta: Array) -> Array:
    """Log-weights [B, A] before those of other tokens, `other`, become 0."""
    return _KINDS[self.kind](self, logits, eta)

  def other(self, scores: Array) -> Array:
    """What a token that is no candidate has for a score.

    Args:
      scores: of all candidates. Shape [B, A].

    Returns:
      No more than the least of them, and no less if they grow. Shape [B, 1].
    """
    least = jnp.min(scores, axis=-1, keepdims=True)
    return least if self.is_floored else jnp.zeros_like(least)

  def bound(self, eta: Array) -> Array:
    """What no score exceeds, where `has_bound`.

    Args:
      eta: as above. Shape [B, 1].

    Returns:
      The bound, float32. Shape [B, 1].
    """
    if self.members:
      pairs = zip(self.members, self.etas(eta), strict=True)
      return guidance.mixed([member.bound(own) for member, own in pairs])
    if self.kind == "fudge":
      return guidance.fudge_bound(strength=1 / eta)
    least, most = self.bounds
    return guidance.reward_bound(most - least, eta=eta)

  def etas(self, eta: Array) -> list[Array]:
    """The KL weight [B, 1] for each reward of a mixture."""
    if self.weights:
      return [eta / weight for weight in self.weights]
    return jnp.split(eta, len(self.members), axis=-1)

  @property
  def has_bound(self) -> bool:
    """Whether each score depends on its own candidate and has a bound."""
    if self.members:
      return all(member.has_bound for member in self.members)
    by_reward = self.kind in ("qsharp", "cd", "args")
    return self.kind == "fudge" or by_reward and math.isfinite(self.bounds[1])

  @property
  def is_always_raced(self) -> bool:
    """As `has_bound`: all rows are of this guidance."""
    return self.has_bound

  @property
  def is_floored(self) -> bool:
    """Whether other tokens count as the worst candidate, not as score 0."""
    # A logarithm has no least value: the worst candidate's stands for it.
    return self.kind == "fudge" or any(m.is_floored for m in self.members)

  @property
  def num_logits(self) -> int:
    """K: value logits that it reads of each candidate."""
    if self.members:
      return sum(member.num_logits for member in self.members)
    return len(self.atoms) if self.loss == "categorical" else 1

  @property
  def bounds(self) -> tuple[float, float]:
    """Least and greatest reward that its values know; infinite without."""
    return readout.bounds(loss=self.loss, atoms=self.atoms)

  def mean(self, logits: Array) -> Array:
    """Mean rewards-to-go [...] of value logits [..., K]."""
    return readout.mean(logits, loss=self.loss, atoms=self.atoms)

  def gain(self, logits: Array) -> Array:
    """Mean rewards [B, A] above what an unscored token counts as, >= 0."""
    means, (least, most) = self.mean(logits), self.bounds
    if math.isfinite(least):
      return jnp.clip(means, least, most) - least
    return guidance.zero_floor(means)


def mixture(
  members: Sequence[Guidance], weights: tuple[float, ...] = ()
) -> Guidance:
  """Guidance by each of several rewards, for their weighted sum.

  Args:
    members: one for each reward.
    weights: of the rewards, > 0; (): every row has its own.
  """
  return Guidance("mixture", members=tuple(members), weights=tuple(weights))


def _qsharp(own: Guidance, logits: Array, eta: Array) -> Array:
  """Q# with the distribution that the value model was trained to predict."""
  if own.loss == "bernoulli":
    return guidance.qsharp_bernoulli(logits[..., 0], eta=eta)
  if own.loss == "categorical":
    above = jnp.asarray(own.atoms, jnp.float32) - own.bounds[0]
    return guidance.qsharp_categorical(
      jax.nn.log_softmax(logits), above, eta=eta
    )
  # Squared error knows the mean only: a distribution without spread is CD's.
  return _cd(own, logits, eta)


def _cd(own: Guidance, logits: Array, eta: Array) -> Array:
  return guidance.cd(own.gain(logits), eta=eta)


def _vas(own: Guidance, logits: Array, eta: Array) -> Array:
  # Centred, so that an unscored token counts as the average candidate.
  return guidance.vas(own.mean(logits), eta=eta)


def _fudge(own: Guidance, logits: Array, eta: Array) -> Array:
  if own.loss == "bernoulli":
    odds = logits[..., 0]
  else:
    # The place between the least and the greatest reward as its probability.
    share = own.mean(logits)
    if own.loss == "categorical":
      least, most = own.bounds
      share = (share - least) / (most - least)
    odds = jax.scipy.special.logit(jnp.clip(share, 1e-6, 1 - 1e-6))
  return guidance.fudge(odds, strength=1 / eta)


def _args(own: Guidance, logits: Array, eta: Array) -> Array:
  return guidance.args(own.gain(logits), strength=1 / eta)


def _log_ratio(own: Guidance, logits: Array, eta: Array) -> Array:
  # An advantage: 0 says that the tuned model changes nothing.
  return guidance.log_ratio(logits[..., 0], strength=own.strength / eta)


def _mixture(own: Guidance, logits: Array, eta: Array) -> Array:
  ends, num_read = [], 0
  for member in own.members[:-1]:
    num_read += member.num_logits
    ends.append(num_read)
  parts = jnp.split(logits, ends, axis=-1)
  members = zip(own.members, parts, own.etas(eta), strict=True)
  return guidance.mixed(
    [member.scores(part, weighed) for member, part, weighed in members]
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
