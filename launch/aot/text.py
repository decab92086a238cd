"""Predictions in words, and in one object."""

from typing import Any

from launch.aot import chips, programs, roofline, slices
from qsharp_jax.generate import memory

_GB = 1e9


def heading(plan: programs.Plan, where: slices.Slice) -> str:
  """What was compiled, for what."""
  own, policy = plan.config, plan.players.policy
  chip, mesh = where.chip, plan.mesh.shape
  count = lambda model, size: memory.parameter_bytes(model) / size / _GB
  size = 4 if own.dtype == "float32" else 2
  lines = [
    f"{where.name}: {len(where.devices)} devices with "
    f"{chip.hbm_bytes / _GB:g} GB and {chip.flops / 1e12:g} TFLOP/s; mesh "
    + ", ".join(f"{name} {size}" for name, size in mesh.items()),
    f"reference {own.reference}, {count(policy.reference, size):.2f}e9 "
    f"parameters; value {own.value.start or own.reference}, "
    f"{count(policy.value, size):.2f}e9",
    f"decoding {plan.rows} rows ({own.sampling.batch_size} prompts x "
    f"{plan.num_samples} samples) of {plan.prompt_length} + "
    f"{own.sampling.max_new_tokens} tokens, {own.sampling.num_candidates} "
    f"candidates, {policy.num_leaves} leaves a turn; training "
    f"{own.fit.batch_size} rows of {own.fit.max_length} in "
    f"{own.fit.num_microbatches} micro-batches",
  ]
  if where.is_estimate:
    lines.append(
      "ESTIMATE: there is no compiler for this chip here; the CPU's program "
      "for as many devices stands in, its bytes taken as of bfloat16"
    )
  return "\n".join(lines)


def program(found: roofline.Prediction, chip: chips.Chip) -> str:
  """One program, in a few lines."""
  parts = ", ".join(
    f"{name} {size / _GB:.2f}" for name, size in found.memory.items()
  )
  verdict = "fits" if found.fits else "DOES NOT FIT"
  lines = [
    f"\n{found.name}: {verdict}, {found.hbm_bytes / _GB:.2f} of "
    f"{chip.hbm_bytes / _GB:g} GB a device ({parts})"
  ]
  if found.refusal:
    return "\n".join([*lines, f"  the compiler says: {found.refusal}"])
  busy = {name: f"{1e3 * s:.2f} ms" for name, s in found.seconds.items()}
  exchanges = ", ".join(
    f"{times} {kind} of {num_bytes / 1e6:.1f} MB in all"
    for kind, (times, num_bytes) in found.collectives.items()
  )
  what = "turn of the loop" if found.name == "loop" else "run"
  return "\n".join(
    [
      *lines,
      f"  a device, a {what}: {found.flops:.3g} FLOP, {busy['compute']}; "
      f"{found.traffic / _GB:.2f} GB of memory ({found.counted / _GB:.2f} by "
      f"XLA's count), {busy['memory']}; {found.links / 1e6:.1f} MB over links, "
      f"{busy['links']}",
      f"  collectives: {exchanges or 'none'}",
      f"  at best {1e3 * found.step_seconds:.2f} ms, "
      f"{found.tokens_per_second:,.0f} tokens/s, limited by {found.limit}",
      *_further(found),
    ]
  )


def _further(found: roofline.Prediction) -> list[str]:
  """What a turn costs in which many rows are open after the first pass."""
  if not found.pass_seconds:
    return []
  spent = max(found.pass_seconds.values())
  return [
    f"  each pass over more candidates: {1e3 * spent:.2f} ms; a turn without "
    "one is shown"
  ]


def comparison(
  found: dict[str, roofline.Prediction], decoding: int, training: int
) -> str:
  """Bytes by arithmetic, beside the compiler's; "" without either."""
  sizes = [one.hbm_bytes for name, one in found.items() if name != "train"]
  lines = []
  if sizes:
    lines.append(_beside("decoding", decoding, max(sizes)))
  if "train" in found:
    lines.append(_beside("training", training, found["train"].hbm_bytes))
  return "\n" + "\n".join(lines) if lines else ""


def most(plan: programs.Plan, num_prompts: int) -> str:
  """The largest batch."""
  return (
    f"by arithmetic {num_prompts} prompts x {plan.num_samples} samples fit at "
    "most"
  )


def _beside(name: str, arithmetic: int, compilers: int) -> str:
  return (
    f"{name} by arithmetic: {arithmetic / _GB:.2f} GB a device, "
    f"{arithmetic / compilers - 1:+.1%} beside the compiler's"
  )


def as_json(
  plan: programs.Plan,
  where: slices.Slice,
  found: dict[str, roofline.Prediction],
  decoding: int,
) -> dict[str, Any]:
  """All of it for a program to read."""
  return {
    "topology": where.name,
    "num_devices": len(where.devices),
    "mesh": list(plan.mesh.shape.values()),
    "is_estimate": where.is_estimate,
    "fits": all(one.fits for one in found.values()),
    "hbm_bytes": max(one.hbm_bytes for one in found.values()),
    "decoding_bytes_by_arithmetic": decoding,
    "programs": {name: one.as_json() for name, one in found.items()},
  }
