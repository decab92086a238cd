"""What all benchmarks share: timing, the machine's description, the report."""

import importlib.metadata
import json
import math
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import jax


def median_seconds(
  run: Callable[[], object], repeats: int
) -> tuple[float, float]:
  """Times `run`, which is called once more before, to compile.

  Args:
    run: the work. JAX arrays that it returns are waited for.
    repeats: how often it is timed.

  Returns:
    The median of the wall-clock seconds, and their spread: the longest over
    the shortest, minus 1.
  """
  jax.block_until_ready(run())
  seconds = timed(run, repeats)
  return statistics.median(seconds), max(seconds) / min(seconds) - 1


def interval(numbers: Sequence[float]) -> tuple[float, float]:
  """At least 95% for the median of what some numbers are drawn from.

  Two of them, as many from either end as that needs: of 5 or fewer the least
  and the greatest, which are less sure.
  """
  ordered, outside = sorted(numbers), 0
  missed = 2 * 0.5 ** len(ordered)
  while outside < (len(ordered) - 1) // 2:
    missed += 2 * math.comb(len(ordered), outside + 1) * 0.5 ** len(ordered)
    if missed > 0.05:
      break
    outside += 1
  return ordered[outside], ordered[-1 - outside]


def in_turns(
  runs: Mapping[str, Callable[[], object]], repeats: int
) -> dict[str, list[float]]:
  """Seconds of each of some runs, which take turns.

  A machine that slows down slows them all, and ratios are those of neighbours.

  Args:
    runs: by name, each ready, so called and compiled before.
    repeats: how often each is timed.
  """
  seconds = {name: [] for name in runs}
  for _ in range(repeats):
    for name, run in runs.items():
      seconds[name] += timed(run, 1)
  return seconds


def timed(run: Callable[[], object], repeats: int) -> list[float]:
  """Wall-clock seconds of each call of `run`, its arrays waited for."""
  seconds = []
  for _ in range(repeats):
    started = time.perf_counter()
    jax.block_until_ready(run())
    seconds.append(time.perf_counter() - started)
  return seconds


def describe(*packages: str) -> dict:
  """The device and the versions of Python, JAX and other `packages`."""
  device = jax.devices()[0]
  versions = {"python": platform.python_version()}
  for name in ("jax", *packages):
    versions[name] = importlib.metadata.version(name)
  return {
    "device": device.device_kind,
    "platform": device.platform,
    "versions": versions,
  }


def show(result: dict) -> None:
  """Prints a table of the entries, and then all of them as one JSON line."""
  for name, entry in result.items():
    print(f"{name:40} {_readable(entry)}")
  print(json.dumps(result), flush=True)


def _readable(entry: object) -> str:
  if isinstance(entry, float):
    return f"{entry:,.1f}" if abs(entry) >= 100 else f"{entry:.4g}"
  return str(entry)
