import dataclasses

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from qsharp_jax import generate, models
from qsharp_jax.core import errors
from qsharp_jax.generate import decode, memory
from qsharp_jax.generate import state as state_lib

_TINY = models.DecoderConfig(
  vocab_size=512,
  width=64,
  num_layers=3,
  num_heads=4,
  num_kv_heads=4,
  head_width=16,
  mlp_width=192,
  max_length=4096,
)
_MIDDLE = dataclasses.replace(
  _TINY,
  vocab_size=16_384,
  width=512,
  num_layers=2,
  num_heads=8,
  num_kv_heads=2,
  head_width=64,
  mlp_width=1408,
)
_DEEP = dataclasses.replace(_MIDDLE, num_layers=3, num_kv_heads=8)

# reference, value, head, (batch, samples, prompt, new tokens, candidates, and
# those scored in a turn where they are not all)
_CASES = {
  "tiny": (_TINY, _TINY, "v", (8, 1, 64, 128, 20)),
  "samples": (_DEEP, _MIDDLE, "v", (16, 4, 64, 64, 20)),
  "many_candidates": (_MIDDLE, _MIDDLE, "v", (32, 1, 32, 32, 100)),
  "lazy": (_MIDDLE, _MIDDLE, "v", (32, 1, 32, 64, 100, 2)),
  "long_prompt": (_MIDDLE, _MIDDLE, "v", (16, 1, 512, 32, 10)),
  "q_type": (_MIDDLE, _MIDDLE, "q", (32, 1, 64, 64, 20)),
  "unguided": (_DEEP, None, "v", (64, 1, 64, 64, 20)),
}


def _policy(reference, value, kind, num_candidates, num_scored=0):
  reference = models.LanguageModel(reference)
  if value is None:
    return generate.Policy(reference, (1,))
  value = models.ValueModel(value, models.HeadConfig(kind, 1))
  guidance = generate.Guidance("qsharp")
  return generate.Policy(
    reference, (1,), value, guidance, num_candidates, num_scored=num_scored
  )


def _abstract_params(policy):
  one = jnp.zeros((1, 1), jnp.int32)
  init = lambda model: nn.unbox(model.init(jax.random.key(0), one, one))
  named = {"reference": policy.reference, "value": policy.value}
  return {
    name: jax.eval_shape(lambda model=model: init(model))
    for name, model in named.items()
    if model is not None
  }


def _controls(rows):
  i32, f32 = jnp.int32, jnp.float32
  return generate.Controls(
    *(
      jax.ShapeDtypeStruct((rows,), dtype)
      for dtype in (jnp.uint32, f32, i32, i32, f32, f32)
    )
  )


def _compiled(policy, batch, samples, prompt, new):
  """The compiler's bytes of (prefill, decode), with all weights in both."""
  params = _abstract_params(policy)
  prompts = jax.ShapeDtypeStruct((batch, prompt), jnp.int32)
  arrays = params, prompts, prompts, _controls(batch * samples)
  num_slots = prompt + new + policy.num_spare(new)
  sizes = dict(num_slots=num_slots, num_new_tokens=new)
  prefill = state_lib.prefill.lower(policy, *arrays, **sizes).compile()
  state = jax.eval_shape(
    lambda *arrays: state_lib.prefill(policy, *arrays, **sizes), *arrays
  )
  count = jax.ShapeDtypeStruct((), jnp.int32)
  loop = decode.decode.lower(policy, params, state, count).compile()
  # What the prefill does not read lies on the device all the same.
  first, then = prefill.memory_analysis(), loop.memory_analysis()
  weights = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(params))
  return (
    weights + first.output_size_in_bytes + first.temp_size_in_bytes,
    then.argument_size_in_bytes
    + then.output_size_in_bytes
    + then.temp_size_in_bytes
    - then.alias_size_in_bytes,
  )


@pytest.mark.parametrize("name", _CASES)
def test_prediction_is_near_the_compilers(name):
  reference, value, kind, sizes = _CASES[name]
  batch, samples, prompt, new, *candidates = sizes
  policy = _policy(reference, value, kind, *candidates)
  predicted = memory.needed(
    policy,
    batch_size=batch,
    num_samples=samples,
    prompt_length=prompt,
    max_new_tokens=new,
  )
  found = _compiled(policy, batch, samples, prompt, new)
  assert predicted.total == pytest.approx(max(found), rel=0.1)


def test_parts_by_hand():
  policy = _policy(_TINY, _TINY, "v", 20)
  found = memory.needed(
    policy, batch_size=2, num_samples=3, prompt_length=5, max_new_tokens=7
  )
  layer = 4 * 64 * 64 + 3 * 64 * 192 + 2 * 64
  backbone = 512 * 64 + 3 * layer + 64
  assert found.reference == 4 * (backbone + 512 * 64)
  assert found.value == 4 * (backbone + 64)
  slots = 6 * (5 + 7)
  keys_and_values = 3 * 2 * slots * 64 * 4
  assert found.caches == 2 * (keys_and_values + slots * 4 + 4)
  assert found.total == (
    found.reference + found.value + found.caches + found.workspace
  )


def test_fewer_leaves_take_less_room_and_their_turns_some_slots():
  sizes = dict(batch_size=8, prompt_length=64, max_new_tokens=64)
  full, lazy = (
    memory.needed(_policy(_TINY, _MIDDLE, "v", 100, m), **sizes) for m in (0, 2)
  )
  assert lazy.workspace < full.workspace
  more = memory.cache_bytes(_TINY, 8, 16) + memory.cache_bytes(_MIDDLE, 8, 16)
  # Both caches count one index more.
  assert lazy.caches - full.caches == more - 2 * 4
  # Q-type values are free: nothing is left out.
  assert memory.needed(_policy(_TINY, _TINY, "q", 20, 2), **sizes) == (
    memory.needed(_policy(_TINY, _TINY, "q", 20), **sizes)
  )


def test_newcomers_add_their_own_caches():
  policy = _policy(_TINY, None, "v", 20)
  sizes = dict(batch_size=8, prompt_length=64, max_new_tokens=64)
  together = memory.needed(policy, **sizes)
  later = memory.needed(policy, num_newcomers=2, **sizes)
  more = memory.cache_bytes(_TINY, 2, 63)
  assert later.caches - together.caches == more


def _batches(size):
  return memory.Needed(10**9, 5 * 10**8, size * 2 * 10**8, size * 10**8)


def test_check_names_the_largest_batch_that_fits():
  assert memory.check(_batches, 5, 3 * 10**9) == _batches(5)
  with pytest.raises(errors.InputError) as caught:
    memory.check(_batches, 64, 24 * 10**8)
  assert str(caught.value) == (
    "this needs 20.7 GB (reference 1, value 0.5, caches 12.8, workspace 6.4) "
    "on each device, which has 2.4: lower sampling.batch_size from 64 to at "
    "most 3"
  )
  assert _batches(3).total <= 24 * 10**8 < _batches(4).total


def test_check_says_when_nothing_fits():
  with pytest.raises(errors.InputError, match="not even sampling.batch_size 1"):
    memory.check(_batches, 2, 10**9)


class _Device:
  def __init__(self, limit=None):
    self._limit = limit

  def memory_stats(self):
    return self._limit and {"bytes_limit": self._limit}


def test_available_bytes():
  assert memory.available_bytes([_Device(5), _Device(7)]) == 5
  host = memory.available_bytes([_Device()])
  # They share it.
  assert memory.available_bytes([_Device(), _Device()]) == host // 2
  assert 10**8 < host < 10**15
