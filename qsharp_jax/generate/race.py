"""The race for the next token: noise decides, and most candidates never run.

A token is drawn as the argmax of log-probability, log-weight and Gumbel noise.
What a candidate can reach at most is known before it is scored, so candidates
are scored in that order, until one that was scored is ahead of all that the
others could reach. The token is the one that scoring all would have given.

Source: arXiv 1411.0030 (A* sampling), evaluated lazily (derived).
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from qsharp_jax.core.arrays import Array
from qsharp_jax.generate import choice, guided, next_token
from qsharp_jax.generate import policy as policy_lib
from qsharp_jax.ops import filtering

_GREATEST = np.uint32(2**32 - 1)  # a name that no token has


@struct.dataclass
class Race:
  """Who may come next in each row, the one that could reach most first.

  Column 0 is the token of unguided sampling if it is no candidate: of all that
  are none, only that one can win.
  """

  tokens: Array  # [B, 1 + A] int32
  luck: Array  # [B, 1 + A] log-probability and noise; -inf: cannot win
  log_probs: Array  # [B, 1 + A] before guidance
  scores: Array  # [B, A] log-weights, or their bound where not scored yet
  num_scored: Array  # [B] int32, the first ones; 0: the token is not read yet

  def next(self, m: int) -> Array:
    """The next m candidates to score, [B, m]; past the end, any."""
    last = self.scores.shape[1]
    columns = 1 + self.num_scored[:, None] + jnp.arange(m)[None]
    return jnp.take_along_axis(self.tokens, jnp.minimum(columns, last), axis=1)

  def add(self, scores: Array) -> "Race":
    """Writes down the log-weights [B, m] of those that were next."""
    m = scores.shape[1]
    columns = self.num_scored[:, None] + jnp.arange(m)[None]
    return self.replace(
      scores=jnp.put_along_axis(
        self.scores, columns, scores, axis=1, inplace=False, mode="drop"
      ),
      num_scored=jnp.minimum(self.num_scored + m, self.scores.shape[1]),
    )

  @property
  def candidates(self) -> Array:
    """The candidates, in the order in which they are scored. Shape [B, A]."""
    return self.tokens[:, 1:]

  @property
  def is_alone(self) -> Array:
    """Rows without a choice. Shape [B]."""
    return (self.luck > -jnp.inf).sum(axis=1) <= 1

  def needed(self, m: int) -> Array:
    """How many of the next m can win, if there is a choice. Shape [B]."""
    # Those that cannot come last.
    num_live = (self.luck[:, 1:] > -jnp.inf).sum(axis=1)
    left = jnp.clip(num_live - self.num_scored, 0, m)
    return jnp.where(self.is_alone, 0, left)

  def known(self, column: Array) -> next_token.NextToken:
    """The contender of a column [B] and what is known without all scores."""

    def take(x):
      return jnp.take_along_axis(x, column[:, None], axis=1)[:, 0]

    # Without a choice guidance changes nothing.
    cost = jnp.where(self.is_alone, 0.0, jnp.nan)
    log_probs = take(self.log_probs)
    return next_token.NextToken(
      take(self.tokens), log_probs + cost, log_probs, cost, cost
    )


def empty(num_rows: int, num_candidates: int) -> Race:
  """Before the first token."""
  table = jnp.zeros((num_rows, 1 + num_candidates))
  return Race(
    tokens=table.astype(jnp.int32),
    luck=table,
    log_probs=table,
    scores=table[:, 1:],
    num_scored=jnp.zeros(num_rows, jnp.int32),
  )


def begin(
  guidance: guided.Guidance | choice.Rows,
  base: Array,
  candidates: Array,
  controls: policy_lib.Controls,
  steps: Array,
  eta: Array,
) -> Race:
  """Draws all the noise of a token.

  The token of unguided sampling is drawn as it always is, and stands for the
  argmax over the vocabulary of log-probability and noise; the noise of the
  candidates is drawn given that (`filtering.gumbels_below`).

  Args:
    guidance: knows the bounds of log-weights.
    base: log-probabilities before guidance. Shape [B, V].
    candidates: tokens that have a value. Shape [B, A], int32.
    controls: per-row seeds.
    steps: of the rows. Shape [B], int32.
    eta: KL weight, or those of a mixture's rewards; inf leaves no choice.
      Shape [B, 1] or [B, M].
  """
  keys = row_keys(controls, steps)
  first = filtering.sample(base, jax.vmap(jax.random.uniform)(keys))[:, None]
  # 0 would be the name of the uniform number.
  names = jnp.pad(
    candidates.astype(jnp.uint32) + 1,
    ((0, 0), (1, 0)),
    constant_values=_GREATEST,
  )
  noise = _gumbels(keys, names)
  greatest = noise[:, :1]
  is_own = True
  if isinstance(guidance, choice.Rows):
    is_own = guidance.is_own(candidates.shape[1])
  is_first = (candidates == first) & is_own
  luck = filtering.gumbels_below(
    jnp.take_along_axis(base, candidates, axis=1), noise[:, 1:], greatest
  )
  is_guided = jnp.isfinite(eta).any(axis=1, keepdims=True)
  luck = jnp.where(is_guided & is_own, luck, -jnp.inf)
  luck = jnp.where(is_first, greatest, luck)
  order = jnp.argsort(-luck, axis=1)

  def sort(x):
    return jnp.take_along_axis(x, order, axis=1)

  is_outside = ~is_first.any(axis=1, keepdims=True)
  outsider = jnp.where(is_outside, greatest, -jnp.inf)
  tokens = jnp.concatenate([first, sort(candidates)], axis=1)
  return Race(
    tokens=tokens,
    luck=jnp.concatenate([outsider, sort(luck)], axis=1),
    log_probs=jnp.take_along_axis(base, tokens, axis=1),
    scores=jnp.broadcast_to(guidance.bound(eta), candidates.shape),
    num_scored=jnp.zeros(len(base), jnp.int32),
  )


def resume(waiting: Race, begun: Race) -> Race:
  """Rows that wait for more scores go on; the others begin."""
  is_waiting = waiting.num_scored > 0

  def choose(old: Array, new: Array) -> Array:
    return jnp.where(is_waiting.reshape(-1, *[1] * (new.ndim - 1)), old, new)

  return jax.tree.map(choose, waiting, begun)


def lead(
  guidance: guided.Guidance | choice.Rows, race: Race, other: Array
) -> tuple[Array, Array]:
  """Who leads, and whether nobody can overtake any more.

  Args:
    guidance: knows what the score of other tokens depends on.
    race: with the scores so far.
    other: the score of tokens that are no candidates, at most. Shape [B].

  Returns:
    The leader's column, and whether it has won. Shapes [B].
  """
  reach = race.luck + jnp.concatenate([other[:, None], race.scores], axis=1)
  column = jnp.argmax(reach, axis=1)
  is_known = column <= race.num_scored
  if guidance.is_floored:  # by the worst of all candidates
    num_candidates = race.scores.shape[1]
    is_known &= (column > 0) | (race.num_scored == num_candidates)
  return column, is_known | race.is_alone


def leave(race: Race, is_settled: Array) -> Race:
  """The same race, over in rows where it is settled [B]."""
  num_scored = jnp.where(is_settled, 0, race.num_scored)
  return race.replace(num_scored=num_scored)


def row_keys(controls: policy_lib.Controls, steps: Array) -> Array:
  """A key a row, that depends on its seed and own step [B] only.

  After the switch the stream is another one: a switch chosen by looking at a
  completion must not be followed by the same luck.
  """

  def make(seed: Array, guided_steps: Array, step: Array) -> Array:
    key = jax.random.fold_in(jax.random.key(seed), step)
    return jax.random.fold_in(key, step >= guided_steps)

  return jax.vmap(make)(controls.seeds, controls.guided_steps, steps)


def _gumbels(keys: Array, names: Array) -> Array:
  """A standard Gumbel number for each of a row's names, [B, n] uint32.

  A token's name is its own, not its rank, which may change places with that of
  a near equal.
  """

  def draw(key, name):
    return jax.random.gumbel(jax.random.fold_in(key, name))

  return jax.vmap(jax.vmap(draw, (None, 0)))(keys, names)
