"""A stage of a run: what it makes, what that is made from, what differs now."""

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qsharp_jax.core import errors, places
from qsharp_jax.pipeline import contents


@dataclasses.dataclass(frozen=True)
class Stage:
  """A piece of a run, and what it is made from, as plain data by name.

  Attributes:
    name: of its mark.
    given: what comes from the user and is expensive to follow, such as
      questions: once the stage has begun, another value is refused.
    settings: everything else that decides the result: another value makes the
      stage again.
    outputs: what it makes; removed before it is made again from others. Where
      none of them is left, the stage is due, made from whatever.
    is_whole: whether nothing of what the stage made is gone again; otherwise it
      is due whatever its mark says. Asked only where the mark says done, and by
      the main process alone.
    explain: by the name of something given, says what differs.
    suffices: by the name of a setting, whether a result made from another value
      will do; None is one that is not known.
  """

  name: str
  given: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  outputs: Sequence[places.Path] = ()
  is_whole: Callable[[], bool] = lambda: True
  explain: Mapping[str, Callable[[], str]] = dataclasses.field(
    default_factory=dict
  )
  suffices: Mapping[str, Callable[[Any], bool]] = dataclasses.field(
    default_factory=dict
  )

  @functools.cached_property
  def made_from(self) -> dict[str, Any]:
    """All of it, as JSON gives it back."""
    return json.loads(json.dumps({**self.given, **self.settings}))

  @property
  def is_there(self) -> bool:
    """Whether anything is left of what it made."""
    return any(path.exists() for path in self.outputs)

  def differing(
    self, before: Mapping[str, Any], names: Mapping[str, Any]
  ) -> list[str]:
    """The names among `names` that had another value; all, if none is known."""
    return [name for name in sorted(names) if self._differs(name, before)]

  def _differs(self, name: str, before: Mapping[str, Any]) -> bool:
    if name in self.suffices:
      return not self.suffices[name](before.get(name))
    return name not in before or before[name] != self.made_from[name]


def change(name: str, before: Any, now: Any) -> str:
  """What is different now; digests say nothing to people."""
  if contents.is_digest(before) or contents.is_digest(now):
    return f"{name} changed"
  return f"{name} {errors.short(before)} there, {errors.short(now)} here"
