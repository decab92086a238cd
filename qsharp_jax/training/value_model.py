"""The value model as a critic: what it says of every token, and of answers."""

import dataclasses
import functools
import os
from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

import jax
import numpy as np

from qsharp_jax import data, models
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core import errors
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import guided
from qsharp_jax.ops import distributions, readout
from qsharp_jax.sharding import layout as layout_lib
from qsharp_jax.training import objectives
from qsharp_jax.training import rows as rows_lib


@dataclasses.dataclass(frozen=True)
class Critic:
  """A value model and what its logits mean; equal by content."""

  model: models.ValueModel
  loss: readout.Loss
  atoms: tuple[float, ...] | None = None  # K, of a categorical distribution

  def mean(self, logits: Array) -> Array:
    """Mean rewards-to-go [...] of value logits [..., K]."""
    return readout.mean(logits, loss=self.loss, atoms=self.atoms)

  def token_loss(self, logits: Array, labels: Array) -> Array:
    """Losses [...] of value logits [..., K] at labels [...]."""
    return readout.token_loss(logits, labels, loss=self.loss, atoms=self.atoms)

  def guidance(self, kind: guided.Kind) -> guided.Guidance:
    """Guidance by what the logits mean."""
    return guided.Guidance(kind, self.loss, self.atoms)

  @property
  def meaning(self) -> dict[str, Any]:
    """What a saved model says of its logits, see `saved_critic`."""
    ends = None if self.atoms is None else [self.atoms[0], self.atoms[-1]]
    return {"loss": self.loss, "support": ends}


def saved_critic(path: str | os.PathLike, *, dtype: str = "float32") -> Critic:
  """The shape of a saved value model, and what its logits mean.

  Args:
    path: of the model, which says what its loss and its support were.
    dtype: of activations and parameters.

  Raises:
    InputError: another model, or one that does not say.
  """
  raw = huggingface.read_config(path)
  head = huggingface.saved_head(raw)
  if head is None:
    raise InputError(
      f"{path} is no value model; expected the round_N/value of a run"
    )
  said = huggingface.value_meaning(raw)
  loss = said.get("loss", "bernoulli" if head.num_atoms == 1 else None)
  ends = said.get("support")
  if loss not in get_args(readout.Loss) or (
    loss == "categorical" and not _is_interval(ends)
  ):
    raise InputError(
      f"{path}/config.json says of its value head: {errors.short(dict(said))}; "
      "expected the loss, and of a categorical one the ends of its support"
    )
  atoms = None
  if loss == "categorical":
    atoms = tuple(distributions.support(*ends, head.num_atoms).tolist())
  decoder = huggingface.families.from_hf(raw, dtype=dtype, param_dtype=dtype)
  return Critic(models.ValueModel(decoder, head), loss, atoms)


def saved_stops(path: str | os.PathLike) -> tuple[str, ...]:
  """The strings that ended answers when a saved value model was trained.

  Raises:
    InputError: something else than a list of texts is said of them.
  """
  said = huggingface.value_meaning(huggingface.read_config(path))
  stops = said.get("stop", [])
  if not isinstance(stops, list) or not all(isinstance(s, str) for s in stops):
    raise InputError(
      f"{path}/config.json says of strings that end an answer: "
      f"{errors.short(stops)}; expected a list of texts"
    )
  return tuple(stops)


def _is_interval(ends: object) -> bool:
  """Whether these are two numbers in order."""
  return (
    isinstance(ends, list)
    and len(ends) == 2
    and all(type(end) in (int, float) for end in ends)
    and ends[0] < ends[1]
  )


def predict(
  critic: Critic,
  params: PyTree,
  rows: data.Packed,
  *,
  batch_size: int,
  layout: layout_lib.Layout,
  name: str = "predicting",
) -> tuple[np.ndarray, np.ndarray]:
  """Mean reward-to-go and training loss of every token. Two arrays [R, T]."""
  found = rows_lib.over_rows(
    functools.partial(_assessed, critic, params, of_means=True),
    rows,
    batch_size=batch_size,
    layout=layout,
    name=name,
  )
  return found.mean, found.loss


class Assessment(NamedTuple):
  """What values said of every token of rows [R, T], beside its label.

  Attributes:
    mean: mean reward-to-go. [R, T].
    loss: training loss. [R, T].
    crps: continuous ranked probability score; None of means alone. [R, T].
    pit_lower: of both atoms next to the label, see `ops.distributions`;
      None of means alone. [R, T, 2].
    pit_upper: likewise.
    pit_weights: of the two atoms. [R, T, 2].
  """

  mean: np.ndarray
  loss: np.ndarray
  crps: np.ndarray | None = None
  pit_lower: np.ndarray | None = None
  pit_upper: np.ndarray | None = None
  pit_weights: np.ndarray | None = None

  def at(self, mask: np.ndarray) -> "Assessment":
    """The tokens of a mask [R, T], as flat columns."""
    return Assessment(*(x if x is None else x[mask] for x in self))


def assess(
  critic: Critic,
  params: PyTree,
  rows: data.Packed,
  *,
  batch_size: int,
  layout: layout_lib.Layout,
) -> Assessment:
  """How well a value model forecasts the labels of packed rows."""
  return rows_lib.over_rows(
    functools.partial(_assessed, critic, params, of_means=False),
    rows,
    batch_size=batch_size,
    layout=layout,
    name="measuring values",
  )


@functools.partial(jax.jit, static_argnames=("critic", "of_means"))
def _assessed(
  critic: Critic, params: PyTree, batch: objectives.Batch, of_means: bool
) -> Assessment:
  """The assessment of a batch, whole or of its means alone."""
  logits = critic.model.apply(
    params, batch["tokens"], batch["positions"], batch["segments"]
  )
  labels = batch["labels"]
  found = Assessment(critic.mean(logits), critic.token_loss(logits, labels))
  if of_means or critic.loss == "squared_error":
    return found
  forecast = readout.distribution(logits, loss=critic.loss, atoms=critic.atoms)
  bounds, weights = distributions.projected_pit(*forecast, labels)
  return found._replace(
    crps=distributions.crps(*forecast, labels),
    pit_lower=bounds.lower,
    pit_upper=bounds.upper,
    pit_weights=weights,
  )


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
  means, _ = predict(
    critic, params, rows, batch_size=batch_size, layout=layout, name="judging"
  )
  ids = rows.sequence_ids
  after = np.pad(ids[:, 1:], ((0, 0), (0, 1)), constant_values=-1)
  is_last = (ids >= 0) & (ids != after)
  values = np.zeros(len(sequences))
  values[ids[is_last]] = means[is_last]
  return values
