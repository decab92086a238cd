"""Names, colours and markers of methods, the same in every picture."""

from collections.abc import Iterable

# Okabe and Ito's palette: told apart by colour-blind readers and in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
_KNOWN = ("qsharp", "cd")
_NAMES = {"qsharp": "Q#", "cd": "CD", "reference": "Reference"}


def name(method: str) -> str:
  """What people call a method."""
  return _NAMES.get(method, method)


def styles(methods: Iterable[str]) -> dict[str, tuple[int, int]]:
  """Places in `COLOURS` and `MARKERS` of all methods but the reference."""
  # Q# and CD first, present or not, so that their colours stay put.
  guided = [method for method in methods if method != "reference"]
  return {
    method: (
      index % len(COLOURS),
      # Another pairing on the second and third lap of the colours.
      (index + index // len(COLOURS)) % len(MARKERS),
    )
    for index, method in enumerate(dict.fromkeys([*_KNOWN, *guided]))
  }
