"""From the tensors of a directory to parameters lying on their devices."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from qsharp_jax.checkpoint import layouts, name_tables, tensor_files
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.core.errors import InputError

_ROWS = 4096  # of a table at a time

# Shape of a parameter, and a function that reads a part of it.
Source = tuple[tuple[int, ...], Callable[[layouts.Index], np.ndarray]]


def sources(
  directory: pathlib.Path,
  family: str,
  entries: list[layouts.Entry],
  sizes: layouts.Sizes,
  extra: set[str],
  *,
  is_tied: bool = False,
) -> dict[str, Source]:
  """Shape and lazy reader of every parameter, after checking the files.

  Args:
    directory: holds the safetensors files.
    family: one of `name_tables.TABLES`.
    entries: the parameters wanted.
    sizes: of the table's letters.
    extra: names that the files may hold beyond these.
    is_tied: the embedding is the output table too, whichever is in the files.

  Returns:
    A source for each path.

  Raises:
    InputError: a missing, unexpected, mis-shaped or unreadable tensor, or two
      tables in a tied model.
  """
  files = tensor_files.TensorFiles(directory)
  if is_tied:
    entries = _untied(directory, family, files, entries)
    extra = extra | {name_tables.output(family)}
  prefix = name_tables.prefix(family)
  is_bare = not any(name.startswith(prefix) for name in files.shapes)

  def in_file(name):
    return name.removeprefix(prefix) if is_bare else name

  expected = {
    in_file(entry.name): layouts.stored_shape(entry, sizes) for entry in entries
  }
  _check(directory, files.shapes, expected, extra)
  for name in expected:
    files.check_dtype(name)

  def source(entry):
    def read(index):
      return files.read(in_file(entry.name), index)

    return (
      layouts.shape(entry, sizes),
      lambda index: layouts.read(entry, sizes, index, read),
    )

  return {entry.path: source(entry) for entry in entries}


def _untied(
  directory: pathlib.Path,
  family: str,
  files: tensor_files.TensorFiles,
  entries: list[layouts.Entry],
) -> list[layouts.Entry]:
  """The entries of a tied model, the embedding read from where it is.

  Raises:
    InputError: the file's output table is not the embedding. transformers 5
      then unties them, transformers 4 forgets the output table.
  """
  output = name_tables.output(family)
  embedding = name_tables.embedding(family)
  names = {embedding, embedding.removeprefix(name_tables.prefix(family))}
  found = names & set(files.shapes)
  if output not in files.shapes:
    return entries
  if not found:
    return [
      dataclasses.replace(entry, name=output)
      if entry.name == embedding
      else entry
      for entry in entries
    ]
  if not _are_equal(files, output, found.pop()):
    raise InputError(
      f"{directory} ties its embeddings by config.json and holds another "
      f"{output}; set tie_word_embeddings to false there, or take the tensor "
      "out of the file"
    )
  return entries


def _are_equal(files: tensor_files.TensorFiles, name: str, other: str) -> bool:
  """Whether two tensors are the same; read in blocks of rows."""
  shape = files.shapes[name]
  if shape != files.shapes[other] or files.dtypes[name] != files.dtypes[other]:
    return False
  files.check_dtype(name)
  num_rows = shape[0] if shape else 0
  blocks = [
    (slice(i, min(i + _ROWS, num_rows)),) for i in range(0, num_rows, _ROWS)
  ]
  return bool(blocks) and all(
    np.array_equal(files.read(name, i), files.read(other, i)) for i in blocks
  )


def _check(
  directory: pathlib.Path,
  shapes: Mapping[str, tuple[int, ...]],
  expected: Mapping[str, tuple[int, ...]],
  extra: set[str],
) -> None:
  """Raises an InputError that names tensors amiss."""
  missing = sorted(set(expected) - set(shapes))
  unknown = sorted(
    name
    for name in set(shapes) - set(expected) - extra
    if not name_tables.HARMLESS.search(name)
  )
  for kind, names in (("lacks", missing), ("has unexpected", unknown)):
    if names:
      more = f" and {len(names) - 3} more" if len(names) > 3 else ""
      raise InputError(
        f"{directory} {kind} tensors {', '.join(names[:3])}{more}; expected "
        "those of its config.json"
      )
  for name, shape in expected.items():
    if shapes[name] != shape:
      raise InputError(
        f"{directory}: tensor {name} has shape {shapes[name]}, config.json "
        f"says {shape}; check that they belong together"
      )


def zeros(shape: tuple[int, ...]) -> Source:
  """The source of a parameter that no file holds."""

  def sizes(index):
    return [
      len(range(*part.indices(size)))
      for part, size in zip(index, shape, strict=True)
    ]

  return shape, lambda index: np.zeros(sizes(index), np.float32)


def place(
  sources: Mapping[str, Source], param_dtype: str, shardings: PyTree | None
) -> PyTree:
  """Reads every parameter onto its devices.

  Args:
    sources: from `sources`.
    param_dtype: parameters are converted to it.
    shardings: a NamedSharding for each, {"params": ...}; None for the default
      device.

  Returns:
    {"params": ...}.

  Raises:
    InputError: a number that the dtype cannot hold.
  """
  dtype = jnp.dtype(param_dtype)
  flat = {}
  if shardings is not None:
    flat = traverse_util.flatten_dict(shardings["params"], sep="/")

  def placed(path: str, source: Source) -> Array:
    shape, read = source

    def cast(index):
      return _converted(path, read(index), dtype)

    if shardings is None:
      return jnp.asarray(cast((slice(None),) * len(shape)))
    return jax.make_array_from_callback(shape, flat[path], cast)

  params = {path: placed(path, source) for path, source in sources.items()}
  return {"params": traverse_util.unflatten_dict(params, sep="/")}


def _converted(path: str, part: np.ndarray, dtype: np.dtype) -> np.ndarray:
  """Part of a parameter in another dtype, in which nothing became infinite."""
  with np.errstate(over="ignore"):
    found = part.astype(dtype)
  is_smaller = jnp.finfo(dtype).max < jnp.finfo(part.dtype).max
  if is_smaller and not tensor_files.is_finite(found):
    raise InputError(
      f"parameter {path} has entries beyond the range of {dtype}; take another "
      "dtype, or another model"
    )
  return found
