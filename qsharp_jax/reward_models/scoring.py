"""Scores of texts by a sequence classifier, in batches of like length.

A text's score does not depend on what else is scored: how far it is padded
follows from its own length, and batches of one length have one size. So the
score of a text is the same in whatever order, after an interruption, and alone.
"""

import dataclasses
import functools
import os
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from qsharp_jax import models, sharding
from qsharp_jax.checkpoint import classifiers
from qsharp_jax.core import progress
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import memory
from qsharp_jax.sharding import rules

_SHORTEST = 32  # tokens, of a padded row
_TOKENS = 16_384  # of a batch, padding included
_ROWS = 32  # the most of a batch


@dataclasses.dataclass(frozen=True)
class Scorer:
  """A classifier of one label, placed on the devices.

  Attributes:
    model: its shape.
    params: its parameters, cut over all mesh axes that cut weights.
    layout: where it lies.
  """

  model: models.ValueModel
  params: PyTree
  layout: sharding.Layout

  @property
  def max_length(self) -> int:
    """The longest text that it can read, in tokens."""
    return self.model.config.max_length

  def scores(self, sequences: Sequence[Sequence[int]]) -> np.ndarray:
    """The logit of each text's last token.

    Args:
      sequences: token ids of each text, at least one and at most `max_length`.

    Returns:
      Scores, unbounded. Shape [S], float32.
    """
    found = np.zeros(len(sequences), np.float32)
    shown = progress.bar(
      None, "scoring", total=len(sequences), unit="text", is_short=True
    )
    with self.layout.context(), shown:
      for rows, width in self._batches([len(s) for s in sequences]):
        num_rows = _num_rows(width, self.layout)
        tokens = np.zeros((num_rows, width), np.int32)
        lengths = np.zeros(num_rows, np.int32)
        for i, row in enumerate(rows):
          lengths[i] = len(sequences[row])
          tokens[i, : lengths[i]] = sequences[row]
        batch = self.layout.place((tokens, lengths))
        scores = jax.device_get(_last_scores(self.model, self.params, *batch))
        found[rows] = scores[: len(rows)]
        shown.update(len(rows))
    return found

  def _batches(self, lengths: Sequence[int]) -> Iterator[tuple[list[int], int]]:
    """Which texts are read together, and how long their rows are."""
    by_width: dict[int, list[int]] = {}
    for i, length in enumerate(lengths):
      by_width.setdefault(_width(length, self.max_length), []).append(i)
    for width, rows in sorted(by_width.items()):
      size = _num_rows(width, self.layout)
      for start in range(0, len(rows), size):
        yield rows[start : start + size], width


def load(
  directory: str | os.PathLike,
  layout: sharding.Layout,
  *,
  dtype: str = "float32",
) -> Scorer:
  """A reward model, read onto the devices of a layout.

  Args:
    directory: of a sequence classifier with one label, or a Hub name.
    layout: of this host's devices, see `Layout.of_host`.
    dtype: of the parameters and of products.

  Raises:
    InputError: no classifier, one of several labels, or weights that cannot be
      read.
  """
  model = describe(directory, dtype=dtype)
  _, _, params = classifiers.load(
    directory,
    dtype=dtype,
    param_dtype=dtype,
    shardings=layout.for_training(model),
  )
  return Scorer(model, params, layout)


def describe(
  directory: str | os.PathLike, *, dtype: str = "float32"
) -> models.ValueModel:
  """A reward model's shape; no weights are read.

  Raises:
    InputError: no classifier, or one of several labels.
  """
  config, head = classifiers.describe(directory, dtype=dtype, param_dtype=dtype)
  if head.num_atoms != 1:
    raise InputError(
      f"{directory} is a sequence classifier with {head.num_atoms} labels; "
      "expected a reward model, which has one: take another, or one trained "
      "with num_labels=1"
    )
  return models.ValueModel(config, head)


def needed(
  model: models.ValueModel, layout: sharding.Layout, length: int
) -> int:
  """Bytes that scoring holds on each device, weights included.

  Args:
    model: the classifier.
    layout: of its devices.
    length: of the longest text, in tokens.
  """
  width = _width(min(length, model.config.max_length), model.config.max_length)
  rows = memory.share(
    _num_rows(width, layout), mesh=layout.mesh, axes=("data", "fsdp")
  )
  own = memory.on_one_device(model.config, layout.mesh)
  weights = memory.parameter_bytes(model, layout.mesh, rules.TRAINING)
  return weights + memory.reading_bytes(own, rows, width)


@functools.partial(jax.jit, static_argnames="model")
def _last_scores(
  model: models.ValueModel, params: PyTree, tokens: Array, lengths: Array
) -> Array:
  """Scores [B] of texts [B, T] that begin their rows, by their lengths [B]."""
  steps = jnp.arange(tokens.shape[1], dtype=jnp.int32)[None]
  positions = jnp.where(steps < lengths[:, None], steps, -1)
  logits = model.apply(params, tokens, positions)
  last = jnp.maximum(lengths - 1, 0)
  return jnp.take_along_axis(logits[..., 0], last[:, None], axis=1)[:, 0]


def _width(length: int, longest: int) -> int:
  """How long a row of so many tokens gets: 32, 48, 64, 96, 128 and so on."""
  width = _SHORTEST
  while width < length:
    is_power = width & (width - 1) == 0
    width += width // 2 if is_power else width // 3
  return min(width, longest)


def _num_rows(width: int, layout: sharding.Layout) -> int:
  """Rows of a batch: so many that the devices share them evenly."""
  num_parts = layout.num_row_parts
  wanted = max(1, min(_ROWS, _TOKENS // width))
  return -(-wanted // num_parts) * num_parts
