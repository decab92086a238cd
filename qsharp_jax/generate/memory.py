"""Memory of guided decoding, predicted before any of it is allocated.

Weights, caches and tables are counted from their shapes, exactly. What a
program needs besides is an estimate, made for float32 on CPU, and checked
against the compiler's own figures by the tests. Given a mesh, all bytes are
those of one of its devices; without one, those of all devices together, each
array counted once, though a mesh may replicate it.
"""

import dataclasses
import functools
import itertools
import math
import os
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from qsharp_jax.core.arrays import PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import policy as policy_lib
from qsharp_jax.models import cache as cache_lib
from qsharp_jax.models import config as config_lib
from qsharp_jax.sharding import placement, rules

Mesh = jax.sharding.Mesh | jax.sharding.AbstractMesh | None

# Arrays of the width of the vocabulary that a step holds at once: while it
# makes the distribution and draws from it, and while the value model runs.
_DISTRIBUTION_TABLES, _LOGITS_TABLES = 8, 3
# The compiler overlaps the reading of a prompt by both models, more or less.
_OVERLAP = 0.6
_GB = 1e9


@dataclasses.dataclass(frozen=True)
class Needed:
  """Bytes by what they are for."""

  reference: int  # weights, an actor's included
  value: int  # weights
  caches: int  # of all models, with room for the completions
  workspace: int  # per-token tables, activations, logits
  reward: int = 0  # of a reward model: weights and its own workspace

  @property
  def total(self) -> int:
    """Bytes in all."""
    models = self.reference + self.value + self.reward
    return models + self.caches + self.workspace


def needed(
  policy: policy_lib.Policy,
  *,
  batch_size: int,
  num_samples: int = 1,
  prompt_length: int,
  max_new_tokens: int,
  num_newcomers: int = 0,
  mesh: Mesh = None,
) -> Needed:
  """Most bytes held at once, in the prefill or in the loop after it.

  Args:
    policy: the models; nothing of them is allocated.
    batch_size: prompts decoded together.
    num_samples: samples of each prompt.
    prompt_length: of the padded prompts, in tokens.
    max_new_tokens: room for each completion, in tokens.
    num_newcomers: prompts read at once, to take the place of finished ones,
      while the others stay in memory; fewer than the batch that starts.
    mesh: of the devices, laid out for decoding; None is one device.

  Returns:
    The prediction, for one device.
  """
  cut = functools.partial(share, mesh=mesh, axes=("data", "fsdp"))
  batch_size, num_newcomers = cut(batch_size), cut(num_newcomers)
  rows, new_rows = batch_size * num_samples, num_newcomers * num_samples
  # The last prompt token is left to the loop.
  num_read = prompt_length - 1
  num_slots = prompt_length + max_new_tokens + policy.num_spare(max_new_tokens)
  whole = list(itertools.chain(*policy.decoders.values()))
  configs = [on_one_device(c, mesh) for c in whole]
  held = [(rows, num_slots)] + [(new_rows, num_read)] * (new_rows > 0)
  # Tokens and four numbers of each.
  tables = (rows + new_rows) * max_new_tokens * 5 * 4
  prefill = _prefill_bytes(configs, batch_size, num_read)
  return Needed(
    reference=sum(_weights(policy, x, mesh) for x in ("reference", "actor")),
    value=_weights(policy, "value", mesh),
    caches=sum(cache_bytes(c, *sizes) for c in configs for sizes in held),
    workspace=tables + max(prefill, _step_bytes(policy, rows, num_slots, mesh)),
  )


def check(
  predict: Callable[[int], Needed],
  batch_size: int,
  available: int,
  *,
  name: str = "this",
) -> Needed:
  """The prediction, refused where it is more than there is.

  Args:
    predict: from a batch size to what it needs, such as a partial `needed`.
    batch_size: the one wanted.
    available: bytes of a device, see `available_bytes`.
    name: of what is checked.

  Returns:
    What is needed.

  Raises:
    InputError: it does not fit. Names the largest batch that does.
  """
  found = predict(batch_size)
  if found.total <= available:
    return found
  most = _most(lambda size: predict(size).total <= available, batch_size)
  advice = (
    f"lower sampling.batch_size from {batch_size} to at most {most}"
    if most
    else "not even sampling.batch_size 1 fits: lower "
    "sampling.max_new_tokens or take a smaller model"
  )
  reward = f"reward model {_gb(found.reward)}, " * bool(found.reward)
  raise InputError(
    f"{name} needs {_gb(found.total)} GB (reference {_gb(found.reference)}, "
    f"value {_gb(found.value)}, {reward}caches {_gb(found.caches)}, workspace "
    f"{_gb(found.workspace)}) on each device, which has {_gb(available)}: "
    f"{advice}"
  )


def available_bytes(devices: Sequence[jax.Device]) -> int:
  """Bytes that the smallest of this host's devices has, used or not.

  Devices that do not say, such as CPUs, share the host's memory.
  """
  stats = [device.memory_stats() or {} for device in devices]
  limits = [stat["bytes_limit"] for stat in stats if "bytes_limit" in stat]
  if limits:
    return min(limits)
  whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
  return whole // len(devices)


def _weights(policy: policy_lib.Policy, name: str, mesh: Mesh) -> int:
  model = getattr(policy, name)
  return 0 if model is None else parameter_bytes(model, mesh)


@functools.cache
def parameter_bytes(
  model: nn.Module, mesh: Mesh = None, table: rules.Rules = rules.DECODING
) -> int:
  """Bytes of the weights of a language or value model on one device."""
  shapes, _ = placement.variables(model, "prefill")
  if mesh is None:
    return _bytes(shapes)
  places = placement.shardings(model, mesh, table, method="prefill")

  def own(x, place):
    return jax.ShapeDtypeStruct(place.shard_shape(x.shape), x.dtype)

  return _bytes(jax.tree.map(own, shapes, places))


def share(size: int, *, mesh: Mesh, axes: Sequence[str]) -> int:
  """What one device has of a dimension; all, where it cannot be cut."""
  num_parts = 1 if mesh is None else math.prod(mesh.shape[x] for x in axes)
  return size if size % num_parts else size // num_parts


def on_one_device(
  config: config_lib.DecoderConfig, mesh: Mesh
) -> config_lib.DecoderConfig:
  """The part of a decoder that a device has, as if it were a decoder."""
  cut = functools.partial(share, mesh=mesh, axes=("tensor",))
  # Caches keep heads more than once where more devices than heads share them.
  config = config.shared_by(1 if mesh is None else mesh.shape["tensor"])
  sizes = {
    name: cut(getattr(config, name))
    for name in ("vocab_size", "num_heads", "mlp_width")
  }
  kept = cut(config.num_kv_heads * config.kv_copies)
  return dataclasses.replace(config, **sizes, num_kv_heads=kept, kv_copies=1)


def cache_bytes(
  config: config_lib.DecoderConfig, rows: int, num_slots: int
) -> int:
  """Bytes of the keys, values and positions of `rows` sequences."""
  return _bytes(
    jax.eval_shape(lambda: cache_lib.empty(config, rows, num_slots))
  )


def _prefill_bytes(
  configs: Sequence[config_lib.DecoderConfig], num_prompts: int, num_read: int
) -> int:
  """Workspace of reading the prompts, with the reference, then the value."""
  first, *others = (reading_bytes(c, num_prompts, num_read) for c in configs)
  return first + int(_OVERLAP * sum(others))


def reading_bytes(
  config: config_lib.DecoderConfig, rows: int, length: int
) -> int:
  """Workspace of one pass over `rows` sequences of so many tokens."""
  projected = 3 * config.width * jnp.dtype(config.dtype).itemsize
  attention = _score_bytes(config, length) + projected
  return rows * length * max(attention, _mlp_bytes(config))


def _step_bytes(
  policy: policy_lib.Policy, rows: int, num_slots: int, mesh: Mesh
) -> int:
  """Workspace of a decode step: the distribution, or the values before it."""
  table = rows * on_one_device(policy.reference.config, mesh).vocab_size * 4
  distribution = _DISTRIBUTION_TABLES * table
  if policy.value is None:
    return distribution
  values = max(
    _score_bytes(c, num_slots) + _mlp_bytes(c)
    for c in (on_one_device(c, mesh) for c in policy.value.decoders)
  )
  tokens = rows * (1 + policy.num_leaves)
  return max(distribution, _LOGITS_TABLES * table + tokens * values)


def _score_bytes(config: config_lib.DecoderConfig, num_keys: int) -> int:
  """Of one token in one layer: float32, before and after the softmax."""
  return 2 * config.num_heads * num_keys * 4


def _mlp_bytes(config: config_lib.DecoderConfig) -> int:
  """Of one token in one layer: both branches, input and output."""
  size = jnp.dtype(config.dtype).itemsize
  return 2 * (config.mlp_width + config.width) * size


def _most(fits: Callable[[int], bool], too_many: int) -> int:
  """Largest number below `too_many` that fits, by bisection; 0 if none."""
  low, high = 0, too_many
  while high - low > 1:
    middle = (low + high) // 2
    low, high = (middle, high) if fits(middle) else (low, middle)
  return low


def _bytes(tree: PyTree) -> int:
  return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


def _gb(num_bytes: int) -> str:
  return f"{num_bytes / _GB:.3g}"
