"""How good are the values? Loss, variance explained, ROC-AUC, calibration."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from qsharp_jax import data, models, training
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.evaluation import calibration
from qsharp_jax.pipeline import layout as layout_lib
from qsharp_jax.sharding import processes


@dataclasses.dataclass(frozen=True, eq=False)  # atoms are not comparable
class Critic:
  """A value model and what its logits mean."""

  model: models.ValueModel
  loss: training.objectives.ValueLoss
  atoms: Array | None = None  # [K], of a categorical law

  @property
  def mean(self) -> Callable[[Array], Array]:
    """Value logits [..., K] to mean rewards-to-go [...]."""
    return training.objectives.value_mean(self.loss, self.atoms)

  @property
  def token_loss(self) -> Callable[[Array, Array], Array]:
    """Value logits [..., K] and labels [...] to losses [...]."""
    return training.objectives.value_token_loss(self.loss, self.atoms)


def predict(
  critic: Critic,
  params: PyTree,
  rows: data.Packed,
  *,
  batch_size: int,
  layout: layout_lib.Layout,
) -> tuple[np.ndarray, np.ndarray]:
  """Mean reward-to-go and training loss of every token. Two arrays [R, T]."""
  forward = _forward(critic)
  parts = []
  for start in range(0, len(rows.tokens), batch_size):
    batch = {
      name: _whole(field[start : start + batch_size], batch_size, filler)
      for name, field, filler in zip(
        rows._fields, rows, data.packing.PADDING, strict=True
      )
      if name not in ("mask", "sequence_ids")
    }
    parts.append(processes.fetch(forward(params, **layout.place(batch))))
  means, losses = (
    np.concatenate(x)[: len(rows.tokens)] for x in zip(*parts, strict=True)
  )
  return means, losses


@functools.lru_cache(maxsize=8)  # the same program for the same critic
def _forward(critic: Critic) -> Callable[..., tuple[Array, Array]]:
  """Means and losses of a batch, compiled."""

  @jax.jit
  def forward(params, tokens, positions, segments, labels):
    logits = critic.model.apply(params, tokens, positions, segments)
    return critic.mean(logits), critic.token_loss(logits, labels)

  return forward


def final_values(
  critic: Critic,
  params: PyTree,
  sequences: Sequence[Sequence[int]],
  *,
  length: int,
  batch_size: int,
  layout: layout_lib.Layout,
) -> np.ndarray:
  """Mean reward of whole sequences, read at their last token. Shape [S]."""
  rows = data.packing.pack(
    [
      data.Sequence(
        np.asarray(s, np.int32), np.zeros(len(s), bool), np.zeros(len(s))
      )
      for s in sequences
    ],
    length=length,
  )
  means, _ = predict(critic, params, rows, batch_size=batch_size, layout=layout)
  ids = rows.sequence_ids
  after = np.pad(ids[:, 1:], ((0, 0), (0, 1)), constant_values=-1)
  is_last = (ids >= 0) & (ids != after)
  values = np.zeros(len(sequences))
  values[ids[is_last]] = means[is_last]
  return values


def metrics(
  predictions: np.ndarray,
  losses: np.ndarray,
  rows: data.Packed,
  prompt_lengths: Sequence[int],
) -> dict[str, Any]:
  """Metrics of means and losses [R, T] from `predict`, over labelled tokens.

  `prompt_lengths` are those of the packed sequences: the calibration by
  position counts response tokens, in bins that double.

  Labels above 1/2 count as success for `roc_auc` and the calibration error,
  which are meant for rewards in [0, 1].
  """
  values, labels = predictions[rows.mask], rows.labels[rows.mask]
  is_success = labels > 0.5
  clipped = np.clip(values, 0.0, 1.0)
  starts = np.asarray(prompt_lengths)[rows.sequence_ids[rows.mask]]
  positions = rows.positions[rows.mask] - starts
  edges = [0, *(2**i for i in range(int(positions.max()).bit_length() + 1))]
  bins = calibration.by_position(clipped, is_success, positions, edges=edges)
  return {
    "tokens": int(values.size),
    "loss": float(losses[rows.mask].mean()),
    "explained_variance": calibration.explained_variance(values, labels),
    "roc_auc": calibration.roc_auc(values, is_success),
    "calibration_error": calibration.expected_calibration_error(
      clipped, is_success
    ),
    "by_position": [dataclasses.asdict(entry) for entry in bins if entry.count],
  }


def _whole(x: np.ndarray, size: int, filler: np.generic) -> np.ndarray:
  """Rows completed with padding, so that one program serves all batches."""
  tail = np.full((size - len(x), *x.shape[1:]), filler, x.dtype)
  return np.concatenate([x, tail])
