"""Keys that take more than a look-up, by hand."""

import dataclasses

import pytest
from oracles import decoders

from qsharp_jax.checkpoint import config_keys
from qsharp_jax.core.errors import InputError

RAW = {
  "num_hidden_layers": 3,
  "sliding_window": 8,
  "max_window_layers": 1,
  "layer_types": None,
  "use_sliding_window": True,
}


@pytest.mark.parametrize(
  ("key", "found", "kind"),
  [
    *(("n", 0, int), ("n", True, int), ("n", 2.0, int), ("n", 2**31, int)),
    *(("x", 0.0, float), ("x", "1", float), ("x", float("inf"), float)),
    *(("b", 1, bool), ("name", 3, str), ("n_layer", 10_001, int)),
  ],
)
def test_what_is_not_of_its_kind_is_named(key, found, kind):
  with pytest.raises(InputError, match=f"{key} is .* in config.json; expected"):
    config_keys.value({key: found}, key, kind)


def test_what_is_of_its_kind_is_given_back():
  assert config_keys.value({"n_layer": 10_000}, "n_layer", int) == 10_000
  assert config_keys.value({"rms_norm_eps": 0}, "rms_norm_eps") == 0
  assert config_keys.value({"head_dim": None}, "head_dim", int) is None
  with pytest.raises(InputError, match="has no 'vocab_size'"):
    config_keys.value({}, "vocab_size", int)


def test_windows_by_layer():
  windows = config_keys.windows_by_layer
  assert windows(RAW) == (None, 8, 8)
  assert windows(RAW | {"use_sliding_window": False}) is None
  assert windows(RAW | {"max_window_layers": 3}) is None
  kinds = ["sliding_attention", "full_attention", "full_attention"]
  assert windows(RAW | {"layer_types": kinds}) == (8, None, None)
  for wrong in (kinds[:2], ["x"] * 3, "sliding"):
    with pytest.raises(InputError, match="for each of 3 layers"):
      windows(RAW | {"layer_types": wrong})
  assert config_keys.one_window(RAW) == (8, 8, 8)
  assert config_keys.one_window(RAW | {"sliding_window": None}) is None
  assert config_keys.no_windows(RAW) is None


def test_windows_by_period():
  raw = RAW | {"sliding_window_pattern": 2}
  assert config_keys.windows_by_period(raw) == (8, None, 8)
  kinds = ["full_attention"] * 3
  assert config_keys.windows_by_period(raw | {"layer_types": kinds}) is None


def test_windows_are_written_as_they_are_read():
  for found in ((None, 8, 8), None, (8, 8, 8)):
    config = dataclasses.replace(
      decoders.SMALLEST, num_layers=3, sliding_windows=found
    )
    raw = {"num_hidden_layers": 3, **config_keys.windows_to_hf(config)}
    assert config_keys.windows_by_layer(raw) == found
