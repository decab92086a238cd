"""The search for the mesh of a training step, its compiler replaced."""

import json

import jax
import pytest

from experiments.configs import gsm8k
from experiments.harness import checks
from launch.aot import (
  chips,
  players,
  programs,
  roofline,
  search,
  slices,
  training_search,
)
from qsharp_jax import sharding
from qsharp_jax.core.errors import InputError
from qsharp_jax.sharding import mesh as mesh_lib

# As long as anything is looked up but their number, devices may be anything.
SLICE = slices.Slice("v5e:2x4", chips.find("v5e"), (None,) * 8)


@pytest.fixture(scope="module")
def config():
  found = gsm8k.get_config("llama31_8b")
  found.sampling.batch_size, found.sampling.prompts_per_refill = 6, 1
  return found


@pytest.fixture(scope="module")
def make(config):
  layout = sharding.Layout(mesh_lib.make_mesh())
  both = players.make(config, layout)

  def plan(own):
    mesh = jax.sharding.AbstractMesh(tuple(own.mesh), mesh_lib.AXES)
    checks.check_rows(own, mesh.shape["data"] * mesh.shape["fsdp"])
    return programs.Plan(own, both, mesh, 256), 1.0

  return plan


def compiler(refuses):
  """Compiles what it likes; the fewer micro-batches, the faster."""

  def compiled(plan, names, where, scale):
    assert names == ["train"]
    number = plan.config.fit.num_microbatches
    if refuses(plan):
      one = roofline.Prediction("train", False, {"value": 17e9}, "too large")
    else:
      seconds = {"compute": 0.25, "memory": 0.01 * number, "links": 0.0}
      one = roofline.Prediction("train", True, {"value": 9e9}, seconds=seconds)
    return {"train": one}

  return compiled


def test_the_fields_of_the_best_are_printed(config, make, monkeypatch, capsys):
  monkeypatch.setattr(
    search, "compiled", compiler(lambda plan: plan.mesh.shape["fsdp"] == 4)
  )
  found = training_search.run(config, SLICE, make)
  json.dumps(found, allow_nan=False)
  assert found["fits"] and found["limited_by"] == "compute"
  tried = found["compiled"]
  assert len(tried) == training_search._NUM_COMPILED
  assert found["num_microbatches"] == min(
    one["num_microbatches"] for one in tried if one["fits"]
  )
  printed = capsys.readouterr().out
  mesh = ",".join(map(str, found["mesh"]))
  groups = found["mesh"][0] * found["mesh"][1]
  fields = [
    f"--config.mesh='({mesh})'",
    f"--config.fit.num_microbatches={found['num_microbatches']}",
  ]
  assert found["fields"][:2] == fields
  # Of 6 prompts groups of two or three need no more, of four they do.
  assert len(found["fields"]) == 2 + (6 % groups > 0) + (groups > 1)
  assert f"\nbest: {' '.join(found['fields'])}\n" in printed
  # What was refused is a row, the last one of the compiled.
  rows = printed.split("the fastest first\n")[1].splitlines()[1:6]
  assert rows[-1].endswith("does not fit") and "–" in rows[-1]
  # So is what does not fit by arithmetic.
  assert printed.split("micro-batches")[1].count("does not fit") > 3
  assert f"{len(found['candidates'])} meshes with micro-batches" in printed


def test_where_the_compiler_refuses_all_nothing_fits(
  config, make, monkeypatch, capsys
):
  monkeypatch.setattr(search, "compiled", compiler(lambda plan: True))
  found = training_search.run(config, SLICE, make)
  json.dumps(found, allow_nan=False)
  assert not found["fits"] and found["step_seconds"] is None
  assert "none of these fits" in capsys.readouterr().out


def test_a_slice_on_which_nothing_fits_is_refused(config, make):
  one = slices.Slice("v5e:1x1", chips.find("v5e"), (None,))
  with pytest.raises(InputError, match=r"fits v5e:1x1 on no mesh.*lower"):
    training_search.run(config, one, make)
