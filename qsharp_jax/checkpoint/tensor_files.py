"""Directories of safetensors files: lazy slices in, atomic writes out."""

import contextlib
import itertools
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np
import safetensors
from safetensors import numpy as safetensors_numpy

from qsharp_jax.core import digests, errors, files, places
from qsharp_jax.core.errors import InputError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
# transformers refuses files that do not name the framework. Files that others
# write lack the second entry, so theirs never have the size of ours.
_METADATA = {"format": "pt", "digest": digests.NAME}
_FLOATS = ("F64", "F32", "F16", "BF16")
_TEXT = "language_model."  # where other parts read images
_PICKLES = "pytorch_model*.bin"
# torch reads nothing but tensors so. Copies, because one may be there twice.
_CONVERSION = (
  'python -c "import glob, torch; from safetensors.torch import save_file; '
  "save_file({k: x.clone() for f in glob.glob('DIRECTORY/pytorch_model*.bin')"
  " for k, x in torch.load(f, weights_only=True).items()}, "
  "'DIRECTORY/model.safetensors', {'format': 'pt'})\""
)


class TensorFiles:
  """The tensors of one directory, read slice by slice.

  Where a language model is one of several parts, only its own are there, by
  the names that they have without the others.

  Attributes:
    shapes: shape of every tensor, by name.
    dtypes: the file's name of every tensor's dtype, such as "BF16".
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
    self.dtypes = {}
    paths = _paths(directory)
    digests.check(directory, [x.name for x in paths], may_be_replaced=True)
    for path in paths:
      with _reading(path):
        file = safetensors.safe_open(path, framework="numpy")
        for name in file.keys():  # noqa: SIM118  not a mapping
          part = file.get_slice(name)
          self._files[name] = (path, file, name)
          self.shapes[name] = tuple(part.get_shape())
          self.dtypes[name] = part.get_dtype()
    if any(name.startswith(_TEXT) for name in self.shapes):
      for table in (self._files, self.shapes, self.dtypes):
        own = {k: x for k, x in table.items() if k.startswith(_TEXT)}
        table.clear()
        table |= {k.removeprefix(_TEXT): x for k, x in own.items()}

  def check_dtype(self, name: str) -> None:
    """Makes sure that a tensor holds weights.

    Raises:
      InputError: it holds integers, booleans or floats of 8 bits.
    """
    if self.dtypes[name] not in _FLOATS:
      raise InputError(
        f"{self._files[name][0]}: tensor {name} is {self.dtypes[name]}; "
        f"expected one of {', '.join(_FLOATS)}: quantised models are not "
        "read, convert it"
      )

  def read(self, name: str, index: tuple[slice, ...]) -> np.ndarray:
    """Part `index` of tensor `name`, in the file's dtype.

    Raises:
      InputError: an unreadable file, or a number that is not finite.
    """
    path, file, stored = self._files[name]
    with _reading(path):
      part = file.get_slice(stored)[index]
    if not is_finite(part):
      raise InputError(
        f"{path}: tensor {name} has entries that are not finite; the model "
        "is broken, take another"
      )
    return part


def is_finite(x: np.ndarray) -> bool:
  """Whether all numbers of a float array are finite."""
  if x.dtype == ml_dtypes.bfloat16:  # its own isfinite takes thrice as long
    infinite = np.uint16(0x7F80)
    return not ((x.view(np.uint16) & infinite) == infinite).any()
  return bool(np.isfinite(x).all())


def write(
  directory: places.Path,
  documents: Mapping[str, Any],
  tensors: Iterable[tuple[str, np.ndarray]],
  *,
  max_shard_bytes: int,
) -> None:
  """Writes JSON files and the tensors; the directory appears all at once.

  In a bucket, where nothing can be renamed, `config.json` appears last.

  Args:
    directory: created, or replaced if it is empty or holds a model already.
    documents: content of `config.json` and its like, by file name.
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
  if isinstance(directory, pathlib.Path):
    _replace(directory, documents, tensors, max_shard_bytes)
    return
  with tempfile.TemporaryDirectory() as scratch:
    _write(pathlib.Path(scratch), documents, tensors, max_shard_bytes)
    places.remove(directory)
    places.upload(pathlib.Path(scratch), directory)


def _write(
  directory: pathlib.Path,
  documents: Mapping[str, Any],
  tensors: Iterable[tuple[str, np.ndarray]],
  max_shard_bytes: int,
) -> None:
  """Writes all files of a model into an empty directory."""
  _write_shards(directory, tensors, max_shard_bytes)
  for name, content in documents.items():
    text = json.dumps(content, indent=2) + "\n"
    (directory / name).write_text(text, encoding="utf-8")
  digests.write(directory)


def _replace(
  directory: pathlib.Path,
  documents: Mapping[str, Any],
  tensors: Iterable[tuple[str, np.ndarray]],
  max_shard_bytes: int,
) -> None:
  """Writes a model beside its place, then puts it there."""
  directory.parent.mkdir(parents=True, exist_ok=True)
  scratch = pathlib.Path(
    tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}.")
  )
  try:
    scratch.chmod(0o755)
    _write(scratch, documents, tensors, max_shard_bytes)
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
    safetensors_numpy.save_file(
      shard, directory / f"shard-{i}", metadata=_METADATA
    )
    _order_metadata(directory / f"shard-{i}")
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


def _order_metadata(path: pathlib.Path) -> None:
  """Makes equal tensors equal files: the writer's order changes by chance."""
  orders = [
    json.dumps(dict(items), separators=(",", ":")).encode()
    for items in itertools.permutations(_METADATA.items())
  ]
  with path.open("r+b") as file:
    start = len(b'{"__metadata__":') + file.seek(8)
    file.seek(start)
    if file.read(len(orders[0])) not in orders:
      raise ValueError(f"{path} has its metadata elsewhere")
    file.seek(start)
    file.write(orders[0])


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
  """The safetensors files of a directory.

  Where both a single file and an index of shards are there, one of them is left
  from an earlier save; like transformers we take the single file.
  """
  if (directory / SINGLE).is_file():
    return [directory / SINGLE]
  index = directory / INDEX
  if not index.is_file() and any(directory.glob(_PICKLES)):
    raise InputError(
      f"{directory} has its weights in {_PICKLES}, which is not read, as "
      "unpickling may run code; convert it, where torch is installed: "
      f"{_CONVERSION.replace('DIRECTORY', str(directory))}"
    )
  if not index.is_file():
    raise InputError(
      f"{directory} has neither {SINGLE} nor {INDEX}; expected one of them, "
      "convert other formats to safetensors"
    )
  fault = "is no safetensors index"
  with errors.foreign(f"{index} {fault}", "fetch it again"):
    names = set(files.read_json(index, fault=fault)["weight_map"].values())
    for name in sorted(names):
      # An index must not lead out of its directory.
      is_beside = pathlib.PurePath(name).name == name
      if not (is_beside and (directory / name).is_file()):
        raise InputError(
          f"{index} names {errors.short(name)}, which is not beside it"
        )
  return [directory / name for name in sorted(names)]


def _reading(path: pathlib.Path) -> contextlib.AbstractContextManager[None]:
  """Turns the reader's errors into one that names the file."""
  return errors.foreign(f"{path} is truncated or corrupt", "fetch it again")
