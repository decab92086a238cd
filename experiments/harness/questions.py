"""The questions of a config."""

import ml_collections

from qsharp_jax import data, tasks
from qsharp_jax.tasks import star_graph, word_problems

Splits = dict[str, list[data.Question]]


def read(config: ml_collections.ConfigDict) -> tasks.Reading:
  """The task whose questions stand in the config's source."""
  return tasks.Reading(
    config.data.source,
    config.data.test_source,
    question_key=config.data.question_key,
    answer_key=config.data.answer_key,
  )


def words(config: ml_collections.ConfigDict) -> tasks.TaskSpec:
  """The word problems of a config that trains its reference; else as `read`."""
  own, source = config.data, read(config)
  if "pretrain" not in config:
    return source
  small = config.pretrain
  return tasks.gsm8k.TinyGsm8k(
    word_problems.WordProblems(
      num_steps=(small.num_steps, small.num_steps), max_value=small.max_value
    ),
    num_train=own.num_train + own.num_validation,
    num_test=own.num_test,
    num_corpus=small.num_questions,
    mistake_rate=small.mistake_rate,
    vocab_size=small.vocab_size,
    seed=config.seed,
    read=None if own.source == "words:" else source,
  )


def dialogues(config: ml_collections.ConfigDict) -> tasks.TaskSpec:
  """Questions about animals, where the config has a chat; else as `read`."""
  if "chat" not in config:
    return read(config)
  own = config.data
  return tasks.chat.Chat(
    num_train=own.num_train + own.num_validation,
    num_test=own.num_test,
    num_corpus=config.chat.num_dialogues,
    vocab_size=config.pretrain.vocab_size,
    seed=config.seed,
  )


def stars(
  config: ml_collections.ConfigDict, *, signs: tuple[str, ...] = ()
) -> star_graph.StarGraphs:
  """The star graphs of a config.

  Args:
    config: with graphs.
    signs: words that answers have besides nodes.
  """
  own, graphs = config.data, config.graphs
  lengths = [config.fit.max_length]
  if not config.reference:
    lengths.append(config.pretrain.max_length)
  return star_graph.StarGraphs(
    degree=graphs.degree,
    path_length=graphs.path_length,
    num_nodes=graphs.num_nodes,
    num_train=own.num_train + own.num_validation,
    num_test=own.num_test,
    num_corpus=graphs.num_pretrain,
    mistake_rate=graphs.mistake_rate,
    max_new_tokens=config.sampling.max_new_tokens,
    max_length=min(lengths),
    path=own.path,
    signs=signs,
    seed=config.seed,
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
