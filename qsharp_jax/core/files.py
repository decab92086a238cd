"""Files that are there whole or not at all."""

import os
import pathlib


def replace(path: str | os.PathLike, content: bytes | str) -> None:
  """Writes a file so that a reader sees the old content or the new, whole."""
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  # In the same folder: a rename is atomic only inside one file system.
  partial = path.with_name(f".{path.name}.{os.getpid()}")
  data = content.encode() if isinstance(content, str) else content
  try:
    with partial.open("wb") as file:
      file.write(data)
      file.flush()
      os.fsync(file.fileno())
    partial.replace(path)
  finally:
    partial.unlink(missing_ok=True)
