"""Where files are: on this machine, or in a bucket behind gs:// or s3://.

Local places are pathlib's. A bucket's are epath's, which have the same methods
for what is done here; an object appears there whole or not at all, and a folder
is nothing but what its files' names begin with. What can only be read or
written on this machine goes through a copy (`local`, `written`).
"""

import atexit
import contextlib
import functools
import importlib.util
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any, TypeAlias

from etils import epath

from qsharp_jax.core import errors

Path: TypeAlias = pathlib.Path | epath.Path
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")
_BACKENDS = {"gs": "gcsfs", "s3": "s3fs"}  # scheme -> what epath reads it by
# Of a model: what says that the others are there goes last.
_LAST = ("config.json", "digests.json")
_copies: dict[str, tuple[Any, pathlib.Path]] = {}


def path(place: str | os.PathLike) -> Path:
  """The path that somebody wrote; a local one has its ~ expanded.

  Args:
    place: a local path, or one that starts with file://, gs:// or s3://.

  Raises:
    InputError: no name of a file, another scheme, or no package to read it by.
  """
  text = os.fspath(place)
  if not _is_name(text):
    raise errors.InputError(
      f"{errors.short(text)} is no path: it is too long, or has characters "
      "that no file's name can have; choose another"
    )
  found = _SCHEME.match(text)
  if not found:
    return pathlib.Path(text).expanduser()
  scheme, rest = found[1].lower(), text[found.end() :]
  if not text.startswith(f"{scheme}://"):
    raise errors.InputError(
      f"{text} is no path that is read here; expected a local one, or one that "
      "starts with file:///, gs:// or s3://"
    )
  if scheme == "file":
    return pathlib.Path(f"/{rest}")
  if scheme not in _BACKENDS:
    raise errors.InputError(
      f"{text}: {scheme}:// is not read here; expected a local path, or one "
      "that starts with file:///, gs:// or s3://"
    )
  _prepare(scheme)
  return epath.Path(text)


def _is_name(text: str) -> bool:
  """Whether a file could be called so."""
  try:
    encoded = os.fsencode(text)
  except UnicodeEncodeError:  # half of a surrogate pair
    return False
  longest = max(map(len, encoded.split(b"/")))
  return b"\0" not in encoded and longest <= 255 and len(encoded) < 4096


def is_remote(place: str | os.PathLike) -> bool:
  """Whether a path is in a bucket."""
  return os.fspath(place).startswith(tuple(f"{x}://" for x in _BACKENDS))


def absolute(place: str | os.PathLike) -> Path:
  """The path from the root on; links are followed where there are any."""
  found = path(place)
  return found if is_remote(found) else found.resolve()


def reached(place: Path) -> contextlib.AbstractContextManager[None]:
  """Names a bucket that cannot be reached, whatever its library says."""
  if not is_remote(place):
    return contextlib.nullcontext()
  return errors.foreign(
    f"{place} cannot be reached",
    "check the bucket's name, the network and the credentials",
  )


def modified(place: Path) -> float:
  """When a file was last written, in seconds; 0 where a bucket does not say."""
  status: Any = place.stat()
  return status.mtime if is_remote(place) else status.st_mtime


def remove(place: Path) -> None:
  """Removes a file or a folder with all that is in it, if it is there."""
  if not place.is_dir():
    place.unlink(missing_ok=True)
  elif isinstance(place, pathlib.Path):
    shutil.rmtree(place)
  else:
    place.rmtree(missing_ok=True)


@contextlib.contextmanager
def seekable(place: Path) -> Iterator[Any]:
  """What a reader of columns takes: a local path, or an open file of bytes."""
  if isinstance(place, pathlib.Path):
    yield place
  else:
    with place.open("rb") as file:
      yield file


def local(place: str | os.PathLike) -> pathlib.Path:
  """A file or folder on this machine: itself, or a copy of a bucket's.

  The copy is kept until this process ends, in the folder for temporary files
  (TMPDIR), and made again once the original has changed.
  """
  found = path(place)
  if isinstance(found, pathlib.Path):
    return found
  with reached(found):
    content = list(_below(found)) if found.is_dir() else [found]
    seen = [(str(file), *_state(file)) for file in content]
    if _copies.get(str(found), (None,))[0] != seen:
      folder = pathlib.Path(tempfile.mkdtemp(dir=_scratch()))
      # Errors name what they find there: let it look like the original.
      copy = folder / str(found).replace("://", "/")
      for file in content:
        _copy(file, copy / file.relative_to(found) if file != found else copy)
      if str(found) in _copies:
        remove(_copies[str(found)][1])
      _copies[str(found)] = (seen, copy)
  return _copies[str(found)][1]


def download(directory: epath.Path, folder: pathlib.Path) -> None:
  """Copies the files of a bucket's folder into a local one."""
  for file in _below(directory):
    _copy(file, folder / file.relative_to(directory))


def original(copy: pathlib.Path) -> Path:
  """What a file of `local` is a copy of, for messages; itself if of none."""
  for place, (_, folder) in _copies.items():
    if copy.is_relative_to(folder):
      return path(place) / copy.relative_to(folder)
  return copy


@contextlib.contextmanager
def written(directory: Path) -> Iterator[pathlib.Path]:
  """A local folder to write into: itself, or one whose files go to a bucket."""
  if isinstance(directory, pathlib.Path):
    yield directory
    return
  with tempfile.TemporaryDirectory() as folder:
    try:
      yield pathlib.Path(folder)
    finally:
      upload(pathlib.Path(folder), directory)


def upload(folder: pathlib.Path, directory: Path) -> None:
  """Copies the files of a local folder into a bucket."""
  names = [
    file.relative_to(folder).as_posix()
    for file in sorted(folder.rglob("*"))
    if file.is_file()
  ]
  for name in sorted(names, key=lambda name: name in _LAST):
    _copy(folder / name, directory / name)


def _copy(file: Path, target: Path) -> None:
  if isinstance(target, pathlib.Path):  # a bucket makes its own folders
    target.parent.mkdir(parents=True, exist_ok=True)
  with file.open("rb") as source, target.open("wb") as sink:
    shutil.copyfileobj(source, sink, 1 << 22)


def _below(directory: epath.Path) -> Iterator[epath.Path]:
  """All files of a bucket's folder."""
  for entry in sorted(directory.iterdir()):
    if entry.is_dir():
      yield from _below(entry)
    else:
      yield entry


def _state(file: epath.Path) -> tuple[Any, ...]:
  """What changes with a file's content; digests say more than a clock."""
  status = file.stat()
  content = file.read_text() if file.name == "digests.json" else ""
  return status.length, status.mtime, content


@functools.cache
def _scratch() -> str:
  """This process's folder for copies."""
  folder = tempfile.mkdtemp(prefix="qsharp-")
  atexit.register(shutil.rmtree, folder, ignore_errors=True)
  return folder


@functools.cache
def _prepare(scheme: str) -> None:
  """Makes sure that a scheme can be read, as other hosts write it.

  Raises:
    InputError: names the package that is missing.
  """
  package = _BACKENDS[scheme]
  known = ("tensorflow", package)
  if not any(importlib.util.find_spec(name) for name in known):
    raise errors.InputError(
      f"{scheme}:// needs {package}; install qsharp-jax[{scheme}]"
    )
  import fsspec

  # Listings of a minute ago do not have what another process just wrote.
  for name in {"gs": ("gs", "gcs")}.get(scheme, (scheme,)):
    fsspec.config.conf.setdefault(name, {})["use_listings_cache"] = False
