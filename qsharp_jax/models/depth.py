"""New layers on top of trained ones."""

from qsharp_jax.core.arrays import PyTree

# What a layer adds to its input passes through these two.
_OUTPUTS = (("attention", "output"), ("mlp", "down"))


def grow(params: PyTree, deeper: PyTree) -> PyTree:
  """Puts the layers that `params` lacks on top; at first they add nothing.

  The grown model computes what the old one does: the new layers' output
  projections are zero, all else of them is as drawn.

  Args:
    params: of a model, {"params": {"backbone": ..., ...}}.
    deeper: random ones of the same model with more layers.

  Returns:
    The parameters of the deeper model.
  """
  old, new = params["params"], deeper["params"]
  added = {
    name: _silent(layer)
    for name, layer in new["backbone"].items()
    if name not in old["backbone"]
  }
  return {"params": {**old, "backbone": {**old["backbone"], **added}}}


def _silent(layer: PyTree) -> PyTree:
  """A layer that passes its input on."""
  for part, output in _OUTPUTS:
    silent = {name: 0 * x for name, x in layer[part][output].items()}
    layer = {**layer, part: {**layer[part], output: silent}}
  return layer
