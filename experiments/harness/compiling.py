"""How long the compiler has been at work."""

import types

import jax

_EVENT = "/jax/core/compile/backend_compile_duration"


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
