"""Files of predictions to grade: JSON lines, read whole and written whole."""

import json

from qsharp_jax.core import errors, files, places
from qsharp_jax.core.errors import InputError


def read(path: str) -> list[dict]:
  """The lines of a file, each with a prediction and its answer.

  Args:
    path: of JSON lines; a byte order mark is read over.

  Raises:
    InputError: names the first line that is broken.
  """
  with (
    errors.foreign(f"cannot read --input {path}", "name a file of JSON lines"),
    places.path(path).open("rb") as file,
  ):
    return [_line(line, f"{path}:{i}") for i, line in enumerate(file, 1)]


def write(path: str, lines: list[dict]) -> None:
  """Writes JSON lines, the whole file or nothing."""
  with errors.foreign(f"cannot write --output {path}", "name another file"):
    files.replace(path, "".join(json.dumps(line) + "\n" for line in lines))


def _line(line: bytes, where: str) -> dict:
  try:
    record = json.loads(line)
  except (ValueError, RecursionError) as error:
    raise InputError(f"{where}: not a line of JSON ({error})") from error
  if not isinstance(record, dict):
    kind = type(record).__name__
    raise InputError(f"{where}: got a {kind}, expected a JSON object")
  for key in ("prediction", "answer"):
    if key not in record:
      keys = errors.short(sorted(record), 300)
      raise InputError(f"{where}: no {key!r} among the keys {keys}")
  for key in ("prediction", "answer", "prompt"):
    if not isinstance(record.get(key, ""), str):
      kind = type(record[key]).__name__
      raise InputError(f"{where}: {key!r} is a {kind}, expected a string")
  return record
