"""Which jobs can be done, and how wide their prompts are read."""

import dataclasses
import math

import pytest
from oracles import engines

from qsharp_jax.core.errors import InputError
from qsharp_jax.serving import jobs

GOOD = jobs.Job([1, 2, 3], 0, 10, eta=0.1, num_candidates=5)


def check(**changes):
  jobs.check(
    engines.policy(), engines.SIZES, dataclasses.replace(GOOD, **changes)
  )


def test_good_jobs_pass():
  check()
  check(eta=math.inf, temperature=0.0, top_p=1.0)
  check(prompt=[1] * 22)


@pytest.mark.parametrize(
  "changes, said",
  [
    ({"prompt": []}, "has 0 tokens"),
    ({"prompt": [1] * 23}, "longest sequence of 32"),
    ({"prompt": [32]}, "token id 32"),
    ({"prompt": [2**70]}, "list of token ids"),
    ({"max_new_tokens": 0}, "max_tokens is 0"),
    ({"max_new_tokens": 11}, "expected 1 to 10"),
    ({"eta": 0.0}, "eta"),
    ({"eta": math.nan}, "eta"),
    ({"num_candidates": 6}, "expected 1 to 5"),
    ({"num_candidates": 0}, "num_candidates is 0"),
    ({"temperature": -0.1}, "temperature is -0.1"),
    ({"temperature": math.nan}, "temperature is nan"),
    ({"top_p": 0.0}, "top_p is 0"),
  ],
)
def test_others_are_refused_in_one_line(changes, said):
  with pytest.raises(InputError, match=said) as error:
    check(**changes)
  assert "\n" not in str(error.value)


@pytest.mark.parametrize(
  "bucket, longest, widths",
  [
    (16, 32, [16, 32]),
    (8, 30, [8, 16, 30]),
    (64, 32, [32]),
    (1, 5, [2, 4]),
    (64, 2048, [64, 128, 256, 512, 1024, 2048]),
  ],
)
def test_widths_double_up_to_the_longest(bucket, longest, widths):
  sizes = jobs.Sizes(prompt_bucket=bucket, max_length=longest)
  assert sizes.widths == widths
  for length in range(1, longest):
    assert sizes.width(length) == next(w for w in widths if w >= length)
