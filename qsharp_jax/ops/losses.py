"""Losses per token, and the weights with which tokens are summed.

No loss reduces: the weights decide what a mean is over, and gradient
accumulation adds numerators and denominators before it divides.
"""

import chex
import jax
import jax.numpy as jnp

from qsharp_jax.core.arrays import Array


def bernoulli(logits: Array, targets: Array) -> Array:
  """Cross-entropy of a Bernoulli distribution against a success probability.

  Args:
    logits: log-odds of success. Shape [...].
    targets: success labels, soft ones too, in [0, 1]. Shape [...].

  Returns:
    Nats, >= 0, float32. Shape [...].
  """
  chex.assert_type([logits, targets], float)
  chex.assert_equal_shape([logits, targets])
  logits = logits.astype(jnp.float32)
  # Two softplus, not one minus `targets * logits`, which cancels: a confident
  # right answer would cost exactly 0 and teach nothing.
  success, failure = jax.nn.softplus(-logits), jax.nn.softplus(logits)
  return targets * success + (1 - targets) * failure


def categorical(logits: Array, targets: Array) -> Array:
  """Cross-entropy of a categorical distribution against one on the same atoms.

  Args:
    logits: finite logits of the atoms, any offset. Shape [..., K].
    targets: probabilities, e.g. from `distributions.two_hot`. Shape [..., K].

  Returns:
    Nats, float32; least, not 0, where the distributions agree. Shape [...].
  """
  chex.assert_type([logits, targets], float)
  chex.assert_equal_shape([logits, targets])
  log_probs = jax.nn.log_softmax(logits.astype(jnp.float32))
  return -jnp.sum(targets * log_probs, axis=-1)


def squared_error(predictions: Array, targets: Array) -> Array:
  """Squared error of a predicted mean.

  Args:
    predictions: means, in reward units. Shape [...].
    targets: rewards. Shape [...].

  Returns:
    Reward units squared, float32. Shape [...].
  """
  chex.assert_type([predictions, targets], float)
  chex.assert_equal_shape([predictions, targets])
  return jnp.square(predictions.astype(jnp.float32) - targets)


def next_token(logits: Array, tokens: Array) -> Array:
  """Negative log-likelihood of tokens, each already aligned to its logits.

  Args:
    logits: logits, any offset. Shape [..., V].
    tokens: the tokens that came, in [0, V). Shape [...], integer.

  Returns:
    Nats, float32. Shape [...].
  """
  chex.assert_rank(logits, tokens.ndim + 1)
  chex.assert_type([logits, tokens], [float, int])
  chex.assert_equal_shape_prefix([logits, tokens], tokens.ndim)
  # Gather first: a log-softmax would write a second [..., V] array.
  logits = logits.astype(jnp.float32)
  chosen = jnp.take_along_axis(logits, tokens[..., None], axis=-1)[..., 0]
  return jax.nn.logsumexp(logits, axis=-1) - chosen


def sequence_weights(mask: Array, segments: Array) -> Array:
  """Token weights under which every sequence of a packed row counts once.

  Args:
    mask: which tokens carry a loss, boolean or 0/1. Shape [B, T].
    segments: the sequence of its row that each token belongs to, from 1 to T;
      0 is padding and gets no weight. Shape [B, T], integer.

  Returns:
    Weights, float32. Shape [B, T]. They sum to 1 over each segment with a
    masked-in token, and are 0 over the others.
  """
  chex.assert_rank([mask, segments], 2)
  chex.assert_type(segments, int)
  chex.assert_equal_shape([mask, segments])
  counted = jnp.where(segments > 0, mask.astype(jnp.float32), 0)
  num_segments = segments.shape[1] + 1

  def sizes(counted_row: Array, segments_row: Array) -> Array:
    return jax.ops.segment_sum(counted_row, segments_row, num_segments)

  size = jnp.take_along_axis(jax.vmap(sizes)(counted, segments), segments, 1)
  return counted / jnp.maximum(size, 1)


def weighted_sum(values: Array, weights: Array) -> tuple[Array, Array]:
  """Numerator and denominator of a weighted mean.

  Args:
    values: values; what has weight 0 is never read, so it may be NaN.
      Shape [...].
    weights: weights, >= 0. Shape [...].

  Returns:
    The sum of the weighted values and the sum of the weights. Scalars. Add
    both over batches and devices, then divide: a mean of means is not a mean.
  """
  chex.assert_type([values, weights], float)
  chex.assert_equal_shape([values, weights])
  values = jnp.where(weights > 0, values, 0)
  return jnp.sum(weights * values), jnp.sum(weights)
