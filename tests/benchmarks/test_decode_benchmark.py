"""The decode benchmark runs, and its floors are those worked out by hand."""

import json

import pytest
from oracles import commands

from benchmarks import ceilings, floors, pairs


# In a process of its own: benchmarks define flags of the same names.
def test_keys():
  size = ["--prompt=8", "--new=4", "--batch=2", "--repeats=1", "--notorch"]
  done = commands.finish("benchmarks.decode", "--candidates=3", *size)
  result = json.loads(done.stdout.splitlines()[-1])
  for name in ("unguided", "guided"):
    assert result[f"{name}_tokens_per_second"] > 0
    assert result[f"{name}_over_floor"] > 1


@pytest.mark.parametrize("flops", [1e30, 1.0])
def test_a_floor_is_the_longer_of_reading_and_multiplying(flops):
  # One layer of width 2 with one head: 16 weights in attention, 12 in the MLP,
  # and 10 outputs. Two rows with 3 tokens in the cache, 4 numbers a token.
  config = pairs._llama(5, 2, 1, 1, 1, 2)
  assert pairs.num_parameters(config, with_output=True) == 16 + 12 + 10
  read = 4 * (38 + 2 * 3 * 4)
  multiplied = 2 * (2 * 38 + 4 * 2 * 3)
  rates = ceilings.Ceilings(bytes_per_second=read / 3.0, flops_per_second=flops)
  found = floors.step_seconds(
    (config, config), rates, rows=2, num_candidates=1, context=3
  )
  wanted = 3.0 if flops > 1 else multiplied
  assert found["unguided"] == pytest.approx(wanted)
  assert found["guided"] > found["unguided"]
