"""From the tensors of a directory to parameters lying on their devices."""

import pathlib
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from qsharp_jax.checkpoint import name_tables, tensor_files
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.core.errors import InputError

# Shape of a parameter, and a function that reads a part of it.
Source = tuple[tuple[int, ...], Callable[[name_tables.Index], np.ndarray]]


def sources(
  directory: pathlib.Path,
  family: str,
  entries: list[name_tables.Entry],
  sizes: name_tables.Sizes,
  extra: set[str],
) -> dict[str, Source]:
  """Shape and lazy reader of every parameter, after checking the files.

  Args:
    directory: holds the safetensors files.
    family: one of `name_tables.TABLES`.
    entries: the parameters wanted.
    sizes: of the table's letters.
    extra: names that the files may hold beyond these.

  Returns:
    A source for each path.

  Raises:
    InputError: a missing, unexpected, mis-shaped or unreadable tensor.
  """
  files = tensor_files.TensorFiles(directory)
  prefix = name_tables.prefix(family)
  is_bare = not any(name.startswith(prefix) for name in files.shapes)
  in_file = lambda name: name.removeprefix(prefix) if is_bare else name
  expected = {
    in_file(entry.name): name_tables.stored_shape(entry, sizes)
    for entry in entries
  }
  _check(directory, files.shapes, expected, extra)

  def source(entry):
    read = lambda index: files.read(in_file(entry.name), index)
    return (
      name_tables.shape(entry, sizes),
      lambda index: name_tables.read(entry, sizes, index, read),
    )

  return {entry.path: source(entry) for entry in entries}


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
  sizes = lambda index: [
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
  """
  dtype = jnp.dtype(param_dtype)
  flat = {}
  if shardings is not None:
    flat = traverse_util.flatten_dict(shardings["params"], sep="/")

  def placed(path: str, source: Source) -> Array:
    shape, read = source
    cast = lambda index: read(index).astype(dtype)
    if shardings is None:
      return jnp.asarray(cast((slice(None),) * len(shape)))
    return jax.make_array_from_callback(shape, flat[path], cast)

  params = {path: placed(path, source) for path, source in sources.items()}
  return {"params": traverse_util.unflatten_dict(params, sep="/")}
