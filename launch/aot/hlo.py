"""A compiled program, read from its text: blocks, and how often each runs.

A loop counts as often as it turns where the text says how often that is, or
where it ends as soon as a counter has reached a number. Of the decode loop,
which ends when its rows have ended, one turn counts.
"""

import collections
import dataclasses
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from qsharp_jax.generate import lazily

_ITEM_BYTES = {"pred": 1, "bf16": 2} | {
  f"{kind}{bits}": max(1, bits // 8)
  for kind in "sufc"
  for bits in (4, 8, 16, 32, 64, 128)
}
_ARRAY = re.compile(r"(\w+)\[([\d,]*)\](?:\{([^}]*)\})?")
_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*-> .*\{$")
_LINE = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (.*?) ([a-z][a-z\-]*)\((.*)$")
_TURNS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_SCHEDULED = re.compile(
  r"(?:body|condition|true_computation|false_computation)=%?([\w.\-]+)"
  r"|branch_computations=\{([^}]*)\}"
)
_CONDITION = re.compile(r"condition=%?([\w.\-]+)")
_INNER = re.compile(r"calls=%?([\w.\-]+)")
_FURTHER = f"{lazily.SCOPE}/while"


class Array(NamedTuple):
  """An array of a type."""

  shape: tuple[int, ...]
  num_bytes: int
  is_on_chip: bool


@dataclasses.dataclass(frozen=True)
class Instruction:
  """One line of a program."""

  name: str
  result: str  # its type
  kind: str
  rest: str  # operands and attributes
  is_root: bool = False  # its result is the block's

  @property
  def operands(self) -> list[str]:
    """Names of what it reads."""
    return re.findall(r"%([\w.\-]+)", self.rest.split("), ", 1)[0])


@dataclasses.dataclass(frozen=True)
class Computation:
  """A block of a program."""

  name: str
  lines: tuple[Instruction, ...]
  times: int  # that it runs
  is_scheduled: bool  # it runs by itself, and is not the inside of a fusion


def parse(text: str, *, turns: int = 1, passes: int = 0) -> list[Computation]:
  """The blocks of a program, callers before what they call.

  Args:
    text: a compiled program's.
    turns: of loops of which the text does not say it.
    passes: over more candidates, in each turn of a lazy decode loop.
  """
  blocks, entry = _blocks(text)
  times = collections.Counter({entry: 1})
  scheduled = {entry}
  found = []
  for name in reversed(blocks):  # callers stand below what they call
    if not times[name]:
      continue
    for line in blocks[name]:
      if _FURTHER in line.rest:
        runs_often = _turns(line, passes)
      else:
        runs_often = _turns(line, _counted(line, blocks) or turns)
      for callee, runs in _callees(line):
        times[callee] += times[name] * runs_often
        if runs and name in scheduled:
          scheduled.add(callee)
    found.append(
      Computation(name, tuple(blocks[name]), times[name], name in scheduled)
    )
  return found


def has_passes(text: str) -> bool:
  """Whether its turns may go over more candidates."""
  return _FURTHER in text


def _blocks(text: str) -> tuple[dict[str, list[Instruction]], str]:
  blocks, entry, own = {}, "", []
  for line in text.splitlines():
    if header := _HEADER.match(line):
      own = blocks[header[2]] = []
      entry = header[2] if header[1] else entry
    elif match := _LINE.match(line):
      root, *parts = match.groups()
      own.append(Instruction(*parts, is_root=bool(root)))
  return blocks, entry


def _turns(line: Instruction, otherwise: int) -> int:
  if line.kind != "while":
    return 1
  known = _TURNS.search(line.rest)
  return int(known[1]) if known else otherwise


def _counted(line: Instruction, blocks: dict[str, list[Instruction]]) -> int:
  """Turns of a loop that counts up from 0 to a constant; 0: another loop."""
  condition = _CONDITION.search(line.rest)
  own = blocks.get(condition[1], []) if condition else []
  constants = {x.name: x.rest for x in own if x.kind == "constant"}
  for one in own:
    if one.is_root and one.kind == "compare" and "direction=LT" in one.rest:
      limit = constants.get(one.operands[-1], "").partition(")")[0]
      return int(limit) if limit.isdecimal() else 0
  return 0


def _callees(line: Instruction) -> Iterator[tuple[str, bool]]:
  for match in _SCHEDULED.finditer(line.rest):
    for name in (match[1] or match[2]).split(","):
      yield name.strip().lstrip("%"), True
  for match in _INNER.finditer(line.rest):
    yield match[1], line.kind == "call"


def arrays(result: str) -> list[Array]:
  """The arrays of a type."""
  return [_array(match) for match in _ARRAY.finditer(result)]


def _array(match: re.Match) -> Array:
  shape = tuple(int(size) for size in match[2].split(",") if size)
  num_bytes = math.prod(shape) * _ITEM_BYTES.get(match[1], 0)
  return Array(shape, num_bytes, "S(1)" in (match[3] or ""))


def callees(line: Instruction) -> list[str]:
  """Blocks that it computes inside."""
  return _INNER.findall(line.rest)
