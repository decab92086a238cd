"""Where parameters and batches lie: one mesh, two rule tables."""

import contextlib
import dataclasses

import jax
from flax import linen as nn

from qsharp_jax.core.arrays import PyTree
from qsharp_jax.sharding import mesh as mesh_lib
from qsharp_jax.sharding import placement, rules


def over_weights() -> "Layout":
  """All devices share the weights: few prompts have no rows to share."""
  return Layout(mesh_lib.make_mesh((1, 1, jax.device_count())))


@dataclasses.dataclass(frozen=True)
class Layout:
  """Everything the pipeline needs to know about devices."""

  mesh: jax.sharding.Mesh

  @property
  def num_row_parts(self) -> int:
    """Into how many parts the devices cut the rows of a batch."""
    return self.mesh.shape["data"] * self.mesh.shape["fsdp"]

  def of_host(self) -> "Layout":
    """The devices of this process alone, for work that others do not share.

    With one process these are all devices, as they are laid out; with several,
    each cuts weights and rows over its own.
    """
    if jax.process_count() == 1:
      return self
    return Layout(mesh_lib.of_devices(self.mesh.local_devices))

  def context(self) -> contextlib.AbstractContextManager:
    """Makes the logical constraints inside the models act."""
    return placement.context(self.mesh, rules.TRAINING)

  def for_training(self, model: nn.Module) -> PyTree:
    """Shardings of the parameters of a model in training."""
    return placement.shardings(model, self.mesh, rules.TRAINING)

  def for_decoding(self, model: nn.Module) -> PyTree:
    """Shardings of the parameters of a model in decoding."""
    return placement.shardings(model, self.mesh, rules.DECODING)

  def sampling(self, model: nn.Module) -> nn.Module:
    """The model as it samples: caches cut over all of `tensor` if possible.

    Its parameters have the type that it computes in.
    """
    config = model.config.shared_by(self.mesh.shape["tensor"])
    return model.clone(
      config=dataclasses.replace(config, param_dtype=config.dtype)
    )

  def place(self, batch: PyTree) -> PyTree:
    """Global arrays, cut along their rows, from a batch on the host."""
    return placement.place_batch(batch, self.mesh, rules.DECODING)
