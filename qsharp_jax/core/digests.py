"""Digests of what a run saves, so that damage is noticed when it is read.

A saved directory gets a `digests.json`: the size and the digest of every file.
Directories of others have none, and are read without.
"""

import json
import pathlib
from collections.abc import Iterable
from typing import Any

import xxhash

from qsharp_jax.core import errors, files, places

NAME = "digests.json"
_BLOCK = 1 << 22  # bytes


def write(
  directory: pathlib.Path,
  *,
  skip: Iterable[str] = (),
  beside: places.Path | None = None,
) -> None:
  """Lists every file below a directory; call it when all of them are there.

  Args:
    directory: a local one.
    skip: names that something else will still change.
    beside: a directory with a list, which these files are to join.
  """
  listed = {} if beside is None else files.read_json_object(beside / NAME)
  for path in sorted(directory.rglob("*")):
    name = path.relative_to(directory).as_posix()
    if path.is_file() and name not in {NAME, *skip}:
      listed[name] = {"bytes": path.stat().st_size, "xxh3_128": of_file(path)}
  files.replace(directory / NAME, json.dumps(listed, indent=1) + "\n")


def check(
  directory: pathlib.Path,
  names: Iterable[str] | None = None,
  *,
  may_be_replaced: bool = False,
) -> None:
  """Makes sure that files are as they were saved.

  Args:
    directory: a local one, with or without a list.
    names: relative to it; those that are not listed are passed over. None for
      all that are listed.
    may_be_replaced: people edit a model's JSON and put other weights in its
      place. A file of another size is then taken for such a one: damage that
      changes the size does not get past the readers of those formats.

  Raises:
    InputError: names the file that was damaged, and what to delete.
  """
  if not (directory / NAME).is_file():
    return
  listed = files.read_json_object(directory / NAME)
  for name in listed if names is None else names:
    if name in listed:
      path = directory / name
      if may_be_replaced and not _has_size(path, listed[name]):
        continue
      if not _has_size(path, listed[name]) or (
        of_file(path) != listed[name].get("xxh3_128")
      ):
        place = places.original(path)
        raise errors.InputError(
          f"{place} is not what was saved ({NAME} beside it says so): delete "
          f"{place.parent} to have it made again, or {NAME} alone where the "
          "file was changed on purpose"
        )


def _has_size(path: pathlib.Path, entry: Any) -> bool:
  if not isinstance(entry, dict) or not path.is_file():
    return False
  return path.stat().st_size == entry.get("bytes")


def of_file(path: places.Path) -> str:
  """Of a file's content, in hexadecimal; 10 to 20 GB/s from memory."""
  digest, block = xxhash.xxh3_128(), memoryview(bytearray(_BLOCK))
  with (
    errors.foreign(f"{path} cannot be read", "fetch it again"),
    places.local(path).open("rb", buffering=0) as file,
  ):
    while size := file.readinto(block):
      digest.update(block[:size])
  return digest.hexdigest()
