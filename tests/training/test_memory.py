"""Memory of training by hand, and what is said where it does not fit."""

import dataclasses

import jax
import pytest

from qsharp_jax import models
from qsharp_jax.core import errors
from qsharp_jax.training import memory

CONFIG = models.DecoderConfig(
  vocab_size=512,
  width=64,
  num_layers=3,
  num_heads=4,
  num_kv_heads=4,
  head_width=16,
  mlp_width=192,
  max_length=4096,
)
VALUE = models.ValueModel(CONFIG, models.HeadConfig("v", 1))
_LAYER = 4 * 64 * 64 + 3 * 64 * 192 + 2 * 64
_BACKBONE = 512 * 64 + 3 * _LAYER + 64
# Of a token: weights of attention over 32 keys in 4 heads; inputs, branches.
_KEPT = 4 * 32 * 4 + 4 * 4 * (192 + 64)


def test_parts_by_hand():
  found = memory.needed([VALUE], rows=8, length=32, beside=5)
  size = 4 * (_BACKBONE + 64)
  assert found.state == 3 * size
  assert found.gradients == size
  assert found.activations == 8 * 32 * (3 * _KEPT + 2 * 4 * 32 * 4)
  assert found.total == 4 * size + found.activations + 5


def test_micro_batches_divide_what_is_kept_and_add_a_sum():
  whole = memory.needed([VALUE], rows=8, length=32)
  cut = memory.needed([VALUE], rows=8, length=32, num_microbatches=4)
  assert cut.activations == whole.activations // 4
  assert cut.gradients == 2 * whole.gradients


def test_a_language_model_holds_logits_and_two_models_are_two():
  model = models.LanguageModel(dataclasses.replace(CONFIG, dtype="bfloat16"))
  found = memory.needed([model], rows=1, length=32)
  kept = 4 * 32 * 4 + 4 * 2 * (192 + 64)
  assert found.activations == 32 * (3 * kept + 3 * 512 * 4)
  # In float32, whatever it computes in.
  assert found.state == 3 * 4 * (_BACKBONE + 512 * 64)
  both = memory.needed([model, VALUE], rows=1, length=32)
  alone = memory.needed([VALUE], rows=1, length=32)
  assert both.total == found.total + alone.total


@pytest.mark.parametrize(
  ("switches", "more"),
  [
    ({"attention_softcap": 5.0}, 4 * 32 * 4),
    ({"post_norm": True}, 4 * 64 * 4),
    ({"post_norm": True, "pre_norm": False}, 0),
    ({"qk_norm": "projection"}, 2 * 8 * 16 * 4),
    ({"parallel_residual": True}, 0),
  ],
)
def test_capped_scores_and_more_norms_are_kept(switches, more):
  value = VALUE.clone(config=dataclasses.replace(CONFIG, **switches))
  found = memory.needed([value], rows=1, length=32).activations
  plain = memory.needed([VALUE], rows=1, length=32).activations
  assert found - plain == 32 * 3 * more


def test_layers_that_run_twice_keep_their_inputs():
  value = VALUE.clone(config=dataclasses.replace(CONFIG, remat=True))
  found = memory.needed([value], rows=1, length=32)
  inputs = 3 * 64 * 4
  assert found.activations == 32 * (_KEPT + inputs + 2 * 4 * 32 * 4)


def test_a_device_has_its_share():
  mesh = jax.sharding.AbstractMesh((1, 2, 4), ("data", "fsdp", "tensor"))
  whole = memory.needed([VALUE], rows=8, length=32)
  part = memory.needed([VALUE], rows=8, length=32, mesh=mesh)
  # Norms are whole on every device of `tensor`; of heads and branches there is
  # a fourth, of rows a half.
  assert 0.125 * whole.state < part.state < 0.14 * whole.state
  kept = 32 * 4 + 4 * 4 * (48 + 64)
  assert part.activations == 4 * 32 * (3 * kept + 2 * 32 * 4)


def _steps(num_microbatches):
  return memory.Needed(
    2 * 10**9, 10**9, 8 * 10**9 // num_microbatches, 5 * 10**8
  )


def _found(wanted, gigabytes, num_rows=8):
  return memory.fewest_microbatches(
    "fit",
    _steps,
    num_rows=num_rows,
    wanted=wanted,
    available=int(gigabytes * 10**9),
  )


def test_the_fewest_micro_batches_that_fit_are_found():
  assert [_found(1, size) for size in (12, 8, 6, 4.6)] == [1, 2, 4, 8]
  assert _found(1, 6.2, num_rows=6) == 3  # of 1, 2, 3 and 6


def test_never_fewer_than_are_wanted():
  assert [_found(4, size) for size in (12, 4.6)] == [4, 8]


def test_what_never_fits_is_said():
  with pytest.raises(errors.InputError) as caught:
    _found(1, 4)
  assert str(caught.value) == (
    "training with fit needs 4.5 GB (parameters and moments 2, gradients 1, "
    "activations 1, beside them 0.5) on each device, which has 4, row by row: "
    "lower fit.max_length, spread the model over more devices (--config.mesh) "
    "or take a smaller one"
  )
