"""Log-probabilities of a prompt's own tokens under the reference."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from qsharp_jax import models
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.generate import next_token

_CHUNK = 128  # tokens whose logits [V] exist at one time


def score(
  model: models.LanguageModel,
  params: PyTree,
  tokens: Sequence[int],
  *,
  width: int,
  num_top: int,
) -> tuple[np.ndarray, next_token.Top]:
  """Scores every token but the first by those before it, at temperature 1.

  Args:
    model: the reference.
    params: its parameters.
    tokens: T of them, T >= 1.
    width: to which they are padded; a program each.
    num_top: k, alternatives to every token.

  Returns:
    Log-probabilities [T - 1], and the likeliest tokens [T - 1, k].
  """
  row = np.zeros((1, width), np.int32)
  row[0, : len(tokens)] = tokens
  places = np.arange(width, dtype=np.int32)[None]
  places = np.where(places < len(tokens), places, -1)
  found = jax.device_get(_score(model, params, row, places, num_top))

  def cut(x):
    return x[: len(tokens) - 1]

  return cut(found[0]), jax.tree.map(cut, found[1])


@functools.partial(jax.jit, static_argnames=("model", "num_top"))
def _score(
  model: models.LanguageModel,
  params: PyTree,
  tokens: Array,
  positions: Array,
  num_top: int,
) -> tuple[Array, next_token.Top]:
  hidden, _ = model.apply(params, tokens, positions, method="hidden")

  def one(x: tuple[Array, Array]) -> tuple[Array, next_token.Top]:
    hidden, token = x
    logits = model.apply(params, hidden[None], method="logits")[0]
    log_probs = jax.nn.log_softmax(logits.astype(jnp.float32))
    values, ids = jax.lax.top_k(log_probs, num_top)
    return log_probs[token], next_token.Top(ids, values)

  pairs = hidden[0, :-1], tokens[0, 1:]
  return jax.lax.map(one, pairs, batch_size=_CHUNK)
