"""The arithmetic behind `launch.aot`, by hand."""

import math

import jax
import pytest

from experiments.configs import gsm8k
from launch.aot import (
  chips,
  exchanges,
  hlo,
  players,
  programs,
  roofline,
  search,
  shapes,
  slices,
  traffic,
)
from qsharp_jax import models, sharding
from qsharp_jax.checkpoint import families
from qsharp_jax.core import errors
from qsharp_jax.generate import memory
from qsharp_jax.sharding import mesh as mesh_lib

LAYOUT = sharding.Layout(mesh_lib.make_mesh())
_CHIP = chips.Chip("toy", 100.0, 1000.0, 10.0, 5.0, "tpu")

# Two chips; 3 turns of an inner loop; a fusion that computes inside.
_TEXT = """HloModule jit_step, is_scheduled=true

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[] add(%a, %b)
}

%inside (p: f32[8,4]) -> f32[8,4] {
  %p = f32[8,4]{1,0} parameter(0)
  ROOT %twice = f32[8,4]{1,0} add(%p, %p)
}

%body (s: (s32[], bf16[16])) -> (s32[], bf16[16]) {
  %s = (s32[], bf16[16]{0}) parameter(0)
  %i = s32[] get-tuple-element(%s), index=0
  %x = bf16[16]{0} get-tuple-element(%s), index=1
  %y = bf16[16]{0} all-reduce(%x), replica_groups={{0,1}}, to_apply=%add
  ROOT %t = (s32[], bf16[16]{0}) tuple(%i, %y)
}

%condition (s: (s32[], bf16[16])) -> pred[] {
  %s = (s32[], bf16[16]{0}) parameter(0)
  ROOT %c = pred[] constant(true)
}

ENTRY %main (w: f32[8,4], x: bf16[16], u: f32[1,4]) -> f32[8,4] {
  %w = f32[8,4]{1,0} parameter(0)
  %x = bf16[16]{0} parameter(1)
  %u = f32[1,4]{1,0} parameter(2)
  %near = (f32[8,4]{1,0:S(1)}, f32[8,4]{1,0}, u32[]) copy-start(%w)
  %here = f32[8,4]{1,0:T(8,128)S(1)} copy-done(%near)
  %f = f32[8,4]{1,0} fusion(%here), kind=kLoop, calls=%inside
  %init = (s32[], bf16[16]{0}) tuple(%zero, %x)
  %loop = (s32[], bf16[16]{0}) while(%init), condition=%condition, body=%body
  %g = (f32[8,4], f32[32,4]) all-gather-start(%f), replica_groups=[2,4]<=[8]
  %h = f32[32,4]{1,0} all-gather-done(%g)
  ROOT %out = f32[8,4]{1,0} dynamic-update-slice(%f, %u, %zero, %zero)
}
"""


def test_traffic_by_hand():
  # Brought near once (128), written by the fusion (128), a gather's result
  # (512), 16 bytes of an update read and written, and a sum in the loop read
  # and written.
  outside = 128 + 128 + 512 + 2 * 16
  for turns in (1, 3):
    found = traffic.hbm_bytes(hlo.parse(_TEXT, turns=turns))
    assert found == outside + turns * 2 * 32


def test_a_loop_turns_as_often_as_the_text_says():
  known = 'body=%body, backend_config={"known_trip_count":{"n":"3"}}'
  text = _TEXT.replace("body=%body", known)
  assert traffic.hbm_bytes(hlo.parse(text)) == 128 * 2 + 512 + 32 + 3 * 64


def test_passes_over_more_candidates_count_when_they_are_asked_for():
  known = 'body=%body, metadata={op_name="jit(step)/further_passes/while"}'
  text = _TEXT.replace("body=%body", known)
  assert hlo.has_passes(text) and not hlo.has_passes(_TEXT)
  for passes in (0, 2):
    found = traffic.hbm_bytes(hlo.parse(text, turns=5, passes=passes))
    assert found == 128 * 2 + 512 + 32 + passes * 64


def test_a_counter_that_is_compared_says_how_often_a_loop_turns():
  counted = """  %i = s32[] get-tuple-element(%s), index=0
  %three = s32[]{:T(128)} constant(3)
  ROOT %c = pred[] compare(%i, %three), direction=LT, metadata={}"""
  text = _TEXT.replace("  ROOT %c = pred[] constant(true)", counted)
  outside = 128 * 2 + 512 + 32
  each = 64 + 4 + 4 + 1  # and two numbers that are compared, and what is found
  for turns in (1, 7):
    found = traffic.hbm_bytes(hlo.parse(text, turns=turns))
    assert found == outside + 3 * each
  # Of a loop that may end for another reason nothing is known.
  other = text.replace("direction=LT", "direction=NE")
  assert traffic.hbm_bytes(hlo.parse(other, turns=7)) == outside + 7 * each


def test_collectives_by_hand():
  found = exchanges.collectives(hlo.parse(_TEXT, turns=3))
  reduce, gather = sorted(found, key=lambda one: -one.times)
  assert (reduce.kind, reduce.times, reduce.num_bytes) == ("all-reduce", 3, 32)
  assert (gather.kind, gather.times, gather.num_bytes) == ("all-gather", 1, 512)
  assert gather.group == 4 and gather.shapes == ((32, 4),)
  assert reduce.link_bytes == 32  # to one neighbour, and back
  assert gather.link_bytes == 512 * 3 / 4  # all but what was here


def test_seconds_by_hand():
  found = roofline.seconds(_CHIP, flops=300.0, traffic=40.0, links=5.0)
  assert found == {"compute": 3.0, "memory": 4.0, "links": 1.0}
  one = roofline.Prediction("step", True, {}, seconds=found, tokens=8)
  assert one.limit == "memory" and one.tokens_per_second == 2.0


def test_a_refused_program_is_as_large_as_the_compiler_says():
  says = roofline.refused_bytes
  line = "Ran out of memory on HBM, temporaries (89.50G) exceeds (15.75G)"
  assert says(line, 2**30) == 88.5 * 2**30
  assert says("Used 17.5G of 15.75G hbm.", 2**30) == 16.5 * 2**30
  assert says("something else", 5) == 0
  one = roofline.Prediction("train", False, {"value": 3}, refusal=line)
  assert one.as_json()["step_seconds"] is None


# What the models' own pages say.
@pytest.mark.parametrize(
  "name, num_parameters",
  [
    ("meta-llama/Llama-3.1-8B-Instruct", 8_030_261_248),
    ("llama-3.1-70b", 70_553_706_496),
    ("llama-3.2-1b", 1_235_814_400),
    ("llama-3.2-3b", 3_212_749_824),
    ("Qwen/Qwen2.5-7B-Instruct", 7_615_616_512),
    ("qwen2.5-1.5b", 1_543_714_304),
    ("qwen2.5-0.5b", 494_032_768),
  ],
)
def test_published_shapes_have_the_published_size(name, num_parameters):
  config = families.from_hf(shapes.read(name))
  model = models.LanguageModel(config)
  assert memory.parameter_bytes(model) == 4 * num_parameters


def test_unknown_names_are_refused_in_one_line():
  for call in (
    lambda: shapes.read("gpt-9"),
    lambda: chips.find("v9"),
    lambda: slices.find("eight chips"),
  ):
    with pytest.raises(errors.InputError, match="expected") as caught:
      call()
    assert "\n" not in str(caught.value)


def test_a_device_has_its_share_of_the_weights_and_caches():
  config = families.from_hf(shapes.read("llama-3.1-8b"), dtype="bfloat16")
  whole = memory.parameter_bytes(models.LanguageModel(config))
  mesh = jax.sharding.AbstractMesh((2, 1, 8), ("data", "fsdp", "tensor"))
  part = memory.parameter_bytes(models.LanguageModel(config), mesh)
  norms = 4 * 4096 * 65  # whole on every device
  assert part == (whole - norms) / 8 + norms
  wide = jax.sharding.AbstractMesh((1, 1, 16), ("data", "fsdp", "tensor"))
  keys = 4 * 2 * 32 * 4096 * 1024  # 8 heads of 128 are not cut 16 times
  wider = memory.parameter_bytes(models.LanguageModel(config), wide)
  assert wider == (whole - norms - keys) / 16 + norms + keys


def test_all_meshes_of_eight_devices():
  found = search.meshes(8)
  assert found == [(1, 8, 1), (1, 4, 2), (1, 2, 4), (1, 1, 8)]
  assert all(math.prod(mesh) == 8 for mesh in found)


def test_the_search_keeps_what_fits():
  config = gsm8k.get_config("llama31_8b")
  plan = programs.Plan(config, players.make(config, LAYOUT), None, 256)
  chip = chips.find("v5e")
  found = {one.mesh: one for one in search.candidates(plan, chip, 8)}
  # Both models take 18.5 GB.
  assert (1, 8, 1) not in found and (1, 1, 8) in found
  for one in found.values():
    twice = search.candidate(plan, chip, one.mesh, 2 * one.batch_size)
    assert one.hbm_bytes <= chip.hbm_bytes
    assert twice.hbm_bytes > chip.hbm_bytes or (
      twice.tokens_per_second <= one.tokens_per_second
    )


def test_the_largest_batch_fits_and_one_more_does_not():
  config = gsm8k.get_config("llama31_8b")
  mesh = jax.sharding.AbstractMesh((1, 1, 8), ("data", "fsdp", "tensor"))
  plan = programs.Plan(config, players.make(config, LAYOUT), mesh, 256)
  most = search.most_prompts(plan, 16e9)
  assert plan.needed(batch_size=most).total <= 16e9
  assert plan.needed(batch_size=most + 1).total > 16e9
  assert search.most_prompts(plan, 1e9) == 0


def test_a_steps_seconds_by_hand():
  config = gsm8k.get_config("llama31_8b")
  config.rounds.num_samples = config.evaluation.num_samples = 1
  config.sampling.num_scored = 0
  plan = programs.Plan(config, players.make(config, LAYOUT), None, 256)
  one = search.candidate(plan, chips.find("v5e"), (1, 1, 8), 32)
  # 8.03e9 and 1.24e9 weights, and 32 rows of 1280 slots of 32 layers of 8
  # heads of 128, and of 16 of 8 of 64, keys and values, of two bytes.
  slots = 32 * 1280 * 2 * 2 * 8 * (32 * 128 + 16 * 64) / 8
  weights = 2 * (8.03e9 + 1.236e9) / 8
  assert one.seconds["memory"] == pytest.approx(
    (weights + slots) / 819e9, rel=0.01
  )
  # Every weight but the two tables that are looked up meets 1 token or 21.
  met = 8.03e9 - 128256 * 4096 + 21 * (1.236e9 - 128256 * 2048)
  assert one.seconds["compute"] == pytest.approx(
    2 * 32 * met / 8 / 197e12, rel=0.01
  )
  # Two sums a layer, of 7/8 of the row, there and back.
  sent = 32 * 2 * 2 * (32 * 4096 + 21 * 16 * 2048) * 2 * 7 / 8
  assert one.seconds["links"] == pytest.approx(sent / 200e9, rel=0.01)
