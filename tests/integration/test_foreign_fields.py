"""Fields of a config as nobody meant them: one line each, never a traceback."""

import functools
import itertools
import math
import os
import random

import ml_collections
import pytest
from oracles import model_directories
from test_wrong_inputs import questions

from experiments.configs import gsm8k
from experiments.harness import command, console, run
from qsharp_jax import pipeline
from qsharp_jax.core.errors import InputError

HOSTILE = {
  bool: [True, False],
  int: [-1, 0, 1, 3, 2**31, 10**30, -(10**30)],
  float: [math.nan, math.inf, -math.inf, 0.0, -1.0, 1e-300, 1e308, 0.5],
  str: ["", "x", "\ud800", "é\n", "a" * 10_000, "../..", "\0", "{}", "[", "a:b"]
  + ["gs:/x", "hdfs://x", "jsonl:\0", "hub:../x:y:z", "math:", "os:getcwd"],
  tuple: [(), (math.nan,), ("x",) * 3, ((),), ({},), (10**30,) * 3, (None,)]
  + [(1, 2, 3, 4), ((1,), [2]), ("\ud800",), (0.1, "x"), (True, False, True)],
  dict: [{"dpo": 3}, {"x": {}}, {"dpo": {"eta": "x"}}, {"dpo": {"fit": 3}}]
  + [{"dpo": {"no": 1}}, {"ppo": {"fit": {"batch_size": 0}}}, {"sft": None}],
}
METHODS = ("qsharp", "dpo", "ppo", "best_of_n", "blocks", "transfer")
# Of all pairs of a field and a value, drawn by a fixed seed; QSHARP_ALL_FIELDS
# takes all of them.
SAMPLE = 60


def cases():
  """All pairs of a field of the variant `local` and a hostile value."""
  flat = dict(leaves(gsm8k.get_config("local")))
  kind = lambda value: dict if value == {} else type(value)
  return [
    (name, hostile)
    for name, value in flat.items()
    if name not in ("variant", "dtype", "reference")
    for hostile in HOSTILE.get(kind(value), [])
  ]


def leaves(config, prefix=""):
  """Dotted names and values; an empty section counts as a value."""
  for key, value in config.items():
    is_section = isinstance(value, ml_collections.ConfigDict)
    if is_section and len(value):
      yield from leaves(value, f"{prefix}{key}.")
    else:
      yield prefix + key, {} if is_section else value


class Reached(Exception):
  """Nothing was refused before the first sample."""


@pytest.fixture(scope="module")
def attempt(tmp_path_factory):
  """Runs the command with one field changed, up to its first sample."""
  path = tmp_path_factory.mktemp("fields")
  model = model_directories.qwen2(path / "model")
  source = questions(path / "questions")
  numbers = itertools.count()

  def stop(*_, **__):
    raise Reached

  def attempt(name, value):
    config = gsm8k.get_config("local")
    config.reference, config.data.source = str(model), f"jsonl:{source}"
    config.data.num_validation, config.reward = 10, "strict"
    config.evaluation.methods = METHODS
    config.sampling.update(max_new_tokens=8, batch_size=8, prompts_per_refill=8)
    config.fit.update(batch_size=8, max_length=64)
    *sections, last = name.split(".")
    section = functools.reduce(lambda node, key: node[key], sections, config)
    with section.ignore_type():
      section[last] = value
    with pytest.MonkeyPatch.context() as patch:
      patch.setattr(pipeline, "learn", lambda run: run)
      patch.setattr(pipeline.evaluate, "evaluate", stop)
      task = command.questions.read(config)
      run.run(
        config, path / f"run{next(numbers)}", experiment="gsm8k", task=task
      )

  return attempt


def outcome(attempt, name, value):
  """The line that refuses, "" if none does; what else is raised, is raised."""
  try:
    attempt(name, value)
  except InputError as error:
    return str(error)
  except Reached:
    return ""
  raise AssertionError("it ended without a sample")


def test_no_field_ends_in_a_traceback(attempt):
  found = cases()
  if not os.environ.get("QSHARP_ALL_FIELDS"):
    found = random.Random(5).sample(found, SAMPLE)
  faults = []
  for name, value in found:
    place = f"{name} = {repr(value)[:60]}"
    try:
      says = outcome(attempt, name, value)
    except Exception as error:
      faults.append(f"{place}: {type(error).__name__}: {str(error)[:200]}")
      continue
    line = console.line(says)
    if "\n" in line or len(line) > 1100:
      faults.append(f"{place}: not a line: {line[:200]!r}")
  assert not faults, "\n".join(faults)


def test_the_config_itself_would_begin_to_sample(attempt):
  assert outcome(attempt, "seed", 0) == ""
