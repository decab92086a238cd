"""What a training step may take on a mesh, by hand."""

import math

import pytest

from experiments.configs import gsm8k
from launch.aot import chips, players, programs
from launch.aot import training_arithmetic as arithmetic
from qsharp_jax import sharding
from qsharp_jax.sharding import mesh as mesh_lib

V5E = chips.find("v5e")
# Of Llama 3.2 1B: all, those that are multiplied, and 16 layers of 2048.
ALL, MULTIPLIED, SENT = 1.2358e9, 0.97313e9, 16 * 2048


@pytest.fixture(scope="module")
def plan():
  config = gsm8k.get_config("llama31_8b")
  layout = sharding.Layout(mesh_lib.make_mesh())
  return programs.Plan(config, players.make(config, layout), None, 256)


def one(mesh, num_microbatches, seconds, **changes):
  names = ("compute", "memory", "links")
  return arithmetic.Candidate(
    mesh,
    num_microbatches,
    hbm_bytes=changes.get("hbm_bytes", 1),
    fits=changes.get("fits", True),
    seconds=dict(zip(names, seconds, strict=False)),
  )


def test_all_meshes_of_eight_devices():
  found = arithmetic.meshes(8)
  assert len(set(found)) == len(found) == 10
  assert all(math.prod(mesh) == 8 for mesh in found)
  assert {(1, 1, 8), (2, 2, 2), (8, 1, 1)} < set(found)


def test_micro_batches_cut_the_rows_of_every_device(plan):
  found = arithmetic.candidates(plan, V5E, 8)
  assert {x.num_microbatches for x in found if x.mesh == (1, 1, 8)} == {
    *(1, 2, 4, 8, 16, 32)
  }
  assert {x.num_microbatches for x in found if x.mesh == (2, 2, 2)} == {
    *(1, 2, 4, 8)
  }


def test_arithmetic_and_links_by_hand(plan):
  tokens = 32 * 2048
  found = arithmetic.candidate(plan, V5E, (1, 1, 8), 16)
  # Forward, and twice backward.
  flops = 3 * 2 * MULTIPLIED * tokens / 8
  assert found.seconds["compute"] == pytest.approx(flops / 197e12, rel=0.01)
  # Two sums a layer forward and two backward, each of 7/8, there and back.
  tensor = 4 * SENT * 2 * 2 * 7 / 8
  assert found.seconds["links"] == pytest.approx(tokens * tensor / 200e9)
  # Over fsdp, 16 times: gathered twice, summed once, 3/4 of it each.
  found = arithmetic.candidate(plan, V5E, (1, 4, 2), 8)
  tensor = 4 * SENT * 2 * 2 * 1 / 2
  fsdp = 8 * 3 * (2 * ALL / 2) * 3 / 4
  assert found.seconds["links"] == pytest.approx(
    (tokens / 4 * tensor + fsdp) / 200e9, rel=0.01
  )
  # Over data, gradients are summed alone.
  found = arithmetic.candidate(plan, V5E, (4, 1, 2), 8)
  data = 8 * 2 * (2 * ALL / 2) * 3 / 4
  assert found.seconds["links"] == pytest.approx(
    (tokens / 4 * tensor + data) / 200e9, rel=0.01
  )


def test_frozen_layers_have_no_backward_pass(plan):
  whole = arithmetic.candidate(plan, V5E, (1, 1, 8), 16)
  try:
    plan.config.fit.num_frozen_layers = 12
    part = arithmetic.candidate(plan, V5E, (1, 1, 8), 16)
  finally:
    plan.config.fit.num_frozen_layers = 0
  # A forward pass, and of a quarter of the layers two more.
  assert part.seconds["compute"] == pytest.approx(
    whole.seconds["compute"] * 1.5 / 3
  )


def test_large_blocks_of_scores_go_to_memory(plan):
  traffic = {
    number: arithmetic.candidate(plan, V5E, (1, 1, 8), number).seconds["memory"]
    for number in (8, 16, 32)
  }
  # 4 heads of a device; blocks of 256 queries of 2 rows take 17 MB, of 4 34.
  scores = 4 * 16 * (32 * 2048) * 4 * 2048 * 4
  assert traffic[8] - traffic[16] == pytest.approx(
    (scores - 8 * 2 * (2 + 4) * ALL / 8) / 819e9, rel=0.02
  )
  # As many more sums of gradients, read and written, and weights, twice.
  assert traffic[32] - traffic[16] == pytest.approx(
    16 * 2 * (2 + 4) * ALL / 8 / 819e9, rel=0.02
  )


def test_what_fits_is_what_the_memory_prediction_says(plan):
  found = {
    (x.mesh, x.num_microbatches): x for x in arithmetic.candidates(plan, V5E, 8)
  }
  assert found[(1, 1, 8), 8].fits and not found[(1, 1, 8), 1].fits
  # The whole reference lies on every device.
  assert not any(x.fits for (mesh, _), x in found.items() if mesh[2] == 1)
  assert found[(8, 1, 1), 4].limit == "does not fit"


def test_what_is_as_fast_is_ordered_by_all_parts():
  busy = one((1, 1, 8), 8, (0.2490, 0.20, 0.15))
  idle = one((1, 2, 4), 8, (0.2495, 0.10, 0.10))
  slow = one((2, 1, 4), 8, (0.26, 0.01, 0.01))
  assert arithmetic.ranked([slow, busy, idle]) == [idle, busy, slow]
  assert arithmetic.best([slow, busy, idle]) == idle
  # More than a hundredth slower is slower, however idle.
  assert arithmetic.best([slow, busy]) == busy


def test_what_the_compiler_refused_is_last():
  refused = one((1, 8, 1), 4, (), fits=False)
  slow = one((1, 1, 8), 4, (1.0, 2.0, 3.0))
  assert arithmetic.best([refused, slow]) == slow and slow.limit == "links"
  assert refused.step_seconds == math.inf
  assert refused.limit == "does not fit"
