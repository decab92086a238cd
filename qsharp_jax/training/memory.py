"""Memory of a training step, predicted before any of it is allocated.

Parameters, moments and gradients are counted from their shapes, exactly; what
the backward pass keeps is an estimate, made for the TPU's compiler. It lies a
little above that compiler's own figure, which finds more to compute twice.
"""

import dataclasses
from collections.abc import Callable, Sequence

import jax.numpy as jnp
from flax import linen as nn

from qsharp_jax import models
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import memory
from qsharp_jax.models import attention, cudnn
from qsharp_jax.models import config as config_lib
from qsharp_jax.sharding import rules

_MOMENTS = 2  # of Adam, for each parameter
_LOGITS_TABLES = 3  # arrays [rows, length, vocabulary] of float32 at once
_GB = 1e9


@dataclasses.dataclass(frozen=True)
class Needed:
  """Bytes on one device, by what they are for."""

  state: int  # parameters and moments
  gradients: int  # and their sum over micro-batches
  activations: int  # that the backward pass reads
  beside: int  # what stays in memory all the while

  @property
  def total(self) -> int:
    """Bytes in all."""
    return self.state + self.gradients + self.activations + self.beside


def needed(
  trained: Sequence[nn.Module],
  *,
  rows: int,
  length: int,
  num_microbatches: int = 1,
  mesh: memory.Mesh = None,
  beside: int = 0,
) -> Needed:
  """Most bytes held at once while a step is made.

  Args:
    trained: language or value models, trained together.
    rows: packed rows of a batch.
    length: of a row, in tokens.
    num_microbatches: one after the other.
    mesh: of the devices; None is one device.
    beside: bytes of whatever else stays on the device.

  Returns:
    The prediction, for one device.
  """
  size = sum(map(lambda model: _weights(model, mesh), trained))
  parts = memory.share(rows, mesh=mesh, axes=("data", "fsdp"))
  tokens = -(-parts // num_microbatches) * length
  return Needed(
    state=(1 + _MOMENTS) * size,
    gradients=(1 + (num_microbatches > 1)) * size,
    activations=sum(_kept(model, tokens, length, mesh) for model in trained),
    beside=beside,
  )


def fewest_microbatches(
  name: str,
  predict: Callable[[int], Needed],
  *,
  num_rows: int,
  wanted: int,
  available: int,
) -> int:
  """As many micro-batches as are wanted, or more, so that a step has room.

  Args:
    name: of the `Fit` in the config, such as `fit`.
    predict: from a number of micro-batches to what it needs.
    num_rows: of a batch that each device has, which they cut.
    wanted: the least number, which divides the rows.
    available: bytes of a device.

  Raises:
    InputError: not even single rows fit.
  """
  for number in range(wanted, num_rows + 1):
    if num_rows % number == 0 and predict(number).total <= available:
      return number
  found = predict(num_rows)
  raise InputError(
    f"training with {name} needs {found.total / _GB:.3g} GB (parameters and "
    f"moments {found.state / _GB:.3g}, gradients {found.gradients / _GB:.3g}, "
    f"activations {found.activations / _GB:.3g}, beside them "
    f"{found.beside / _GB:.3g}) on each device, which has "
    f"{available / _GB:.3g}, row by row: lower {name}.max_length, spread the "
    "model over more devices (--config.mesh) or take a smaller one"
  )


def _weights(model: nn.Module, mesh: memory.Mesh) -> int:
  """Of a model in training, in float32 whatever it computes in."""
  config = dataclasses.replace(model.config, param_dtype="float32")
  own = model.clone(config=config)
  return memory.parameter_bytes(own, mesh, rules.TRAINING)


def _kept(model: nn.Module, tokens: int, length: int, mesh: memory.Mesh) -> int:
  """What the backward pass of a micro-batch reads, and the widest of it."""
  own = memory.on_one_device(model.config, mesh)
  size = jnp.dtype(own.dtype).itemsize
  layer = _layer_bytes(own, length, size)
  num_kept = 1 if own.remat else own.num_layers
  inputs = own.width * size * own.num_layers if own.remat else 0
  # Scores of one layer are there twice more, before and after the softmax.
  widest = 2 * own.num_heads * _kept_keys(own, length) * 4
  logits = 0
  if isinstance(model, models.LanguageModel):
    logits = _LOGITS_TABLES * own.vocab_size * 4
  return tokens * (num_kept * layer + inputs + max(widest, logits))


def _kept_keys(config: config_lib.DecoderConfig, length: int) -> int:
  """Keys of which the scores of a token are in memory, on average.

  Those of one block of queries, which are computed again, are shared by all.
  """
  queries = length, config.num_heads, config.head_width
  if cudnn.takes(queries, config.dtype, config.attention_softcap):
    return 0
  return attention.BLOCK if attention.is_in_blocks(length) else length


def _layer_bytes(
  config: config_lib.DecoderConfig, length: int, size: int
) -> int:
  """Of one token in one layer: weights of attention, both branches, inputs.

  A capped score is kept beside its weight; a norm keeps what goes in and out.
  """
  scores = config.num_heads * _kept_keys(config, length) * 4
  if config.attention_softcap is not None:
    scores *= 2
  wide = 4 * (config.mlp_width + config.width)
  if config.pre_norm and config.post_norm:
    wide += 4 * config.width
  if config.qk_norm is not None:
    num_heads = config.num_heads + config.num_kv_heads
    wide += 2 * num_heads * config.head_width
  return scores + size * wide
