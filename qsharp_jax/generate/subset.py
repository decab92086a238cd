"""Few of the rows of a batch: read by themselves, and put back.

Where a batch is cut over devices, each looks at its own rows, so that nothing
moves between them.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import struct

from qsharp_jax.core.arrays import Array, PyTree

_ONE_OF = 8  # rows
_LEAST = 4  # a pass over fewer takes as long


@struct.dataclass
class Subset:
  """As many rows of each device as there are places."""

  places: Array  # [G, R] int32, of G devices with rows of their own

  def take(self, tree: PyTree) -> PyTree:
    """The rows of arrays [B, ...], as [G R, ...]; None stays None."""

    @jax.vmap
    def pick(x: Array, places: Array) -> Array:
      return x[places]

    return jax.tree.map(
      lambda x: _joined(pick(self._parts(x), self.places)), tree
    )

  def put(self, tree: PyTree, rows: PyTree) -> PyTree:
    """Arrays [B, ...] with others [G R, ...] in the rows' places."""

    @jax.vmap
    def replace(x: Array, places: Array, new: Array) -> Array:
      return x.at[places].set(new)

    def one(x: Array, new: Array) -> Array:
      return _joined(replace(self._parts(x), self.places, self._parts(new)))

    return jax.tree.map(one, tree, rows)

  def _parts(self, x: Array) -> Array:
    return x.reshape(len(self.places), -1, *x.shape[1:])


def few(is_wanted: Array) -> Subset:
  """An eighth of the rows, or four: those that are wanted [B], then others."""
  parts = is_wanted.reshape(_num_parts(), -1)
  num_all = parts.shape[1]
  num_rows = min(num_all, max(_LEAST, -(-num_all // _ONE_OF)))
  order = jnp.argsort(~parts, axis=1, stable=True)
  return Subset(order[:, :num_rows].astype(jnp.int32))


def _num_parts() -> int:
  """Devices that rows are cut over."""
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.empty:
    return 1
  axes = nn.logical_to_mesh_axes(("batch",))[0] or ()
  return math.prod(mesh.shape[axis] for axis in axes)


def _joined(x: Array) -> Array:
  return x.reshape(-1, *x.shape[2:])
