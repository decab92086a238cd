"""What the compiler makes of the decode loop."""

import re

import jax
import numpy as np
import pytest
from oracles import players

from qsharp_jax.generate import decode, reading
from qsharp_jax.generate import state as state_lib

ROWS, SLOTS = 8, 1024


@pytest.fixture(scope="module", params=["v", "q", None])
def loop(request):
  """The compiled loop, and the state it was compiled for."""
  policy, params = players.policy(request.param), players.params(request.param)
  wanted = players.requests((5,) * (ROWS // 2))
  tokens, positions = reading.right_align([r.prompt for r in wanted], bucket=8)
  controls = reading.make_controls(wanted, 2, 0, players.SAMPLING)
  state = jax.eval_shape(
    lambda params: state_lib.prefill(
      policy,
      params,
      tokens,
      positions,
      controls,
      num_slots=SLOTS,
      num_new_tokens=10,
    ),
    params,
  )
  compiled = decode.decode.lower(policy, params, state, np.int32(8)).compile()
  return compiled, state


def test_no_copy_of_the_cache_is_made(loop):
  compiled, state = loop
  keys = state.caches["reference"].keys[0].shape
  shape = re.escape("[" + ",".join(map(str, keys)) + "]")
  text = compiled.as_text()
  assert re.search(rf"f32{shape}\S* dynamic-update-slice\(", text)
  made = re.findall(rf"f32{shape}\S* (copy|transpose|concatenate)\(", text)
  assert made == []


def test_the_loop_works_in_the_memory_it_was_given(loop):
  compiled, state = loop
  caches = state.caches
  size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(caches))
  memory = compiled.memory_analysis()
  assert memory.alias_size_in_bytes >= size
  assert memory.temp_size_in_bytes < size


def test_nothing_goes_to_the_host(loop):
  text = loop[0].as_text()
  for name in ("infeed", "outfeed", "send", "recv", "callback"):
    assert not re.search(rf"\b{name}\b", text), name
