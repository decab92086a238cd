"""Rewards of sampled tokens that need no text: pure functions of their ids.

Each maps tokens [B, M], of which a row's first `lengths` count, to the reward
of every token [B, M]. What a whole completion earns stands at its last token,
so that sums from a token on (`to_go`) are rewards-to-go whatever the reward.
"""

from typing import NamedTuple

import chex
import jax.numpy as jnp

from qsharp_jax.core.arrays import Array


class Listed(NamedTuple):
  """Completions that earn something, N for each prompt; all others earn 0.

  Attributes:
    completions: tokens, each completion once; -1 behind their ends. Shape
      [B, N, L], int32.
    rewards: of each, in reward units. Shape [B, N], float32.
  """

  completions: Array
  rewards: Array


def is_written(tokens: Array, lengths: Array) -> Array:
  """Which of the tokens [B, M] are among a row's first `lengths` [B]."""
  chex.assert_rank([tokens, lengths], [2, 1])
  chex.assert_type([tokens, lengths], int)
  chex.assert_equal_shape_prefix([tokens, lengths], 1)
  return jnp.arange(tokens.shape[1])[None] < lengths[:, None]


def at_end(tokens: Array, lengths: Array, rewards: Array) -> Array:
  """The reward [B] of each row at its last token.

  Args:
    tokens: sampled tokens. Shape [B, M], int32.
    lengths: how many of them count. Shape [B], int32.
    rewards: of whole rows, in reward units. Shape [B], float32.
  """
  chex.assert_rank(rewards, 1)
  chex.assert_type(rewards, float)
  chex.assert_equal_shape([lengths, rewards])
  is_next = is_written(tokens, lengths - 1)
  is_last = is_written(tokens, lengths) & ~is_next
  return jnp.where(is_last, rewards[:, None], 0.0)


def by_token(tokens: Array, lengths: Array, table: Array) -> Array:
  """What a table pays for each token, whatever stands before it.

  Args:
    tokens: sampled tokens. Shape [B, M], int32.
    lengths: how many of them count. Shape [B], int32.
    table: pay of each token, in reward units, of each row. Shape [B, V].
  """
  chex.assert_rank(table, 2)
  chex.assert_type(table, float)
  chex.assert_equal_shape_prefix([tokens, table], 1)
  is_paid = is_written(tokens, lengths)
  paid = jnp.take_along_axis(table, tokens, axis=1)
  return jnp.where(is_paid, paid, 0.0)


def listed(
  tokens: Array,
  lengths: Array,
  answers: Listed,
  *,
  silent: tuple[int, ...] = (),
) -> Array:
  """What a table of completions pays for the one that was sampled.

  With one completion, the right path through a graph, and a reward of 1, this
  is what `rewards.graders.path` says of the text.

  Args:
    tokens: sampled tokens. Shape [B, M], int32.
    lengths: how many of them count. Shape [B], int32.
    answers: the table of each row.
    silent: tokens that have no text, such as the end of a text; completions
      are compared without them.

  Returns:
    The reward at the last token of a row, float32. Shape [B, M].
  """
  chex.assert_rank([answers.completions, answers.rewards], [3, 2])
  chex.assert_type([answers.completions, answers.rewards], [int, float])
  said = is_written(tokens, lengths)
  said &= ~jnp.isin(tokens, jnp.array(silent, jnp.int32))
  # The place of a token among those that are said; N tables share it.
  places = jnp.maximum(jnp.cumsum(said, axis=1, dtype=jnp.int32) - 1, 0)
  last = answers.completions.shape[2] - 1
  expected = jnp.take_along_axis(
    answers.completions, jnp.minimum(places, last)[:, None], axis=2
  )
  is_right = (expected == tokens[:, None]) | ~said[:, None]
  sizes = (answers.completions >= 0).sum(axis=2, dtype=jnp.int32)
  num_said = said.sum(axis=1, dtype=jnp.int32)
  is_it = is_right.all(axis=2) & (num_said[:, None] == sizes)
  return at_end(
    tokens, lengths, jnp.where(is_it, answers.rewards, 0.0).sum(axis=1)
  )


def to_go(rewards: Array) -> Array:
  """Rewards [B, M] of tokens, summed from each token to the end. [B, M]."""
  chex.assert_rank(rewards, 2)
  chex.assert_type(rewards, float)
  return jnp.flip(jnp.cumsum(jnp.flip(rewards, axis=1), axis=1), axis=1)
