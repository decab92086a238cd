"""The fields of a request, each read once and checked; none is ignored."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.serving.refusals import Refused
from qsharp_jax.core import errors

# Fields of OpenAI's that change nothing here, with the values that ask for
# nothing; None: any value.
_NEUTRAL: dict[str, tuple[Any, ...] | None] = {
  "best_of": (1,),
  "frequency_penalty": (0,),
  "function_call": ("none",),
  "functions": ([],),
  "logit_bias": ({},),
  "metadata": None,
  "modalities": (["text"],),
  "parallel_tool_calls": None,
  "presence_penalty": (0,),
  "response_format": ({"type": "text"},),
  "service_tier": None,
  "store": None,
  "suffix": ("",),
  "tool_choice": ("none",),
  "tools": ([],),
  "user": None,
}


class Fields:
  """A JSON object from which fields are taken."""

  def __init__(self, raw: Any):
    """Wraps the body of a request."""
    if not isinstance(raw, dict):
      raise Refused(
        f"the body is {errors.short(raw, 80)}; expected a JSON object"
      )
    self._left = {k: v for k, v in raw.items() if v is not None}

  def take(self, name: str, default: Any = None) -> Any:
    """A field as it is."""
    return self._left.pop(name, default)

  def text(self, name: str, default: str) -> str:
    """A text."""
    return self._of(name, str, "a text", default)

  def flag(self, name: str) -> bool:
    """True or false; false if it is not there."""
    return self._of(name, bool, "true or false", False)

  def mapping(self, name: str) -> Mapping[str, Any]:
    """An object, empty if it is not there."""
    return self._of(name, dict, "an object", {})

  def whole(self, name: str, default: Any, least: int, most: int) -> Any:
    """A whole number in a range."""
    found = self._left.pop(name, default)
    if found is default:
      return found
    if type(found) is not int or not least <= found <= most:
      raise refusal(name, found, f"a whole number from {least} to {most}")
    return found

  def number(self, name: str, default: float, least: float, most: float) -> Any:
    """A number in a range."""
    found = self._left.pop(name, default)
    is_number = type(found) in (int, float)
    if not is_number or not least <= found <= most:
      raise refusal(name, found, f"a number from {least:g} to {most:g}")
    return float(found)

  def choice(self, name: str, default: str, known: Sequence[str]) -> str:
    """One of some names."""
    found = self._left.pop(name, default)
    if found not in known:
      raise refusal(name, found, f"one of {', '.join(known)}")
    return found

  def texts(self, name: str, *, most: int, longest: int) -> list[str]:
    """A text or a list of them."""
    found = self._left.pop(name, [])
    found = [found] if isinstance(found, str) else found
    is_good = isinstance(found, list) and len(found) <= most
    if not is_good or not all(
      isinstance(x, str) and 0 < len(x) <= longest for x in found
    ):
      raise refusal(
        name, found, f"up to {most} texts of 1 to {longest} characters"
      )
    return found

  def end(self) -> None:
    """Refuses what nobody took and what would change the answer."""
    for name, value in self._left.items():
      if name not in _NEUTRAL:
        raise Refused(
          f"there is no field {errors.short(name, 80)}; drop it",
          param=name if len(name) < 80 else None,
          code="unknown_parameter",
        )
      neutral = _NEUTRAL[name]
      if neutral is not None and value not in neutral:
        raise refusal(name, value, f"none, or {neutral[0]!r}: no such thing")

  def _of(self, name: str, kind: type, expected: str, default: Any) -> Any:
    found = self._left.pop(name, default)
    if not isinstance(found, kind):
      raise refusal(name, found, expected)
    return found


def refusal(name: str, value: Any, expected: str) -> Refused:
  """Says what a field was and what was expected."""
  return Refused(
    f"{name} is {errors.short(value, 80)}; expected {expected}", param=name
  )
