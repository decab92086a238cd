"""Which mesh and how many micro-batches may train the values fastest.

All are compared by arithmetic from shapes, and the most promising of those that
fit are compiled. What does not fit is a row of the tables, too.
"""

import dataclasses
import operator
from typing import Any

import ml_collections

from launch.aot import search, slices
from launch.aot import training_arithmetic as arithmetic
from qsharp_jax.core.errors import InputError

_NUM_COMPILED = 5
_PARTS = ("compute", "memory", "links")


def run(
  config: ml_collections.ConfigDict, where: slices.Slice, make: search.Make
) -> dict[str, Any]:
  """Searches, prints tables, compiles, and returns the best as JSON.

  Args:
    config: its mesh and fit.num_microbatches are what is looked for.
    where: the devices.
    make: from a config to a plan, and the scale of its bytes.

  Raises:
    InputError: nothing fits.
  """
  num_devices = len(where.devices)
  plan, scale = make(_with(config, (1, 1, num_devices), 1))
  found = arithmetic.candidates(plan, where.chip, num_devices, scale)
  print(f"{where.name}: a training step by arithmetic, the best of every mesh")
  print(table(of_meshes(found)), flush=True)
  fitting = arithmetic.ranked([one for one in found if one.fits])
  if not fitting:
    raise InputError(
      f"training fits {where.name} on no mesh, not even row by row: take a "
      "larger slice, a smaller model or a lower fit.max_length"
    )
  print(
    f"of {len(found)} meshes with micro-batches {len(fitting)} fit, of which "
    f"the {min(_NUM_COMPILED, len(fitting))} most promising are compiled",
    flush=True,
  )
  compiled = [
    _compile(config, where, make, one) for one in fitting[:_NUM_COMPILED]
  ]
  print(f"\n{where.name}: a training step as compiled, the fastest first")
  print(table(sorted(compiled, key=operator.attrgetter("step_seconds"))))
  return _answer(config, where, make, compiled) | {
    "compiled": [_as_json(one) for one in compiled],
    "candidates": [_as_json(one) for one in found],
  }


def of_meshes(
  found: list[arithmetic.Candidate],
) -> list[arithmetic.Candidate]:
  """The first of every mesh, the fastest first; then what does not fit.

  Of a mesh on which none fits, the one that lacks the least.
  """
  firsts = []
  for mesh in {one.mesh: None for one in found}:
    own = [one for one in found if one.mesh == mesh]
    fitting = arithmetic.ranked([one for one in own if one.fits])
    firsts += fitting[:1] or [min(own, key=operator.attrgetter("hbm_bytes"))]
  return sorted(firsts, key=lambda one: (not one.fits, one.step_seconds))


def table(found: list[arithmetic.Candidate]) -> str:
  """Candidates as rows, in their order."""
  lines = [
    "data fsdp tensor  micro-batches  GB a device  compute ms  memory ms  "
    "links ms  limit"
  ]
  for one in found:
    data, fsdp, tensor = one.mesh
    parts = [
      f"{1e3 * one.seconds[part]:.2f}" if one.seconds else "–"
      for part in _PARTS
    ]
    lines.append(
      f"{data:4} {fsdp:4} {tensor:6}  {one.num_microbatches:13}  "
      f"{one.hbm_bytes / 1e9:11.2f}  {parts[0]:>10}  {parts[1]:>9}  "
      f"{parts[2]:>8}  {one.limit}"
    )
  return "\n".join(lines)


def _with(
  config: ml_collections.ConfigDict,
  mesh: tuple[int, int, int],
  num_microbatches: int,
) -> ml_collections.ConfigDict:
  """The config with another mesh and micro-batches.

  Prompts are rounded up, since the devices share them too.
  """
  config = config.copy_and_resolve_references()
  groups = mesh[0] * mesh[1]
  config.mesh, config.fit.num_microbatches = mesh, num_microbatches
  for name in ("batch_size", "prompts_per_refill"):
    config.sampling[name] = -(-config.sampling[name] // groups) * groups
  return config


def _compile(
  config: ml_collections.ConfigDict,
  where: slices.Slice,
  make: search.Make,
  one: arithmetic.Candidate,
) -> arithmetic.Candidate:
  """A candidate as the compiler has it."""
  plan, scale = make(_with(config, one.mesh, one.num_microbatches))
  print(
    f"\ncompiled: mesh {one.mesh}, {one.num_microbatches} micro-batches",
    flush=True,
  )
  found = search.compiled(plan, ["train"], where, scale)["train"]
  return dataclasses.replace(
    one, hbm_bytes=found.hbm_bytes, fits=found.fits, seconds=found.seconds
  )


def _answer(
  config: ml_collections.ConfigDict,
  where: slices.Slice,
  make: search.Make,
  compiled: list[arithmetic.Candidate],
) -> dict[str, Any]:
  """Prints the fields that select the best; returns it."""
  fitting = [one for one in compiled if one.fits]
  one = arithmetic.best(fitting) if fitting else compiled[0]
  chosen = _with(config, one.mesh, one.num_microbatches)
  plan, scale = make(chosen)
  decoding = int(scale * plan.needed().total)
  fields = _fields(config, chosen)
  print(f"\nbest: {' '.join(fields)}" if fitting else "\nnone of these fits")
  print(
    f"decoding {plan.rows} rows there takes {decoding / 1e9:.2f} of "
    f"{where.chip.hbm_bytes / 1e9:g} GB a device by arithmetic"
  )
  return {
    "topology": where.name,
    "num_devices": len(where.devices),
    "is_estimate": where.is_estimate,
    "fields": fields,
    "decoding_bytes_by_arithmetic": decoding,
  } | _as_json(one)


def _fields(
  config: ml_collections.ConfigDict, chosen: ml_collections.ConfigDict
) -> list[str]:
  """Of the command line: what is looked for, and what had to change with it."""
  mesh = ",".join(map(str, chosen.mesh))
  found = [
    f"--config.mesh='({mesh})'",
    f"--config.fit.num_microbatches={chosen.fit.num_microbatches}",
  ]
  for name in ("batch_size", "prompts_per_refill"):
    if chosen.sampling[name] != config.sampling[name]:
      found.append(f"--config.sampling.{name}={chosen.sampling[name]}")
  return found


def _as_json(one: arithmetic.Candidate) -> dict[str, Any]:
  """Plain numbers, None where there is none."""
  return dataclasses.asdict(one) | {
    "step_seconds": one.step_seconds if one.seconds else None,
    "limited_by": one.limit if one.seconds else None,
  }
