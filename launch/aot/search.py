"""Which mesh and batch may decode fastest, of those that fit.

All are compared by arithmetic from shapes; only the best are compiled. Data and
fsdp mean the same to decoding, so what is not tensor goes to fsdp, which
training can use.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from launch.aot import chips, players, programs, roofline, slices, text
from qsharp_jax import generate, models
from qsharp_jax.core.errors import InputError
from qsharp_jax.sharding import mesh as mesh_lib

_MOST_ROWS = 2**14
_NUM_COMPILED = 2
_CONFIRMED_BY = ("prefill", "step")

Make = Callable[[ml_collections.ConfigDict], tuple[programs.Plan, float]]


@dataclasses.dataclass(frozen=True)
class Candidate:
  """A mesh and a batch, and what arithmetic says of them."""

  mesh: tuple[int, int, int]
  batch_size: int  # prompts
  rows: int
  hbm_bytes: int
  seconds: dict[str, float]  # of a decode step

  @property
  def step_seconds(self) -> float:
    """Of the busiest part."""
    return max(self.seconds.values())

  @property
  def tokens_per_second(self) -> float:
    """Of all devices."""
    return self.rows / self.step_seconds


def run(
  config: ml_collections.ConfigDict, where: slices.Slice, make: Make
) -> dict[str, Any]:
  """Searches, prints a table, compiles the best, and returns it as JSON.

  Args:
    config: its mesh and sampling.batch_size are what is looked for.
    where: the devices.
    make: from a config to a plan, and the scale of its bytes.

  Raises:
    InputError: nothing fits.
  """
  plan, scale = make(_with(config, meshes(len(where.devices))[0], None))
  found = sorted(
    candidates(plan, where.chip, len(where.devices), scale),
    key=lambda one: -one.tokens_per_second,
  )
  if not found:
    raise InputError(
      f"not even one prompt a device group fits {where.name} on any mesh: take "
      "a larger slice, a smaller model or fewer sampling.max_new_tokens"
    )
  print(table(found, where), flush=True)
  confirmed = []
  for best in found:
    confirmed.append(_confirm(config, where, make, best))
    if sum(one["fits"] for one in confirmed) == _NUM_COMPILED:
      break
  return _answer(where, found, confirmed)


def candidates(
  plan: programs.Plan, chip: chips.Chip, num_devices: int, scale: float = 1.0
) -> list[Candidate]:
  """Of every mesh the batch that may decode fastest, where one fits."""
  found = []
  for mesh in meshes(num_devices):
    of_mesh = []
    batch_size = mesh[0] * mesh[1]
    while batch_size * plan.num_samples <= _MOST_ROWS:
      one = candidate(plan, chip, mesh, batch_size, scale)
      if one.hbm_bytes <= chip.hbm_bytes:
        of_mesh.append(one)
      batch_size *= 2
    if of_mesh:
      # Of equal ones the smallest.
      found.append(max(of_mesh, key=lambda one: one.tokens_per_second))
  return found


def candidate(
  plan: programs.Plan,
  chip: chips.Chip,
  mesh: tuple[int, int, int],
  batch_size: int,
  scale: float = 1.0,
) -> Candidate:
  """What arithmetic says of a mesh and a batch."""
  policy = plan.players.policy
  abstract = jax.sharding.AbstractMesh(mesh, mesh_lib.AXES)
  needed = plan.needed(abstract, batch_size)
  rows = batch_size * plan.num_samples
  own_rows = rows // (mesh[0] * mesh[1])
  flops, links = 0.0, 0.0
  for model, tokens in _readers(policy):
    flops += players.flops(model, own_rows * tokens, abstract)
    links += own_rows * tokens * exchanged(model.config, mesh[2])
  # The weights and the whole ring of the caches are read at every step.
  traffic = scale * (needed.reference + needed.value + needed.caches)
  seconds = roofline.seconds(
    chip, flops=flops, traffic=traffic, links=scale * links
  )
  return Candidate(mesh, batch_size, rows, int(scale * needed.total), seconds)


def most_prompts(plan: programs.Plan, num_bytes: float) -> int:
  """How many may be decoded together on a plan's mesh; 0: not one a group."""
  groups = plan.mesh.shape["data"] * plan.mesh.shape["fsdp"]
  most = 0
  for step in (2**i for i in reversed(range(_MOST_ROWS.bit_length()))):
    needed = plan.needed(batch_size=(most + step) * groups)
    most += step * (needed.total <= num_bytes)
  return most * groups


def _readers(policy: generate.Policy):
  """The models, and the tokens of a row that each reads in a step."""
  yield policy.reference, 1
  yield policy.value, 1 + policy.num_leaves


def exchanged(config: models.DecoderConfig, num_parts: int) -> float:
  """Bytes of a token that leave a device: two sums a layer, once over."""
  size = config.width * jnp.dtype(config.dtype).itemsize
  return 2 * config.num_layers * size * 2 * (num_parts - 1) / num_parts


def meshes(num_devices: int) -> list[tuple[int, int, int]]:
  """Meshes of so many devices that differ to decoding."""
  sizes = [n for n in range(1, num_devices + 1) if num_devices % n == 0]
  return [(1, num_devices // tensor, tensor) for tensor in sizes]


def _with(
  config: ml_collections.ConfigDict,
  mesh: tuple[int, int, int],
  batch_size: int | None,
) -> ml_collections.ConfigDict:
  """The config with another mesh and batch."""
  config = config.copy_and_resolve_references()
  groups = mesh[0] * mesh[1]
  config.mesh = mesh
  config.sampling.batch_size = batch_size or groups
  config.sampling.prompts_per_refill = groups
  # Training is not looked at; its rows only have to divide.
  config.fit.batch_size = groups * config.fit.num_microbatches
  return config


def table(found: list[Candidate], where: slices.Slice) -> str:
  """The candidates, the fastest first."""
  lines = [
    f"{where.name}: the best batch of every mesh that fits, by arithmetic",
    "data fsdp tensor  prompts   rows  GB a device  ms a step  tokens/s  limit",
  ]
  for one in found:
    data, fsdp, tensor = one.mesh
    lines.append(
      f"{data:4} {fsdp:4} {tensor:6}  {one.batch_size:7} {one.rows:6}  "
      f"{one.hbm_bytes / 1e9:11.2f}  {1e3 * one.step_seconds:9.2f}  "
      f"{one.tokens_per_second:8,.0f}  " + max(one.seconds, key=one.seconds.get)
    )
  return "\n".join(lines)


def _confirm(
  config: ml_collections.ConfigDict,
  where: slices.Slice,
  make: Make,
  best: Candidate,
) -> dict[str, Any]:
  """Compiles a candidate."""
  plan, scale = make(_with(config, best.mesh, best.batch_size))
  print(f"\ncompiled: mesh {best.mesh}, {best.rows} rows", flush=True)
  predictions = compiled(plan, _CONFIRMED_BY, where, scale)
  found = text.as_json(plan, where, predictions, best.hbm_bytes)
  return found | {
    "batch_size": best.batch_size,
    "step_seconds_by_arithmetic": best.step_seconds,
  }


def compiled(
  plan: programs.Plan, names: Sequence[str], where: slices.Slice, scale: float
) -> dict[str, roofline.Prediction]:
  """Compiles programs of a plan, and prints each as soon as it is there."""
  found = {}
  for program in plan.compile(names):
    one = roofline.predict(program, where.chip, scale=scale)
    found[one.name] = one
    print(text.program(one, where.chip), flush=True)
  return found


def _answer(
  where: slices.Slice, found: list[Candidate], confirmed: list[dict[str, Any]]
) -> dict[str, Any]:
  speed = lambda one: one["programs"]["step"]["tokens_per_second"] or 0.0
  fitting = [one for one in confirmed if one["fits"]]
  best = max(fitting, key=speed, default=confirmed[0])
  print(f"\nbest: mesh {tuple(best['mesh'])}, batch {best['batch_size']}")
  return best | {
    "candidates": [
      dataclasses.asdict(one) | {"tokens_per_second": one.tokens_per_second}
      for one in found
    ],
  }
