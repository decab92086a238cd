"""The questions of a config: read from a source, or made up."""

import pathlib

import ml_collections

from qsharp_jax import data, rewards
from qsharp_jax.core.errors import InputError
from qsharp_jax.tasks import star_graph, word_problems

Splits = dict[str, list[data.Question]]


def splits(config: ml_collections.ConfigDict) -> Splits:
  """Questions of train, validation and test; validation comes out of training.

  Raises:
    InputError: no question for one of the three, or whatever a source finds
      wrong.
  """
  own = config.data
  found = _FOUND_BY.get(own.source, _read)(config)
  train, validation = data.splitting.by_question(
    found["train"],
    validation=min(1.0, own.num_validation / max(1, len(found["train"]))),
    seed=config.seed,
  )
  cut = lambda questions, num: questions[:num] if num else questions
  found = {
    "train": cut(train, own.num_train),
    "validation": validation,
    "test": cut(found["test"], own.num_test),
  }
  if not all(found.values()):
    counts = ", ".join(f"{len(v)} for {k}" for k, v in found.items())
    raise InputError(
      f"there are questions as follows: {counts}; expected some for each, "
      "those of train not being in test, and validation being taken from "
      "train: change data.source or data.num_*"
    )
  return found


def words(config: ml_collections.ConfigDict) -> word_problems.WordProblems:
  """The generator of word problems."""
  own = config.pretrain
  return word_problems.WordProblems(
    num_steps=(own.num_steps, own.num_steps), max_value=own.max_value
  )


def graphs(
  config: ml_collections.ConfigDict,
) -> dict[str, list[star_graph.StarGraph]]:
  """Star graphs of pretrain, train and test, drawn or out of files.

  `data.path` is a directory with pretrain.txt, train.txt and test.txt, or one
  file, whose lines are cut into the three in the proportions of the config.
  """
  own, shape = config.data, config.graphs
  nums = {
    "test": own.num_test,
    "train": own.num_train + own.num_validation,
    "pretrain": shape.num_pretrain,
  }
  path = pathlib.Path(own.path)
  if own.path and path.is_dir():
    found = {name: star_graph.load(path / f"{name}.txt") for name in nums}
  elif own.path:
    found = _cut(star_graph.load(path), nums)
  else:
    drawn = star_graph.generate(
      sum(nums.values()),
      degree=shape.degree,
      path_length=shape.path_length,
      num_nodes=shape.num_nodes,
      seed=config.seed,
    )
    found = _cut(drawn, nums)
  _check_sizes(config, found)
  # Somebody else's files, too, must not be tested on what they train on.
  tested = set(map(star_graph.question, found["test"]))
  for name in ("train", "pretrain"):
    found[name] = [
      graph for graph in found[name] if star_graph.question(graph) not in tested
    ]
  return found


def _stars(config: ml_collections.ConfigDict) -> Splits:
  return {
    name: star_graph.as_questions(found, name)
    for name, found in graphs(config).items()
  }


def _words(config: ml_collections.ConfigDict) -> Splits:
  own = config.data
  test = words(config).generate(own.num_test, seed=config.seed)
  train = words(config).generate(
    own.num_train + own.num_validation,
    seed=config.seed + 1,
    exclude={question.question for question in test},
  )
  return {"train": train, "test": test}


def _read(config: ml_collections.ConfigDict) -> Splits:
  own = config.data
  test = _load(config, own.test_source or own.source, "test")
  # A file without splits, too, must not be tested on what it is trained on.
  tested = {question.question for question in test}
  train = [
    question
    for question in _load(config, own.source, "train")
    if question.question not in tested
  ]
  return {"train": train, "test": test}


def _load(
  config: ml_collections.ConfigDict, source: str, split: str
) -> list[data.Question]:
  """Reads a source; what may stand before its scheme says how its rows look."""
  own = config.data
  problem = data.records.problem(
    own.question_key, own.answer_key, last_box=rewards.extraction.boxed
  )
  parsers = {
    "math": problem,
    "aime": data.records.aime(problem),
    "quality": data.records.multiple_choice,
  }
  kind, _, rest = source.partition(":")
  parse = parsers.get(kind)
  return data.sources.load(
    source if parse is None else rest,
    split=split,
    question_key=own.question_key,
    answer_key=own.answer_key,
    parse=parse,
  )


def _cut(
  found: list[star_graph.StarGraph], nums: dict[str, int]
) -> dict[str, list[star_graph.StarGraph]]:
  """Consecutive parts, in the proportions of `nums`."""
  parts, start, told = {}, 0, 0
  for name, num in nums.items():
    told += num
    end = round(len(found) * told / sum(nums.values()))
    parts[name], start = found[start:end], end
  return parts


def _check_sizes(
  config: ml_collections.ConfigDict,
  found: dict[str, list[star_graph.StarGraph]],
) -> None:
  """What a graph needs: labels in the vocabulary, room for it and its path."""
  stars = [star for part in found.values() for star in part]
  path = max(len(star.path) for star in stars)
  needed = {
    "graphs.num_nodes": 1 + max(max(edge) for s in stars for edge in s.edges),
    "sampling.max_new_tokens": path + 1,  # and the end token
    # Two tokens an edge; start, goal, `=` and the end are the rest.
    "fit.max_length": 4 + path + max(2 * len(star.edges) for star in stars),
  }
  if not config.reference:
    needed["pretrain.max_length"] = needed["fit.max_length"]
  for name, least in needed.items():
    section, field = name.split(".")
    if config[section][field] < least:
      raise InputError(
        f"{name} is {config[section][field]}; expected at least {least} for "
        f"these graphs: set --config.{name}={least}"
      )


_FOUND_BY = {"stars:": _stars, "words:": _words}
