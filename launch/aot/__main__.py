r"""Does it fit, how fast may it be? Compiles a run for devices elsewhere.

Examples:
  python -m launch.aot --topology=v5e:2x4 \
    --config=gsm8k:llama31_8b --config.mesh='(1,1,8)'
  python -m launch.aot --topology=v5e:4x8 --search \
    --config=gsm8k:qwen25_7b
  python -m launch.aot --topology=v5e:4x4 --search --programs=train \
    --config=gsm8k:qwen25_7b

No device, weight or data is needed: TPU programs are compiled by the TPU's own
compiler (extra `tpu`); for GPUs the CPU's stands in, and the numbers are
estimates. Seconds are lower bounds; docs/aot.md says how they are made. Exit
code 3: something does not fit.
"""

import json
import sys
import time

import jax
import ml_collections
from absl import flags

from experiments.harness import (
  checks,
  config_flag,
  console,
  memory_checks,
)
from launch.aot import (
  players,
  programs,
  search,
  slices,
  text,
  training_search,
)
from qsharp_jax import sharding
from qsharp_jax.core.errors import InputError

_CONFIG = config_flag.define(
  "gsm8k:llama31_8b",
  "config.reference and value.start are directories with config.json, or names "
  "such as llama-3.1-8b.",
)
_TOPOLOGY = flags.DEFINE_string(
  "topology", None, "CHIP:SHAPE, e.g. v5e:2x4 or h100:8.", required=True
)
_PROGRAMS = flags.DEFINE_list(
  "programs", list(programs.NAMES), "Which ones to compile."
)
_PROMPT_LENGTH = flags.DEFINE_integer(
  "prompt_length", 256, "Tokens of the longest prompt.", lower_bound=2
)
_SEARCH = flags.DEFINE_bool(
  "search",
  False,
  "Look for the mesh and batch of the fastest decoding; with --programs=train "
  "for the mesh and micro-batches of the fastest training step.",
)
_JSON = flags.DEFINE_bool("json", False, "End with one line of JSON.")


_DOES_NOT_FIT = 3  # exit code


def main(argv: list[str]) -> int:
  """Compiles, or searches, and prints; returns the exit code."""
  del argv
  start = time.monotonic()
  config = _CONFIG.value
  checks.check(config)
  unknown = set(_PROGRAMS.value) - set(programs.NAMES)
  if unknown or not _PROGRAMS.value:
    raise InputError(
      f"--programs is {','.join(_PROGRAMS.value)!r}; expected some of "
      f"{', '.join(programs.NAMES)}"
    )
  where = slices.find(_TOPOLOGY.value)
  found = (_search if _SEARCH.value else _predict)(config, where)
  found["seconds"] = round(time.monotonic() - start, 1)
  print(f"took {found['seconds']} s", file=sys.stderr)
  if _JSON.value:
    print(json.dumps(found, allow_nan=False), flush=True)
  return 0 if found["fits"] else _DOES_NOT_FIT


def _predict(
  config: ml_collections.ConfigDict, where: slices.Slice
) -> dict[str, object]:
  """Compiles the programs of the config as it is."""
  plan, scale = _plan(config, where)
  print(text.heading(plan, where), flush=True)
  found = search.compiled(plan, _PROGRAMS.value, where, scale)
  decoding = int(scale * plan.needed().total)
  training = int(plan.training_needed().total)
  print(text.comparison(found, decoding, training), flush=True)
  most = search.most_prompts(plan, where.chip.hbm_bytes / scale)
  print(text.most(plan, most), flush=True)
  return text.as_json(plan, where, found, decoding) | {
    "training_bytes_by_arithmetic": training,
    "most_prompts_by_arithmetic": most,
  }


def _search(
  config: ml_collections.ConfigDict, where: slices.Slice
) -> dict[str, object]:
  """Compares meshes and batches by arithmetic, and compiles the best."""
  run = training_search.run if _PROGRAMS.value == ["train"] else search.run
  return run(config, where, lambda config: _plan(config, where))


def _plan(
  config: ml_collections.ConfigDict, where: slices.Slice
) -> tuple[programs.Plan, float]:
  """What to compile, and how wide the real run's numbers are beside it."""
  config, scale = config.copy_and_resolve_references(), 1.0
  if where.is_estimate and config.dtype == "bfloat16":
    # A CPU emulates bfloat16, with copies of its own of all weights.
    config.dtype, scale = "float32", 0.5
  mesh = where.mesh(tuple(config.mesh))
  found = players.make(config, sharding.Layout(mesh))
  checks.check_rows(config, mesh.shape["data"] * mesh.shape["fsdp"])
  config.fit.num_microbatches = _num_microbatches(config, found, where, mesh)
  return programs.Plan(config, found, mesh, _prompt_length(config)), scale


def _num_microbatches(
  config: ml_collections.ConfigDict,
  found: players.Players,
  where: slices.Slice,
  mesh: jax.sharding.Mesh,
) -> int:
  """As the run would choose it; where none fits, the largest."""
  num_rows = config.fit.batch_size // (mesh.shape["data"] * mesh.shape["fsdp"])
  num_bytes = int(where.chip.hbm_bytes)
  try:
    return memory_checks.values(config.fit, found.policy, mesh, num_bytes)
  except InputError as refusal:
    print(f"by arithmetic: {refusal}", file=sys.stderr)
    return num_rows


def _prompt_length(config: ml_collections.ConfigDict) -> int:
  bucket = config.sampling.prompt_bucket
  return -(-_PROMPT_LENGTH.value // bucket) * bucket


if __name__ == "__main__":
  console.run(main)
