"""Files that are there whole or not at all, and JSON that others wrote."""

import json
import os
import pathlib
from typing import Any

from qsharp_jax.core import errors, places


def replace(path: str | os.PathLike, content: bytes | str) -> None:
  """Writes a file so that a reader sees the old content or the new, whole."""
  place = places.path(path)
  data = content.encode() if isinstance(content, str) else content
  if not isinstance(place, pathlib.Path):
    # A bucket shows an object once all of it is there; a rename copies.
    place.write_bytes(data)
    return
  place.parent.mkdir(parents=True, exist_ok=True)
  # In the same folder: a rename is atomic only inside one file system.
  partial = place.with_name(f".{place.name}.{os.getpid()}")
  try:
    with partial.open("wb") as file:
      file.write(data)
      file.flush()
      os.fsync(file.fileno())
    partial.replace(place)
  finally:
    partial.unlink(missing_ok=True)


def read_json(path: str | os.PathLike, *, fault: str = "is not JSON") -> Any:
  """Content of a JSON file that anybody may have written.

  A byte order mark and blank lines around the content are read over.

  Args:
    path: the file.
    fault: what the error says of it.

  Raises:
    InputError: not readable, not UTF-8, not JSON, or nested too deeply.
  """
  with errors.foreign(f"{path} {fault}", "mend the file or fetch it again"):
    return json.loads(places.path(path).read_bytes().decode("utf-8-sig"))


def read_json_object(path: str | os.PathLike) -> dict[str, Any]:
  """As `read_json`, of a file that holds an object.

  Raises:
    InputError: as `read_json`, or another kind of JSON.
  """
  content = read_json(path)
  if not isinstance(content, dict):
    raise errors.InputError(
      f"{path} is not a JSON object but {errors.short(content)}; expected one"
    )
  return content
