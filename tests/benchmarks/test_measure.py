"""Timing and reporting of the benchmarks."""

import json
import time

import jax.numpy as jnp
import pytest

from benchmarks import measure


def test_the_median_leaves_out_the_first_call_and_reports_the_spread(
  monkeypatch,
):
  # Two readings a timed call; the calls take 3, 1 and 2 seconds.
  clock = iter([0.0, 3.0, 10.0, 11.0, 20.0, 22.0])
  monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
  calls = []
  median, spread = measure.median_seconds(lambda: calls.append(0), 3)
  assert (median, spread) == (2.0, 2.0)
  assert len(calls) == 4


def test_results_are_waited_for(monkeypatch):
  waited = []
  monkeypatch.setattr(measure.jax, "block_until_ready", waited.append)
  result = jnp.ones(2)
  measure.median_seconds(lambda: result, 2)
  assert len(waited) == 3 and all(w is result for w in waited)


def test_the_description_names_device_and_versions():
  found = measure.describe("numpy")
  assert found["platform"] == "cpu"
  assert set(found["versions"]) == {"python", "jax", "numpy"}


def test_the_last_line_is_the_whole_result(capsys):
  result = {"speed": 1234.5, "ratio": 0.123456, "versions": {"jax": "1"}}
  measure.show(result)
  *table, last = capsys.readouterr().out.splitlines()
  assert json.loads(last) == result
  assert [line.split() for line in table[:2]] == [
    ["speed", "1,234.5"],
    ["ratio", "0.1235"],
  ]


@pytest.mark.parametrize("repeats", [1, 5])
def test_every_repeat_is_timed(repeats):
  calls = []
  measure.median_seconds(lambda: calls.append(0), repeats)
  assert len(calls) == repeats + 1


@pytest.mark.parametrize(
  ("num", "first"), [(1, 1), (5, 1), (6, 1), (8, 1), (9, 2), (15, 4), (25, 8)]
)
def test_the_interval_of_a_median(num, first):
  # Fewer than `first` of the numbers lie below the median with a chance of at
  # most 2.5%, if each does so by a fair coin: of 9, none or one, 10/512.
  numbers = list(range(num, 0, -1))
  assert measure.interval(numbers) == (first, num + 1 - first)
