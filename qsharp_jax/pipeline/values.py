"""The values of a run: fitted to rollouts, measured, saved, loaded."""

import dataclasses
import json
from collections.abc import Sequence

import numpy as np
from absl import logging

from qsharp_jax import rollout, training
from qsharp_jax.checkpoint import huggingface, saving
from qsharp_jax.core import files, places, seeds
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import report, value_metrics
from qsharp_jax.pipeline import labelled, support, training_bindings
from qsharp_jax.pipeline import run as run_lib
from qsharp_jax.sharding import processes
from qsharp_jax.training import fit as fit_lib
from qsharp_jax.training import value_model


def restore_metrics(run: run_lib.Run, round_index: int) -> None:
  """Measures the values of a finished round again where that is lost."""
  file = run.paths.value_metrics(round_index)
  fault = _fault(file) if processes.is_main() else None
  fault = processes.agree(
    f"is {file.name} of round {round_index} there?", fault
  )
  if fault is not None:
    logging.warning("%s; round %d is measured again", fault, round_index)
    measure(
      run,
      placed(run, round_index),
      as_split(run, first_rounds(run, round_index)),
      run.paths.round(round_index),
    )


def _fault(file: places.Path) -> str | None:
  """What is wrong with a JSON file of ours, if anything."""
  if not file.exists():
    return f"{file} is gone"
  try:
    files.read_json_object(file)
  except InputError as error:
    return str(error)
  return None


def train_outcome(run: run_lib.Run) -> None:
  """Fits a reward model of whole answers to the rollouts of all rounds."""
  directory = run.paths.outcome
  with run.workdir.stages([training_bindings.train_outcome(run)]) as due:
    if due:
      split = as_split(run, first_rounds(run, run.rounds.num_rounds))
      rows = labelled.pack(
        split.train, length=run.fit.max_length, is_outcome_only=True
      )
      how = settings(run, 0)
      batches = fit_lib.Epochs(rows, how)
      params = fit(run, placed(run, None), batches, how, directory)
      save(run, params, directory)
  fit_lib.forget(directory)


def fit_values(
  run: run_lib.Run, found: rollout.Rollouts, directory: places.Path
) -> None:
  """Fits fresh values to labelled rollouts, into `directory` / "value".

  Args:
    run: its value model, and how it is trained.
    found: with labels of whichever reward.
    directory: of the values.

  Raises:
    InputError: labels that teach nothing.
  """
  rows = labelled.pack(as_split(run, [found]).train, length=run.fit.max_length)
  how = settings(run, 0)
  batches = fit_lib.Epochs(rows, how)
  params = fit(run, placed(run, None), batches, how, directory)
  save(run, params, directory)


def rollouts(run: run_lib.Run, round_index: int) -> rollout.Rollouts:
  """The rollouts of one round, without their texts."""
  directory = run.paths.rollouts(round_index)
  return rollout.store.read(directory, with_text=False)


def load(run: run_lib.Run, round_index: int) -> PyTree:
  """The value model of a finished round, placed for decoding."""
  return run.load(run.paths.value(round_index))


def load_outcome(run: run_lib.Run) -> PyTree:
  """The reward model of whole answers, placed for decoding."""
  return run.load(run.paths.outcome / "value")


def first_rounds(run: run_lib.Run, num_rounds: int) -> list[rollout.Rollouts]:
  """The rollouts of each of the first rounds."""
  return [rollouts(run, i + 1) for i in range(num_rounds)]


def as_split(
  run: run_lib.Run, parts: Sequence[rollout.Rollouts]
) -> labelled.Split:
  """The rollouts of some rounds, split for training."""
  found = rollout.Rollouts.concatenate(parts)
  _check_labels(run.players.critic, found.label[found.is_graded])
  split = labelled.split(found)
  if len(np.unique(split.train.label)) < 2:
    raise InputError(
      "no question has samples with different rewards, so there is nothing "
      "to learn: take easier or harder questions, more samples, or check the "
      "reward"
    )
  return split


def _check_labels(critic: training.Critic, labels: np.ndarray) -> None:
  """Refuses rewards of which the value's distribution knows nothing.

  Beyond the ends of a categorical one they are counted: `support.num_outside`.
  """
  wrong = labels[~np.isin(labels, (0.0, 1.0))]
  if critic.loss == "bernoulli" and len(wrong):
    raise InputError(
      f"{len(wrong)} of {len(labels)} rewards are others than expected, the "
      f"first {wrong[0]:g}; expected 0 or 1, failure or success, with the loss "
      "'bernoulli': take value.loss='categorical'"
    )


def fit(
  run: run_lib.Run,
  start: PyTree,
  batches: fit_lib.Batches,
  how: fit_lib.Fit,
  directory: places.Path,
) -> PyTree:
  """Values trained on labelled rows."""
  critic = run.players.critic
  return fit_lib.fit(
    training.objectives.value(
      critic.model, loss=critic.loss, atoms=critic.atoms
    ),
    start,
    batches,
    how,
    run.layout,
    directory,
  )


def settings(run: run_lib.Run, round_index: int) -> fit_lib.Fit:
  """How to train the values of a round; 0 is the outcome's."""
  seed = seeds.stable_seed(run.fit.seed, "values", round_index)
  return dataclasses.replace(run.fit, seed=seed)


def save(run: run_lib.Run, params: PyTree, directory: places.Path) -> None:
  """Writes values as a Hugging Face directory that says how to read them."""
  critic, start = run.players.critic, run.players.start
  reads_as, stops = critic.meaning, run.players.policy.stops
  if stops is not None:
    reads_as = reads_as | {"stop": list(stops.strings)}
  saving.save_value_model(
    directory / "value",
    critic.model.config,
    critic.model.head,
    params,
    run.players.family,
    huggingface.token_ids(start),
    reads_as=reads_as,
  )
  huggingface.copy_tokenizer(start, directory / "value")


def placed(run: run_lib.Run, round_index: int | None) -> PyTree:
  """Where training starts: the initial weights, or a round's, in float32."""
  players = run.players
  source = players.start
  if round_index is not None:
    source = run.paths.value(round_index)
  _, _, params = huggingface.load_value_model(
    source,
    head=players.critic.model.head,
    q_head=players.q_head,
    shardings=run.layout.for_training(players.critic.model),
  )
  return params


def measure(
  run: run_lib.Run,
  params: PyTree,
  split: labelled.Split,
  directory: places.Path,
) -> None:
  """Writes the metrics on what training did not see."""
  found = {}
  for name in ("held_out_samples", "held_out_questions"):
    kept = getattr(split, name)
    # Those that ended before their switch have no label.
    kept = kept.take(kept.first_label < kept.lengths)
    if not len(kept):
      continue
    rows = labelled.pack(kept, length=run.fit.max_length)
    assessed = value_model.assess(
      run.players.critic,
      params,
      rows,
      batch_size=run.fit.batch_size,
      layout=run.layout,
    )
    positions = rows.positions[rows.mask]
    starts = kept.prompt.lengths[rows.sequence_ids[rows.mask]]
    columns = assessed.at(rows.mask)._asdict()
    found[name] = value_metrics.summarise(
      value_metrics.Forecasts(rows.labels[rows.mask], **columns),
      positions - starts,
    )
  found["labels_outside_support"] = support.num_outside(run, split.train)
  if processes.is_main():
    files.replace(
      directory / "value_metrics.json",
      json.dumps(report.plain(found), indent=2) + "\n",
    )
