"""Programs compiled by the TPU's own compiler, on a small model."""

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys

import jax
import pytest

from experiments.configs import gsm8k
from launch.aot import exchanges, hlo, players, programs, roofline, slices
from qsharp_jax import sharding
from qsharp_jax.checkpoint import families
from qsharp_jax.sharding import rules

needs_compiler = pytest.mark.skipif(
  importlib.util.find_spec("libtpu") is None,
  reason="the TPU compiler, libtpu, is not installed (extra tpu)",
)

# Every matrix is larger than what a step may gather.
_SHAPE = {
  "model_type": "llama",
  "vocab_size": 4096,
  "hidden_size": 1024,
  "num_hidden_layers": 1,
  "num_attention_heads": 8,
  "num_key_value_heads": 4,
  "head_dim": 128,
  "intermediate_size": 2048,
  "max_position_embeddings": 4096,
  "rms_norm_eps": 1e-5,
}
_SMALLEST_MATRIX = 2 * 4 * 128 * 1024  # bytes, of keys
_SLOTS = 128 + 2048
_FLAGS = {
  "sampling.batch_size": 8,
  "sampling.prompts_per_refill": 8,
  "sampling.max_new_tokens": 2048,
  "sampling.num_candidates": 4,
  "rounds.num_samples": 4,
  "evaluation.num_samples": 4,
  "fit.batch_size": 4,
  "fit.num_microbatches": 2,
  "fit.max_length": 128,
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
  """A model directory without weights."""
  found = tmp_path_factory.mktemp("shape")
  (found / "config.json").write_text(json.dumps(_SHAPE))
  return str(found)


@pytest.fixture(scope="module")
def plan(directory):
  config = gsm8k.get_config("llama31_8b")
  config.update_from_flattened_dict(_FLAGS)
  config.reference = config.value.start = directory
  mesh = slices.find("v5e:2x4").mesh((1, 2, 4))
  return programs.Plan(
    config, players.make(config, sharding.Layout(mesh)), mesh, 128
  )


@pytest.fixture(scope="module")
def loop(plan):
  (found,) = plan.compile(["loop"])
  return found


def gathered(program):
  """Bytes of the largest array that is gathered."""
  found = exchanges.collectives(hlo.parse(program.compiled.as_text()))
  return max(x.num_bytes for x in found if x.kind == "all-gather")


@needs_compiler
def test_the_loop_gathers_neither_weights_nor_caches(plan, loop):
  cache = 32 * 4 * _SLOTS * 128 * 2
  assert gathered(loop) < min(_SMALLEST_MATRIX, cache) / 2
  # Cut as for training, weights are gathered: this would be seen.
  table = dict(rules.DECODING) | {"embed": "fsdp"}
  other = dataclasses.replace(plan)
  other.__dict__["params"] = {
    name: players.abstract(
      getattr(plan.players.policy, name), plan.mesh, tuple(table.items())
    )
    for name in ("reference", "value")
  }
  (found,) = other.compile(["step"])
  assert gathered(found) >= _SMALLEST_MATRIX


@needs_compiler
def test_the_loop_sorts_no_vocabulary(loop):
  program = hlo.parse(loop.compiled.as_text())
  kinds = [line for block in program for line in block.lines]
  sorts = [line for line in kinds if line.kind == "sort"]
  widths = [
    int(size)
    for line in sorts
    for size in line.result.split("]")[0].split("[")[1].split(",")
  ]
  assert all(width < 4096 / 4 for width in widths)
  # The likeliest tokens are looked for; on their own part by every device.
  assert (
    any('custom_call_target="TopK"' in line.rest for line in kinds) or sorts
  )


@needs_compiler
def test_the_caches_stay_where_they_lie(plan, loop):
  memory = loop.compiled.memory_analysis()
  held = loop.held["caches"]
  assert memory.alias_size_in_bytes >= held
  assert memory.temp_size_in_bytes < held


@needs_compiler
def test_a_prediction_counts_one_device(plan, loop):
  found = roofline.predict(loop, slices.find("v5e:2x4").chip)
  # A row reads one token by the reference and 5 by the values; 16 rows a
  # group, weights and heads cut four times, embeddings not multiplied.
  layer = 1024 * (2 * 8 + 2 * 4) * 128 + 3 * 1024 * 2048
  attention = 2 * _SLOTS * 1024
  flops = 2 * 16 * ((1 + 5) * (layer + attention) + 4096 * 1024) / 4
  assert found.flops == pytest.approx(flops, rel=0.1)
  weights = 2 * (2 * layer + 3 * 4096 * 1024) / 4
  assert found.memory["reference"] + found.memory["value"] == pytest.approx(
    weights, rel=0.01
  )
  least = sum(loop.held.values()) - 2 * 4096 * 1024 * 2 / 4
  assert 0.9 * least < found.traffic < 2 * least


@needs_compiler
def test_arithmetic_is_near_the_compiler(plan, loop):
  (first,) = plan.compile(["prefill"])
  chip = slices.find("v5e:2x4").chip
  found = max(roofline.predict(x, chip).hbm_bytes for x in (first, loop))
  assert plan.needed().total == pytest.approx(found, rel=0.1)
  # The loop was compiled for a state that lies where the prefill leaves it.
  left = first.compiled.output_shardings.caches
  same = lambda x, place: x.sharding.is_equivalent_to(place, x.ndim)
  assert jax.tree.all(jax.tree.map(same, plan.state().caches, left))


def aot(*arguments):
  here = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
  return subprocess.run(
    [sys.executable, "-m", "launch.aot", *arguments],
    cwd=here,
    capture_output=True,
    text=True,
    env=os.environ | {"PYTHONPATH": os.pathsep.join([here, *sys.path])},
  )


@needs_compiler
def test_what_does_not_fit_is_told_by_the_exit_code(directory):
  flags = _FLAGS | {
    "sampling.batch_size": 2**18,
    "reference": directory,
    "value.start": directory,
    "mesh": "(1,8,1)",
    "fit.batch_size": 16,
  }
  done = aot(
    "--topology=v5e:2x4",
    "--programs=step,train",
    "--json",
    *(f"--config.{name}={value}" for name, value in flags.items()),
  )
  assert done.returncode == 3, done.stderr
  found = json.loads(done.stdout.splitlines()[-1])
  step, train = found["programs"]["step"], found["programs"]["train"]
  assert not found["fits"] and not step["fits"] and train["fits"]
  assert step["hbm_bytes"] > 16e9 > train["hbm_bytes"] > 0
  assert train["tokens_per_second"] * train["step_seconds"] == pytest.approx(
    16 * 128
  )
  assert "DOES NOT FIT" in done.stdout
  by_arithmetic = found["training_bytes_by_arithmetic"]
  assert 0.9 < by_arithmetic / train["hbm_bytes"] < 1.5


def test_a_mistake_is_one_line():
  done = aot("--topology=h100:8", "--config.reference=gpt-9")
  assert done.returncode == 2 and done.stdout == ""
  (line,) = done.stderr.splitlines()
  assert line.startswith("error: ") and "'gpt-9' is not known" in line


def test_a_gpu_is_estimated_from_the_cpus_program(directory):
  config = gsm8k.get_config("llama31_8b")
  config.update_from_flattened_dict(_FLAGS)
  config.reference = config.value.start = directory
  config.dtype = "float32"
  where = slices.find(f"h100:{jax.device_count()}")
  mesh = where.mesh((1, 2, jax.device_count() // 2))
  plan = programs.Plan(
    config, players.make(config, sharding.Layout(mesh)), mesh, 128
  )
  (step,) = plan.compile(["step"])
  assert where.is_estimate
  found = roofline.predict(step, where.chip, scale=0.5)
  decoder = families.from_hf(_SHAPE)
  assert found.fits and found.tokens == 32 and decoder.num_layers == 1
  # On a chip that holds just as much, and on one that lacks a byte of it.
  for missing, fits in ((0, True), (1, False)):
    size = found.hbm_bytes - missing
    chip = dataclasses.replace(where.chip, hbm_bytes=size)
    assert roofline.predict(step, chip, scale=0.5).fits == fits
  assert found.memory["reference"] == step.held["reference"] // 2
  assert found.seconds["memory"] > 0 and found.collectives["all-reduce"][0]
