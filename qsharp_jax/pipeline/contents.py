"""Digests of what stages are made from: questions, settings, weights."""

import hashlib
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging

from qsharp_jax import rollout
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core import digests, errors, files, places

_PREFIX = "digest:"
_MODEL_FILES = ("*.safetensors", "config.json")


def digest(content: Any) -> str:
  """Digest of plain data, the same on every machine."""
  text = json.dumps(content, sort_keys=True, default=_plain)
  hashed = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
  return _PREFIX + hashed


def is_digest(value: Any) -> bool:
  """Whether it came from here."""
  return isinstance(value, str) and value.startswith(_PREFIX)


def _plain(value: Any) -> Any:
  return value.tolist() if hasattr(value, "tolist") else str(value)


def questions(problems: Sequence[rollout.Problem]) -> str:
  """Digest of ids, prompt tokens, gold answers and splits, in their order."""
  hashed = hashlib.blake2b(digest_size=16)
  for problem in problems:
    row = (problem.id, list(map(int, problem.prompt)), problem.answer)
    hashed.update(json.dumps([*row, problem.split]).encode())
  return _PREFIX + hashed.hexdigest()


def preferences(pairs: Sequence[rollout.Preference]) -> str:
  """Digest of the tokens of preferences, in their order."""
  hashed = hashlib.blake2b(digest_size=16)
  for pair in pairs:
    sides = (pair.prompt, pair.chosen, pair.rejected)
    hashed.update(json.dumps([list(map(int, x)) for x in sides]).encode())
  return _PREFIX + hashed.hexdigest()


def first_difference(
  problems: Sequence[rollout.Problem],
  store: str | os.PathLike,
  made: str,
) -> str:
  """What is different about the questions of a store, in words.

  Args:
    problems: those of now.
    store: samples of those of then.
    made: when that was, such as "round 1 was collected".
  """
  rollouts = rollout.store.read(store, with_text=False)
  _, firsts = np.unique(rollouts.questions()[1], return_index=True)
  then = {row.question_id: row for row in rollouts.take(firsts)}
  for problem in problems:
    row = then.pop(problem.id, None)
    if row is None:
      return f"question {problem.id} was not there when {made}"
    name = f"question {problem.id} has another"
    if row.answer != problem.answer:
      return (
        f"{name} gold answer than when {made}: {row.answer!r} there, "
        f"{problem.answer!r} here"
      )
    if list(row.prompt) != list(problem.prompt):
      return f"{name} prompt than when {made}"
    if row.split != problem.split:
      return (
        f"{name} split than when {made}: {row.split} there, "
        f"{problem.split} here"
      )
  if then:
    return f"question {next(iter(then))} is gone since {made}"
  return f"the questions stand in another order than when {made}"


def _remembered(file: places.Path) -> dict[str, Any]:
  """A table of digests; what cannot be read is found out again."""
  if not file.exists():
    return {}
  try:
    found = files.read_json_object(file)
  except errors.InputError as error:
    logging.warning("%s: the digests are taken again", error)
    return {}
  return {
    name: entry
    for name, entry in found.items()
    if isinstance(entry, dict) and isinstance(entry.get("digest"), str)
  }


class Weights:
  """Digests of models' files; a file is read again only when it changed."""

  def __init__(self, file: places.Path):
    """Makes the table.

    Args:
      file: where it is kept from one process to the next.
    """
    self._file = file
    self._known = _remembered(file)
    self._is_saved = True

  def digest(self, directory: str | os.PathLike) -> str:
    """Digest of a model's weights and shape.

    Args:
      directory: of the model, or a hub id.
    """
    # The copy of a bucket's model has a name that no other process sees.
    is_kept = not places.is_remote(directory)
    local = huggingface.resolve(directory)
    paths = [p for form in _MODEL_FILES for p in sorted(local.glob(form))]
    of_file = self._of_file if is_kept else digests.of_file
    return digest({path.name: of_file(path) for path in paths})

  def save(self) -> None:
    """Writes what was learnt."""
    if not self._is_saved:
      files.replace(self._file, json.dumps(self._known, indent=1) + "\n")
      self._is_saved = True

  def _of_file(self, path: places.Path) -> str:
    status = path.stat()
    seen = {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    known = self._known.get(str(path))
    if known is None or any(known.get(k) != v for k, v in seen.items()):
      known = seen | {"digest": digests.of_file(path)}
      self._known[str(path)] = known
      self._is_saved = False
    return known["digest"]
