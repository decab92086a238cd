"""Prompts as rows of a batch, and the controls of these rows."""

import chex
import numpy as np
import pytest

from qsharp_jax.generate import reading
from qsharp_jax.generate import requests as requests_lib

SAMPLING = requests_lib.Sampling(temperature=0.5, top_p=0.9, max_new_tokens=7)


def request(size, seeds, **fields):
  return requests_lib.Request(list(range(1, size + 1)), seeds, **fields)


@pytest.mark.parametrize("bucket", [1, 3, 8])
def test_prompts_end_together_and_positions_count_their_tokens(bucket):
  prompts = [[5], [1, 2, 3, 4, 5], [7, 8]]
  tokens, positions = reading.right_align(prompts, bucket=bucket)
  chex.assert_equal_shape([tokens, positions])
  chex.assert_type([tokens, positions], np.int32)
  assert tokens.shape[1] % bucket == 0 and 5 <= tokens.shape[1] < 5 + bucket
  for prompt, row, places in zip(prompts, tokens, positions, strict=True):
    assert row[places >= 0].tolist() == prompt
    assert places[places >= 0].tolist() == list(range(len(prompt)))
    assert places[-1] == len(prompt) - 1


def test_controls_lie_sample_by_sample_and_padding_writes_nothing():
  batch = [
    request(2, [11, 12], eta=0.5, guided_steps=[3, 4]),
    request(3, [21, 22], max_new_tokens=2),
  ]
  found = reading.make_controls(batch, 2, 1, SAMPLING)
  assert found.seeds.tolist() == [11, 12, 21, 22, 0, 0]
  assert found.eta.tolist() == [0.5] * 2 + [np.inf] * 4
  never = requests_lib.NEVER
  assert found.guided_steps.tolist() == [3, 4, never, never, 0, 0]
  assert found.max_new_tokens.tolist() == [7, 7, 2, 2, 0, 0]
  np.testing.assert_allclose(found.temperature, [0.5] * 4 + [1] * 2)
  np.testing.assert_allclose(found.top_p, [0.9] * 4 + [1] * 2, rtol=1e-6)
  types_of = [found.seeds, found.eta, found.guided_steps, found.max_new_tokens]
  chex.assert_type(types_of, [np.uint32, np.float32, np.int32, np.int32])


def test_a_request_cannot_ask_for_more_than_there_is_room_for():
  found = reading.make_controls(
    [request(2, [1], max_new_tokens=99)], 1, 0, SAMPLING
  )
  assert found.max_new_tokens.tolist() == [7]


def test_right_align_by_hand():
  tokens, positions = reading.right_align([[7], [1, 2, 3]], bucket=4)
  np.testing.assert_array_equal(tokens, [[0, 0, 0, 7], [0, 1, 2, 3]])
  np.testing.assert_array_equal(positions, [[-1, -1, -1, 0], [-1, 0, 1, 2]])
  assert tokens.dtype == positions.dtype == np.int32


@pytest.mark.parametrize(
  "length, bucket, width", [(4, 4, 4), (5, 4, 8), (1, 64, 64), (1, 1, 2)]
)
def test_widths_are_multiples_of_the_bucket(length, bucket, width):
  assert reading.right_align([[0] * length], bucket=bucket)[0].shape[1] == (
    width
  )
