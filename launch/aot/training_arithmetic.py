"""What a training step may take on a mesh, by arithmetic from shapes.

It counts what every step moves: weights, gradients and moments, activations
that are kept for the backward pass, and scores of attention where a block of
them is too large for the chip. `roofline` reads what the compiler makes of it.
"""

import dataclasses
import itertools
import math
import operator

import jax

from launch.aot import chips, players, programs, roofline, search
from qsharp_jax import models
from qsharp_jax.generate import memory
from qsharp_jax.models import attention
from qsharp_jax.sharding import mesh as mesh_lib

# Bytes of a block of scores from which on the TPU's compiler moved them to main
# memory, in the programs of docs/aot.md, and how often it then did.
_LARGE_BLOCK = 2**25
_SCORES_MOVED = 4
# What is so near to the fastest counts as fast.
_AS_FAST = 1.01


@dataclasses.dataclass(frozen=True)
class Candidate:
  """A mesh and micro-batches, and what is said of a step with them."""

  mesh: tuple[int, int, int]  # data, fsdp, tensor
  num_microbatches: int
  hbm_bytes: int
  fits: bool
  seconds: dict[str, float]  # empty where the compiler refused it

  @property
  def step_seconds(self) -> float:
    """Of the busiest part."""
    return max(self.seconds.values(), default=math.inf)

  @property
  def all_seconds(self) -> float:
    """Of all parts, one after the other."""
    return sum(self.seconds.values()) if self.seconds else math.inf

  @property
  def limit(self) -> str:
    """The busiest part, or that it does not fit."""
    if not self.fits:
      return "does not fit"
    return max(self.seconds, key=self.seconds.__getitem__)


def candidates(
  plan: programs.Plan, chip: chips.Chip, num_devices: int, scale: float = 1.0
) -> list[Candidate]:
  """All meshes with all micro-batches that cut the rows of a batch.

  Args:
    plan: its mesh and micro-batches do not matter.
    chip: of the devices.
    num_devices: how many there are.
    scale: bytes of an activation or weight, over those that the plan says.
  """
  rows = plan.config.fit.batch_size
  return [
    candidate(plan, chip, mesh, number, scale)
    for mesh in meshes(num_devices)
    for number in range(1, rows + 1)
    if rows % (mesh[0] * mesh[1] * number) == 0
  ]


def meshes(num_devices: int) -> list[tuple[int, int, int]]:
  """All meshes of so many devices."""
  sizes = range(1, num_devices + 1)
  return [
    (data, fsdp, num_devices // (data * fsdp))
    for data, fsdp in itertools.product(sizes, sizes)
    if num_devices % (data * fsdp) == 0
  ]


def candidate(
  plan: programs.Plan,
  chip: chips.Chip,
  mesh: tuple[int, int, int],
  num_microbatches: int,
  scale: float = 1.0,
) -> Candidate:
  """What arithmetic says of a mesh and micro-batches."""
  value, own = plan.players.policy.value, plan.config.fit
  abstract = jax.sharding.AbstractMesh(mesh, mesh_lib.AXES)
  tokens = own.batch_size // (mesh[0] * mesh[1]) * own.max_length
  needed = plan.training_needed(abstract, num_microbatches)
  size = needed.state + needed.gradients
  size += int(scale * (needed.activations + needed.beside))
  # Of a forward pass: one forward and, above what is frozen, two backward;
  # layers that are computed again are one more.
  trained = 1 - own.num_frozen_layers / value.config.num_layers
  again = trained * value.config.remat
  flops = players.flops(value, tokens, abstract) * (1 + 2 * trained + again)
  weights = scale * memory.parameter_bytes(value, abstract)
  # Weights are read forward and backward, sums of gradients read and written.
  num_sums = num_microbatches if num_microbatches > 1 else 0
  traffic = 2 * (num_microbatches * weights + needed.state)
  traffic += num_sums * needed.gradients
  traffic += 2 * num_microbatches * scale * needed.activations
  traffic += _scores(value, tokens, num_microbatches, own.max_length, abstract)
  links = num_microbatches * weights * _exchanges(*mesh[:2])
  sent = scale * search.exchanged(value.config, mesh[2])
  links += tokens * sent * (1 + trained + again)
  return Candidate(
    mesh,
    num_microbatches,
    size,
    size <= chip.hbm_bytes,
    roofline.seconds(chip, flops=flops, traffic=traffic, links=links),
  )


def _exchanges(data: int, fsdp: int) -> float:
  """How often its weights leave a device with each micro-batch.

  Over fsdp they are gathered twice and gradients summed, of which every device
  keeps its part; those parts are summed over data.
  """
  return 3 * (fsdp - 1) / fsdp + 2 * (data - 1) / data / fsdp


def _scores(
  value: models.ValueModel,
  tokens: int,
  num_microbatches: int,
  length: int,
  mesh: jax.sharding.AbstractMesh,
) -> int:
  """Bytes of attention's scores that go to main memory and come back."""
  if not attention.is_in_blocks(length):
    return 0  # they are counted with what is kept
  own = memory.on_one_device(value.config, mesh)
  of_query = own.num_heads * length * 4
  rows = tokens // (num_microbatches * length)
  is_large = rows * attention.BLOCK * of_query >= _LARGE_BLOCK
  return _SCORES_MOVED * is_large * own.num_layers * tokens * of_query


def ranked(found: list[Candidate]) -> list[Candidate]:
  """The most promising first.

  Arithmetic is good for two digits: what is as fast by these is ordered by all
  three parts together, which never overlap as well as is assumed.
  """

  def rank(one: Candidate) -> tuple[float, float]:
    return float(f"{one.step_seconds:.2g}"), one.all_seconds

  return sorted(found, key=rank)


def best(found: list[Candidate]) -> Candidate:
  """Of the fastest, and what is as fast, the one whose parts do the least."""
  fastest = min(one.step_seconds for one in found)
  near = [one for one in found if one.step_seconds <= _AS_FAST * fastest]
  return min(near, key=operator.attrgetter("all_seconds"))
