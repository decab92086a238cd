r"""Answers of several parts: points, intervals, sets and lists."""

import dataclasses
import re
from collections.abc import Callable

from qsharp_jax.rewards import latex, numerals

_PLUS_MINUS = re.compile(r"\\[pm]?[pm](?![a-z])")
_UNSPLIT = re.compile(r"\\(?:c[ua]p|setminus|mid|begin|ldots)|[|<>]|\\[lg]eq|:")


@dataclasses.dataclass(frozen=True)
class Parts:
  """An answer taken into parts.

  Attributes:
    kind: its brackets, `()`, `[)` and so on; `{}` of sets and bare lists.
    items: the parts, in order.
    is_bare: whether no bracket stands around the list.
  """

  kind: str
  items: tuple[str, ...]
  is_bare: bool = False


def is_unsplit(text: str) -> bool:
  """Whether an answer may hold several values without being a list."""
  return _UNSPLIT.search(text) is not None or bool(_PLUS_MINUS.search(text))


def split(text: str) -> Parts | None:
  r"""The parts of a canonical answer; None when it is one thing.

  `a \pm b` counts as two parts; a set has no order, and `1, 2` is `\{1, 2\}`.
  """
  if _UNSPLIT.search(text):
    return None
  kind, content, is_bare = "{}", text, True
  if text.startswith("\\{") and text.endswith("\\}"):
    if not latex.is_one_group(text[1:]):
      return None
    content, is_bare = text[2:-2], False
  elif text[0] in "([" and text[-1] in ")]" and latex.is_one_group(text):
    kind, content, is_bare = text[0] + text[-1], text[1:-1], False
  items = _items(content)
  if is_bare and numerals.value(text) is not None:
    return None
  if kind != "{}":
    return Parts(kind, tuple(items)) if len(items) > 1 else None
  items = [signed for item in items for signed in _both_signs(item)]
  if is_bare and len(items) < 2 or not all(items):
    return None
  return Parts(kind, tuple(items), is_bare)


def same(gold: Parts, prediction: Parts, same_item: Callable) -> bool:
  """Whether two lists have the same parts, in order but for sets."""
  if gold.kind != prediction.kind or len(gold.items) != len(prediction.items):
    return False
  if gold.kind != "{}":
    return all(map(same_item, gold.items, prediction.items))
  left = list(prediction.items)
  for item in gold.items:
    match = next((other for other in left if same_item(item, other)), None)
    if match is None:
      return False
    left.remove(match)
  return True


def _items(content: str) -> list[str]:
  """The parts between commas outside of all brackets."""
  items, depth, start = [], 0, 0
  for i, sign in enumerate(content):
    depth += (sign in "([{") - (sign in ")]}")
    if sign in ",;" and depth == 0:
      items.append(content[start:i].strip())
      start = i + 1
  return [*items, content[start:].strip()]


def _both_signs(item: str) -> list[str]:
  if len(_PLUS_MINUS.findall(item)) != 1:
    return [item]
  return [_PLUS_MINUS.sub(sign, item).strip() for sign in "+-"]
