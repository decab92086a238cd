import dataclasses

import pytest
from oracles import decoders

SMALL = dataclasses.replace(decoders.SMALLEST, num_heads=8, num_kv_heads=2)


@pytest.mark.parametrize(
  ("num_devices", "copies"),
  [(1, 1), (2, 1), (4, 2), (8, 4), (3, 1), (6, 1), (16, 1)],
)
def test_heads_are_copied_where_devices_share_them_evenly(num_devices, copies):
  shared = SMALL.shared_by(num_devices)
  assert shared.kv_copies == copies
  assert dataclasses.replace(shared, kv_copies=1) == SMALL


def test_windows_are_those_of_the_layers():
  config = dataclasses.replace(SMALL, num_layers=2, sliding_windows=(None, 4))
  assert [config.window(i) for i in range(2)] == [None, 4]
  assert [SMALL.window(i) for i in range(SMALL.num_layers)] == (
    [None] * SMALL.num_layers
  )


def test_layers_with_a_window_may_turn_by_a_base_of_their_own():
  windows = dataclasses.replace(SMALL, num_layers=2, sliding_windows=(None, 4))
  own = dataclasses.replace(windows, local_rope_theta=100.0)
  assert [own.turns_locally(i) for i in range(2)] == [False, True]
  assert not any(windows.turns_locally(i) for i in range(2))


@pytest.mark.parametrize(("share", "width"), [(1.0, 4), (0.5, 2), (0.75, 3)])
def test_a_part_of_the_channels_turns(share, width):
  assert dataclasses.replace(SMALL, rotary_fraction=share).rotary_width == width


def test_a_deeper_decoder_goes_on_like_its_last_layer():
  config = dataclasses.replace(SMALL, num_layers=2, sliding_windows=(None, 4))
  deeper = config.deeper(3)
  assert deeper.num_layers == 5
  assert [deeper.window(i) for i in range(5)] == [None, 4, 4, 4, 4]
  assert SMALL.deeper(0) == SMALL
