"""Compiled programs: kept for later runs, and the time that they took."""

import types

import jax

from qsharp_jax.core import places

_EVENT = "/jax/core/compile/backend_compile_duration"


def keep_programs(directory: places.Path) -> None:
  """Keeps compiled programs for later runs.

  Args:
    directory: where, unless JAX_COMPILATION_CACHE_DIR names another place.
  """
  if jax.config.jax_compilation_cache_dir is None:
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


class Clock:
  """Counts the seconds of compilation, or of reading its cache, inside `with`.

  Attributes:
    seconds: so far.
  """

  def __init__(self):
    self.seconds = 0.0

  def __enter__(self) -> "Clock":
    jax.monitoring.register_event_duration_secs_listener(self._listen)
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: types.TracebackType | None,
  ) -> None:
    jax.monitoring.unregister_event_duration_listener(self._listen)

  def _listen(self, event: str, seconds: float, **_) -> None:
    if event == _EVENT:
      self.seconds += seconds
