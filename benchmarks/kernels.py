"""Which kernels of a program take longest, read from a profiler's trace."""

import collections
import pathlib
from collections.abc import Callable

import jax

_LONGEST = 10
_WIDTH = 100  # of a kernel's name


def show(directory: str, run: Callable[[], object], *, steps: int) -> None:
  """Traces a call and prints its longest kernels, in microseconds a step.

  Args:
    directory: where the trace is left.
    run: the work, compiled before; its arrays are waited for.
    steps: how many steps it makes.
  """
  with jax.profiler.trace(directory):
    jax.block_until_ready(run())
  for name, microseconds, calls in _longest(directory, steps):
    print(f"{microseconds:10.1f} us {calls:7.1f} calls  {name}", flush=True)


def _longest(directory: str, steps: int) -> list[tuple[str, float, float]]:
  """Names, microseconds and calls of the longest kernels, and all of them."""
  path = max(pathlib.Path(directory).rglob("*.xplane.pb"))
  planes = list(jax.profiler.ProfileData.from_file(str(path)).planes)
  on_device = [p for p in planes if p.name.startswith("/device:GPU")]
  spent, calls = collections.Counter(), collections.Counter()
  for plane in on_device or planes:
    for line in plane.lines:
      if on_device and not line.name.startswith("Stream"):
        continue  # the same time again, by module and by operation
      for event in line.events:
        spent[event.name[:_WIDTH]] += event.duration_ns / 1e3 / steps
        calls[event.name[:_WIDTH]] += 1 / steps
  spent["all together"] = sum(spent.values())
  calls["all together"] = sum(calls.values())
  return [(n, t, calls[n]) for n, t in spent.most_common(_LONGEST + 1)]
