"""Several kinds of guidance in one batch: every row says which is its own.

All kinds read the same values, so that a turn of the loop runs the models once
for all of them; log-weights are cheap beside that.
"""

import dataclasses
import math
from collections.abc import Callable

import jax.numpy as jnp

from qsharp_jax.core.arrays import Array
from qsharp_jax.generate import guided


@dataclasses.dataclass(frozen=True)
class Choice:
  """What rows choose from, by `Controls.which`. Static, as a `Guidance` is.

  A row may also have fewer candidates than the others,
  `Controls.num_candidates`: the reference's most likely ones.

  Attributes:
    members: of values with the same number of logits.
  """

  members: tuple[guided.Guidance, ...]

  @property
  def has_bound(self) -> bool:
    """Whether any row draws its token in a race."""
    return any(member.has_bound for member in self.members)

  @property
  def is_always_raced(self) -> bool:
    """Whether all rows do."""
    return all(member.has_bound for member in self.members)

  @property
  def is_floored(self) -> bool:
    """Whether the score of other tokens may need all candidates'."""
    return any(member.is_floored for member in self.members)

  @property
  def num_logits(self) -> int:
    """K: value logits of each candidate."""
    return self.members[0].num_logits

  def of(self, which: Array, num_candidates: Array) -> "Rows":
    """The guidance of some rows, [B] int32 each."""
    return Rows(self, which[:, None], num_candidates[:, None])


@dataclasses.dataclass(frozen=True)
class Rows:
  """A choice that has been made: what a `Guidance` can do, row by row."""

  choice: Choice
  which: Array  # [B, 1] int32
  num_candidates: Array  # [B, 1] int32

  def is_own(self, num_columns: int) -> Array:
    """Which columns of candidates are the rows' own. Shape [B, A].

    It is the first ones in the order of the reference, and in that of a race,
    which puts candidates that cannot win behind all others.
    """
    return jnp.arange(num_columns)[None] < self.num_candidates

  def scores(self, logits: Array, eta: Array) -> Array:
    """As `Guidance.scores`; of columns that are not the row's own, any."""
    own = self.is_own(logits.shape[1])
    return self._chosen(lambda m: _counted(m, m.scores(logits, eta), own))

  def other(self, scores: Array) -> Array:
    """As `Guidance.other`, by the row's own candidates."""
    own = self.is_own(scores.shape[1])
    least = jnp.where(own, scores, jnp.inf).min(axis=-1, keepdims=True)
    zero = jnp.zeros_like(least)
    return self._chosen(lambda m: least if m.is_floored else zero)

  def bound(self, eta: Array) -> Array:
    """As `Guidance.bound`; 0 for rows without one."""
    zero = jnp.zeros_like(eta)
    return self._chosen(lambda m: m.bound(eta) if m.has_bound else zero)

  def covered(self, scores: Array, other: Array) -> Array:
    """The scores [B, A] with `other` [B] for candidates that are no row's."""
    own = self.is_own(scores.shape[1])
    return jnp.where(own, scores, other[:, None])

  def is_raced(self) -> Array:
    """Which rows draw their token in a race. Shape [B]."""
    has_bound = jnp.array([m.has_bound for m in self.choice.members])
    return has_bound[self.which[:, 0]]

  @property
  def is_floored(self) -> bool:
    """As of the choice."""
    return self.choice.is_floored

  def _chosen(self, make: Callable[[guided.Guidance], Array]) -> Array:
    """Each row of what its own member makes."""
    first, *others = self.choice.members
    found = make(first)
    for i, member in enumerate(others, 1):
      found = jnp.where(self.which == i, make(member), found)
    return found


def _counted(member: guided.Guidance, scores: Array, own: Array) -> Array:
  """Scores that are counted from the candidates', from the row's own only."""
  if member.kind == "vas":
    total = jnp.where(own, scores, 0.0).sum(axis=-1, keepdims=True)
    return scores - total / own.sum(axis=-1, keepdims=True, dtype=jnp.float32)
  is_by_least = member.kind in ("qsharp", "cd", "args")
  if is_by_least and not math.isfinite(member.bounds[0]):
    return scores - jnp.where(own, scores, jnp.inf).min(axis=-1, keepdims=True)
  return scores
