"""Directories of safetensors files: lazy slices in, atomic writes out."""

import contextlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator

import ml_dtypes  # noqa: F401  registers bfloat16 with numpy
import numpy as np
import safetensors
from safetensors import numpy as safetensors_numpy

from qsharp_jax.core.errors import InputError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"


class TensorFiles:
  """The tensors of one directory, read slice by slice.

  Attributes:
    shapes: shape of every tensor, by name.
  """

  def __init__(self, directory: pathlib.Path):
    """Opens the files' headers.

    Args:
      directory: holds `model.safetensors`, or shards and their index.

    Raises:
      InputError: no such file, or a truncated or corrupt one.
    """
    self._files = {}
    self.shapes = {}
    for path in _paths(directory):
      with _reading(path):
        file = safetensors.safe_open(path, framework="numpy")
        for name in file.keys():  # noqa: SIM118  not a mapping
          self._files[name] = (path, file)
          self.shapes[name] = tuple(file.get_slice(name).get_shape())

  def read(self, name: str, index: tuple[slice, ...]) -> np.ndarray:
    """Part `index` of tensor `name`, in the file's dtype."""
    path, file = self._files[name]
    with _reading(path):
      return file.get_slice(name)[index]


def write(
  directory: pathlib.Path,
  config: dict,
  tensors: Iterable[tuple[str, np.ndarray]],
  *,
  max_shard_bytes: int,
) -> None:
  """Writes `config.json` and the tensors; the directory appears all at once.

  Args:
    directory: created, or replaced if it is empty or holds a model already.
    config: content of `config.json`.
    tensors: name and value of each.
    max_shard_bytes: a file that would grow beyond this is closed and another
      begun.

  Raises:
    InputError: the path exists and is no model directory.
  """
  is_model = (directory / "config.json").is_file()
  is_empty = directory.is_dir() and not any(directory.iterdir())
  if directory.exists() and not (is_model or is_empty):
    raise InputError(
      f"{directory} exists and is no model directory; choose another path"
    )
  directory.parent.mkdir(parents=True, exist_ok=True)
  scratch = pathlib.Path(
    tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}.")
  )
  try:
    scratch.chmod(0o755)
    _write_shards(scratch, tensors, max_shard_bytes)
    text = json.dumps(config, indent=2) + "\n"
    (scratch / "config.json").write_text(text, encoding="utf-8")
    if directory.exists():
      # A full directory cannot be replaced, so it steps aside first.
      old = tempfile.mkdtemp(
        dir=directory.parent, prefix=f".{directory.name}.old."
      )
      os.replace(directory, old)
      os.replace(scratch, directory)
      shutil.rmtree(old)
    else:
      os.replace(scratch, directory)
  finally:
    shutil.rmtree(scratch, ignore_errors=True)


def _write_shards(
  directory: pathlib.Path,
  tensors: Iterable[tuple[str, np.ndarray]],
  max_shard_bytes: int,
) -> None:
  """One file if everything fits, else numbered shards and an index."""
  shards = []
  for i, shard in enumerate(_shards(tensors, max_shard_bytes)):
    # transformers refuses files that do not name the framework.
    safetensors_numpy.save_file(
      shard, directory / f"shard-{i}", metadata={"format": "pt"}
    )
    shards.append(list(shard))
  if len(shards) == 1:
    os.replace(directory / "shard-0", directory / SINGLE)
    return
  weight_map = {}
  for i, names in enumerate(shards):
    file = f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
    os.replace(directory / f"shard-{i}", directory / file)
    weight_map |= dict.fromkeys(names, file)
  index = {"metadata": {}, "weight_map": weight_map}
  (directory / INDEX).write_text(json.dumps(index, indent=2), encoding="utf-8")


def _shards(
  tensors: Iterable[tuple[str, np.ndarray]], max_shard_bytes: int
) -> Iterator[dict[str, np.ndarray]]:
  shard, num_bytes = {}, 0
  for name, value in tensors:
    if shard and num_bytes + value.nbytes > max_shard_bytes:
      yield shard
      shard, num_bytes = {}, 0
    shard[name] = value
    num_bytes += value.nbytes
  yield shard


def _paths(directory: pathlib.Path) -> list[pathlib.Path]:
  """The safetensors files of a directory."""
  index = directory / INDEX
  if not index.is_file():
    if not (directory / SINGLE).is_file():
      raise InputError(
        f"{directory} has neither {SINGLE} nor {INDEX}; expected one of them, "
        "convert other formats to safetensors"
      )
    return [directory / SINGLE]
  try:
    weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    names = sorted(set(weight_map.values()))
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise InputError(f"{index} is no safetensors index: {error!r}") from error
  for name in names:
    # An index must not lead out of its directory.
    if pathlib.PurePath(name).name != name or not (directory / name).is_file():
      raise InputError(f"{index} names {name!r}, which is not beside it")
  return [directory / name for name in names]


@contextlib.contextmanager
def _reading(path: pathlib.Path) -> Iterator[None]:
  """Turns the reader's errors into one that names the file."""
  try:
    yield
  except (safetensors.SafetensorError, OSError) as error:
    raise InputError(
      f"{path} is truncated or corrupt ({error}); fetch it again"
    ) from error
