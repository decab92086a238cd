"""Reward models trained on preferences: utilities of a contest."""

import os
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from absl import logging

from qsharp_jax import data, models, sharding, training
from qsharp_jax.checkpoint import huggingface, saving
from qsharp_jax.core import places
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.data.preferences import Preference
from qsharp_jax.ops import losses
from qsharp_jax.ops import preferences as preference_ops
from qsharp_jax.reward_models import scoring, texts
from qsharp_jax.training import fit as fit_lib
from qsharp_jax.training import objectives


def objective(
  model: models.ValueModel, *, centring: float = 0.0
) -> objectives.Objective:
  """The Bradley-Terry loss of pairs, every pair of equal weight.

  Args:
    model: a value model of one logit with a V-type head.
    centring: see `ops.preferences.bradley_terry`.

  Returns:
    The objective. Batches are those of `pack`.
  """

  def pair_losses(
    params: PyTree, batch: objectives.Batch
  ) -> tuple[Array, Array]:
    scores = model.apply(
      params, batch["tokens"], batch["positions"], batch["segments"]
    )[..., 0]

    def read(values, segment):
      return jnp.sum(
        jnp.where(batch["mask"] & (batch["segments"] == segment), values, 0.0),
        axis=1,
      )

    of_pairs = preference_ops.bradley_terry(
      read(scores, 1),
      read(scores, 2),
      read(batch["labels"], 1),
      centring=centring,
    )
    # A row of padding, which completes a batch, is no pair.
    is_pair = jnp.any(batch["mask"], axis=1)
    return losses.weighted_sum(of_pairs, is_pair.astype(jnp.float32))

  return pair_losses


def pack(
  preferences: Sequence[Preference],
  tokenizer: data.Tokenizer,
  *,
  length: int,
  has_margin: bool = False,
) -> data.Packed:
  """Preferences as rows of two texts, read at the last token of each.

  Those that exceed a row are left out, and said.

  Args:
    preferences: at least one that fits.
    tokenizer: of the reward model, which writes texts by its own template.
    length: of a row, in tokens.
    has_margin: the label of the chosen text is the preference's margin.

  Raises:
    InputError: none fits, one without a margin where one is wanted, or one that
      cannot be turned into tokens.
  """
  pairs = [_pair(x, tokenizer, has_margin) for x in preferences]
  sizes = [len(p.chosen.tokens) + len(p.rejected.tokens) for p in pairs]
  kept = [p for p, size in zip(pairs, sizes, strict=True) if size <= length]
  if not kept:
    raise InputError(
      f"none of {len(pairs)} preferences fits a row of {length} tokens; "
      f"expected at least one: the shortest takes {min(sizes, default=0)}, "
      "raise max_length"
    )
  if len(kept) < len(pairs):
    logging.warning(
      "%d of %d preferences exceed a row of %d tokens and are left out",
      *(len(pairs) - len(kept), len(pairs), length),
    )
  return data.pair_packing.pack_pairs(kept, length=length)


def _pair(
  preference: Preference, tokenizer: data.Tokenizer, has_margin: bool
) -> data.pair_packing.Pair:
  margin = preference.margin if has_margin else 0.0
  try:
    if margin is None or margin < 0:
      raise InputError(
        f"its margin is {margin}; expected a number >= 0 of each: leave "
        "margins out, or give them"
      )
    sides = [
      _at_the_end(texts.tokens(tokenizer, preference.question, answer), margin)
      for answer in (preference.chosen, preference.rejected)
    ]
  except InputError as error:
    raise InputError(f"preference {preference.id}: {error}") from error
  return data.pair_packing.Pair(*sides, 1.0, 0.0)


def _at_the_end(tokens: Sequence[int], label: float) -> data.Sequence:
  """A sequence whose last token alone is read."""
  is_last = np.arange(len(tokens)) == len(tokens) - 1
  labels = np.where(is_last, np.float32(label), np.float32(0))
  return data.Sequence(np.asarray(tokens, np.int32), is_last, labels)


def train(
  start: str | os.PathLike,
  rows: data.Packed,
  how: fit_lib.Fit,
  layout: sharding.Layout,
  directory: places.Path,
  *,
  centring: float = 0.0,
  dtype: str = "float32",
) -> tuple[models.ValueModel, PyTree]:
  """Trains a reward model; a second call goes on from the newest checkpoint.

  Args:
    start: a language model, whose new head starts from zeros, or a reward
      model; directory or Hub name.
    rows: from `pack`.
    how: hyper-parameters.
    layout: of the devices.
    directory: for checkpoints and TensorBoard events.
    centring: see `objective`.
    dtype: of activations and products.

  Returns:
    The model and its parameters, which are float32.

  Raises:
    InputError: a model of several labels, or one that cannot be read.
  """
  model = started(start, dtype=dtype)
  _, _, params = huggingface.load_value_model(
    start, head=model.head, shardings=layout.for_training(model)
  )
  batches = fit_lib.Epochs(rows, how)
  loss = objective(model, centring=centring)
  return model, training.fit.fit(loss, params, batches, how, layout, directory)


def started(
  start: str | os.PathLike, *, dtype: str = "float32"
) -> models.ValueModel:
  """The shape of the reward model that training from `start` gives.

  Raises:
    InputError: a model of several labels, or one that cannot be read.
  """
  raw = huggingface.read_config(start)
  config = huggingface.families.from_hf(raw, dtype=dtype)
  if huggingface.saved_head(raw) is not None:
    scoring.describe(start)
  return models.ValueModel(config, models.HeadConfig("v", 1))


def save(
  directory: str | os.PathLike,
  model: models.ValueModel,
  params: PyTree,
  start: str | os.PathLike,
) -> None:
  """Writes a sequence classifier that transformers loads, with its tokenizer.

  A padding token that also ends texts is left out of its `config.json`:
  transformers would read the score before it.

  Args:
    directory: created, or replaced if it holds a model already.
    model: the reward model.
    params: its parameters.
    start: what it was trained from, whose tokenizer it takes over.
  """
  tokenizer = data.tokenizer.load(start)
  ids = huggingface.token_ids(start)
  if ids.get("pad_token_id", tokenizer.eos_ids[0]) in tokenizer.eos_ids:
    ids.pop("pad_token_id", None)
  saving.save_value_model(
    directory,
    model.config,
    model.head,
    params,
    huggingface.families.family_of(huggingface.read_config(start)),
    ids,
  )
  huggingface.copy_tokenizer(start, directory)


def accuracy(
  scorer: scoring.Scorer,
  tokenizer: data.Tokenizer,
  preferences: Sequence[Preference],
) -> float:
  """Share of the preferences that the scores agree with, ties by half.

  Those that the model cannot read whole are passed over; NaN of none.
  """
  pairs = [
    [texts.tokens(tokenizer, x.question, y) for y in (x.chosen, x.rejected)]
    for x in preferences
  ]
  kept = [p for p in pairs if max(map(len, p)) <= scorer.max_length]
  scores = scorer.scores([text for pair in kept for text in pair])
  better, worse = scores.reshape(-1, 2).T
  wins = (better > worse) + 0.5 * (better == worse)
  return float(np.mean(wins)) if len(wins) else float("nan")
