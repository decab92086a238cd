"""The questions of a config."""

import ml_collections

from qsharp_jax import data, tasks

Splits = dict[str, list[data.Question]]


def read(config: ml_collections.ConfigDict) -> tasks.Reading:
  """The task whose questions stand in the config's source."""
  return tasks.Reading(
    config.data.source,
    config.data.test_source,
    question_key=config.data.question_key,
    answer_key=config.data.answer_key,
  )


def splits(config: ml_collections.ConfigDict, task: tasks.TaskSpec) -> Splits:
  """Questions of train, validation and test; validation comes out of training.

  Raises:
    InputError: no question for one of the three, or whatever the task finds
      wrong.
  """
  found = task.questions()
  return data.splitting.in_three(
    found["train"],
    found["test"],
    num_train=config.data.num_train,
    num_validation=config.data.num_validation,
    num_test=config.data.num_test,
    seed=config.seed,
  )
