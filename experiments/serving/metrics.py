"""Counts of the server in Prometheus' text format."""

import collections
import time

from experiments.serving import hub as hub_lib
from qsharp_jax.serving import engine as engine_lib

_ROUTES = {
  "/health",
  "/metrics",
  "/v1/chat/completions",
  "/v1/completions",
  "/v1/models",
}


class Metrics:
  """Counts requests; what the engine counts is read when it is asked for."""

  def __init__(self, engine: engine_lib.Engine, center: hub_lib.Hub):
    """Begins at zero."""
    self._engine, self._hub = engine, center
    self._start = time.monotonic()
    self._requests: collections.Counter[tuple[str, int]] = collections.Counter()
    self._seconds: collections.Counter[str] = collections.Counter()
    self.num_active = 0  # requests

  def count(self, path: str, status: int, seconds: float) -> None:
    """Notes a request that is over; labels are few, whatever clients send."""
    route = path if path in _ROUTES else "other"
    self._requests[route, status] += 1
    self._seconds[route] += seconds

  def text(self) -> str:
    """All counts."""
    engine, runner = self._engine, self._hub.runner
    gauges = {
      "requests_active": self.num_active,
      "rows": engine.sizes.num_rows,
      "rows_busy": engine.num_busy,
      "answers_waiting": engine.num_waiting,
      "answers_open": runner.num_open,
      "uptime_seconds": time.monotonic() - self._start,
    }
    counters = {
      "prompt_tokens_total": engine.num_read,
      "completion_tokens_total": engine.num_written,
      "answers_cancelled_total": self._hub.num_cancelled,
      "engine_failures_total": runner.num_failed,
    }
    lines = [*_lines("gauge", gauges), *_lines("counter", counters)]
    lines.append("# TYPE qsharp_requests_total counter")
    for (route, status), number in sorted(self._requests.items()):
      labels = f'route="{route}",status="{status}"'
      lines.append(f"qsharp_requests_total{{{labels}}} {number}")
    lines.append("# TYPE qsharp_request_seconds_total counter")
    for route, seconds in sorted(self._seconds.items()):
      lines.append(f'qsharp_request_seconds_total{{route="{route}"}} {seconds}')
    return "\n".join(lines) + "\n"


def _lines(kind: str, values: dict[str, float]) -> list[str]:
  found = []
  for name, value in values.items():
    found += [f"# TYPE qsharp_{name} {kind}", f"qsharp_{name} {value:g}"]
  return found
