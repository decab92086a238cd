"""From logical axis names to arrays lying on the devices of a mesh."""

import contextlib
import functools
import math
from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.sharding.rules import Rules


@contextlib.contextmanager
def context(mesh: Mesh, rules: Rules) -> Iterator[None]:
  """Makes the logical constraints inside the models act on this mesh.

  Without it they do nothing. Call jitted functions under it (a function traced
  outside is traced again inside); run eagerly, a constraint takes only arrays
  that already lie on the mesh. The rows of a batch must divide by the size of
  (data, fsdp): see `pad_rows`.
  """
  with jax.set_mesh(mesh), nn.logical_axis_rules(rules):
    yield


def shardings(
  model: nn.Module,
  mesh: Mesh,
  rules: Rules,
  *example_args,
  method: str = "__call__",
  **example_kwargs,
) -> PyTree:
  """Where each variable of a model lives, found without allocating any.

  A mesh axis that does not divide its dimension is dropped: two key-value heads
  on four devices are replicated.

  Args:
    model: its parameters carry logical axis names.
    mesh: the mesh.
    rules: logical axis names to mesh axes.
    *example_args: arrays, or their shapes and dtypes, that the model is called
      with. By default one token and its position.
    method: of the model, that is called.
    **example_kwargs: likewise.

  Returns:
    The tree of `model.init`, unboxed, with a NamedSharding per array.
  """
  if example_args or example_kwargs:
    shapes, names = _traced(model, method, *example_args, **example_kwargs)
  else:
    shapes, names = variables(model, method)
  return jax.tree.map(
    lambda x, spec: NamedSharding(mesh, _effective(spec, x.shape, mesh)),
    shapes,
    nn.logical_to_mesh(names, rules),
  )


@functools.cache
def variables(
  model: nn.Module, method: str = "__call__"
) -> tuple[PyTree, PyTree]:
  """Shapes and types of a model's variables, and their logical axes.

  Traced once, as this takes seconds for a large model.
  """
  return _traced(model, method)


def _traced(
  model: nn.Module, method: str, *args, **kwargs
) -> tuple[PyTree, PyTree]:
  # No rules while tracing: here an axis that does not divide is no error.
  with nn.logical_axis_rules(()):
    boxed = jax.eval_shape(
      functools.partial(model.init, method=method),
      jax.random.key(0),
      *_example(args, kwargs),
      **kwargs,
    )
    return nn.unbox(boxed), nn.get_partition_spec(boxed)


def init(
  model: nn.Module,
  key: Array,
  shardings: PyTree,
  *example_args,
  **example_kwargs,
) -> PyTree:
  """Fresh variables, made in place: no device ever holds the whole tree.

  Args:
    model: the model.
    key: random key; the result does not depend on the mesh.
    shardings: from `shardings`.
    *example_args: as in `shardings`.
    **example_kwargs: as in `shardings`.

  Returns:
    The unboxed variables, `{"params": ...}`.
  """
  args = _example(example_args, example_kwargs)

  def make(key, args, kwargs):
    with nn.logical_axis_rules(()):
      return nn.unbox(model.init(key, *args, **kwargs))

  return jax.jit(make, out_shardings=shardings)(key, args, example_kwargs)


def extend(shardings: PyTree, tree: PyTree) -> PyTree:
  """Shardings of a tree that holds trees like the parameters, e.g. Adam's.

  Args:
    shardings: of the parameters, from `shardings`.
    tree: arrays or their shapes, such as a train state: every part with the
      structure of the parameters is placed like them, the rest is replicated.

  Returns:
    A NamedSharding per leaf of `tree`.
  """
  structure = jax.tree.structure(shardings)
  mesh = jax.tree.leaves(shardings)[0].mesh

  def is_like(x):
    return jax.tree.structure(x) == structure

  def place_part(x):
    return shardings if is_like(x) else NamedSharding(mesh, PartitionSpec())

  return jax.tree.map(place_part, tree, is_leaf=is_like)


def place(tree: PyTree, shardings: PyTree) -> PyTree:
  """Puts arrays where `shardings` says; also moves them between meshes."""
  return jax.device_put(tree, shardings)


def batch_sharding(mesh: Mesh, rules: Rules) -> NamedSharding:
  """Rows over the mesh axes of `batch`, every row whole."""
  return NamedSharding(mesh, nn.logical_to_mesh_axes(("batch",), rules))


def place_batch(batch: PyTree, mesh: Mesh, rules: Rules) -> PyTree:
  """Makes global arrays; each process copies its own devices' rows only.

  Args:
    batch: the whole batch, the same in every process. Any tree of arrays of
      shapes [B, ...].
    mesh: the mesh.
    rules: logical axis names to mesh axes.

  Returns:
    The tree with global arrays of shape [B, ...], cut along their rows.

  Raises:
    InputError: B does not divide by the devices that share the rows.
  """
  sharding = batch_sharding(mesh, rules)
  num_parts = _num_parts(sharding.spec[0], mesh)

  def put(path: tuple, array: np.ndarray) -> Array:
    array = np.asarray(array)
    num_rows = len(array)
    if num_rows % num_parts:
      name = jax.tree_util.keystr(path, simple=True)
      raise InputError(
        f"batch field {name!r} has {num_rows} rows, expected a multiple of the "
        f"{num_parts} devices that share them: change the batch size or pad"
      )
    return jax.make_array_from_callback(
      array.shape, sharding, lambda index: array[index]
    )

  return jax.tree_util.tree_map_with_path(put, batch)


def pad_rows(
  arrays: Mapping[str, np.ndarray], multiple: int
) -> tuple[dict[str, np.ndarray], int]:
  """Adds rows of zeros until the number of rows divides by `multiple`.

  Args:
    arrays: fields with the same number of rows. Shapes [B, ...].
    multiple: the number of parts the rows are cut into.

  Returns:
    The padded fields, and B, the number of real rows. A mask or weight of 0
    keeps the added rows out of a sum; otherwise cut results back to B.
  """
  num_rows = len(next(iter(arrays.values())))
  missing = -num_rows % multiple

  def pad(x):
    return np.pad(x, ((0, missing),) + ((0, 0),) * (x.ndim - 1))

  return {name: pad(np.asarray(x)) for name, x in arrays.items()}, num_rows


def _example(args: tuple, kwargs: Mapping) -> tuple:
  if args or kwargs:
    return args
  one = jnp.zeros((1, 1), jnp.int32)
  return one, one


def _effective(
  spec: PartitionSpec, shape: tuple[int, ...], mesh: Mesh
) -> PartitionSpec:
  """The spec without axes that do not divide their dimension or cut nothing.

  The short form is the one jitted functions return, so that a state that went
  through a step is not a new kind of input to the next.
  """
  entries = [
    entry
    if _num_parts(entry, mesh) > 1 and size % _num_parts(entry, mesh) == 0
    else None
    for entry, size in zip(spec, shape, strict=False)
  ]
  while entries and entries[-1] is None:
    entries.pop()
  return PartitionSpec(*entries)


def _num_parts(entry: str | tuple[str, ...] | None, mesh: Mesh) -> int:
  """Into how many parts an entry of a PartitionSpec cuts its dimension."""
  axes = (entry,) if isinstance(entry, str) else entry or ()
  return math.prod(mesh.shape[axis] for axis in axes)
