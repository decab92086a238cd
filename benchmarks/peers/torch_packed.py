"""Linear layers of PyTorch on CPU with weights packed by oneDNN.

`torch.nn.functional.linear` takes its weights as they lie, and reads those of
8 rows at a third of the machine's bandwidth. Packed, they are read at nearly
all of it. PyTorch has the operators, but makes no use of them here: its
compiler's own packing (`freezing`) takes another, slower library.
"""

import copy

import torch

_WEIGHTS = []  # packed tensors have no strides, which operators must not see


@torch.library.custom_op("benchmarks::packed_linear", mutates_args=())
def _packed_linear(x: torch.Tensor, index: int, width: int) -> torch.Tensor:
  del width
  weight = _WEIGHTS[index]
  return torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")


@_packed_linear.register_fake
def _(x, index, width):
  del index
  return x.new_empty(*x.shape[:-1], width)


class _PackedLinear(torch.nn.Module):
  """A layer without bias, packed for `rows`; others go the usual way."""

  def __init__(self, layer: torch.nn.Linear, rows: int):
    super().__init__()
    self._layer, self._rows, self._index = layer, rows, len(_WEIGHTS)
    weight = layer.weight.detach()
    _WEIGHTS.append(torch.ops.mkldnn._reorder_linear_weight(weight, rows))

  def forward(self, x):
    if x.numel() != self._rows * x.shape[-1]:
      return self._layer(x)
    return _packed_linear(x, self._index, self._layer.out_features)


def pack(model: torch.nn.Module, rows: int) -> torch.nn.Module:
  """The model with packed linear layers; it shares all other tensors."""
  shared = {id(tensor): tensor for tensor in model.parameters()}
  model = copy.deepcopy(model, shared)
  for parent in list(model.modules()):
    for name, child in list(parent.named_children()):
      if isinstance(child, torch.nn.Linear) and child.bias is None:
        setattr(parent, name, _PackedLinear(child, rows))
  return model
