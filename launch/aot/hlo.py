"""What a compiled program moves, read from its text.

A loop counts as often as it turns where the text says how often that is. Of the
decode loop, which ends when its rows have ended, one turn counts.
"""

import collections
import dataclasses
import math
import re
from collections.abc import Iterator

from qsharp_jax.generate import lazily

_ITEM_BYTES = {"pred": 1, "bf16": 2} | {
  f"{kind}{bits}": max(1, bits // 8)
  for kind in "sufc"
  for bits in (4, 8, 16, 32, 64, 128)
}
_ARRAY = re.compile(r"(\w+)\[([\d,]*)\](?:\{([^}]*)\})?")
_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*-> .*\{$")
_LINE = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][a-z\-]*)\((.*)$")
_TURNS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_SCHEDULED = re.compile(
  r"(?:body|condition|true_computation|false_computation)=%?([\w.\-]+)"
  r"|branch_computations=\{([^}]*)\}"
)
_INNER = re.compile(r"calls=%?([\w.\-]+)")
_FURTHER = f"{lazily.SCOPE}/while"
_KINDS = (
  "all-gather",
  "all-reduce",
  "reduce-scatter",
  "all-to-all",
  "collective-permute",
)
# What is a name for bytes that lie where they lay, or the start of a transfer
# whose end is counted.
_FREE = frozenset(
  ("parameter", "get-tuple-element", "tuple", "bitcast", "constant", "while")
  + ("conditional", "call", "custom-call", "copy-start", "slice-start")
  + ("async-start", "after-all", "partition-id", "replica-id", "iota")
  + tuple(f"{kind}-start" for kind in _KINDS)
)


@dataclasses.dataclass(frozen=True)
class Collective:
  """An exchange between chips."""

  kind: str
  times: int
  num_bytes: int  # of the larger of what goes in and what comes out, a chip
  group: int  # chips that exchange
  shapes: tuple[tuple[int, ...], ...]  # of the results

  @property
  def link_bytes(self) -> float:
    """Bytes that leave a chip each time, by the best algorithm on a ring."""
    if self.kind == "collective-permute":
      return self.num_bytes
    rounds = 2 if self.kind == "all-reduce" else 1
    return rounds * self.num_bytes * (self.group - 1) / self.group


@dataclasses.dataclass(frozen=True)
class Instruction:
  """One line of a program."""

  name: str
  result: str  # its type
  kind: str
  rest: str  # operands and attributes

  @property
  def operands(self) -> list[str]:
    """Names of what it reads."""
    return re.findall(r"%([\w.\-]+)", self.rest.split("), ", 1)[0])


@dataclasses.dataclass(frozen=True)
class Computation:
  """A block of a program."""

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
      is_further = _FURTHER in line.rest
      runs_often = _turns(line, passes if is_further else turns)
      for callee, runs in _callees(line):
        times[callee] += times[name] * runs_often
        if runs and name in scheduled:
          scheduled.add(callee)
    found.append(
      Computation(tuple(blocks[name]), times[name], name in scheduled)
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
      own.append(Instruction(*match.groups()))
  return blocks, entry


def _turns(line: Instruction, otherwise: int) -> int:
  if line.kind != "while":
    return 1
  known = _TURNS.search(line.rest)
  return int(known[1]) if known else otherwise


def _callees(line: Instruction) -> Iterator[tuple[str, bool]]:
  for match in _SCHEDULED.finditer(line.rest):
    for name in (match[1] or match[2]).split(","):
      yield name.strip().lstrip("%"), True
  for match in _INNER.finditer(line.rest):
    yield match[1], line.kind == "call"


def collectives(program: list[Computation]) -> list[Collective]:
  """All exchanges between chips."""
  found = []
  for block in program:
    for line in block.lines:
      kind = line.kind.removesuffix("-start")
      if kind in _KINDS:
        found.append(_collective(line, kind, block.times))
  return found


def _collective(line: Instruction, kind: str, times: int) -> Collective:
  arrays = [_array(match) for match in _ARRAY.finditer(line.result)]
  if line.kind.endswith("-start") and kind in (
    "all-gather",
    "collective-permute",
  ):
    arrays = arrays[1:2]  # (what goes in, what comes out, marks)
  group = _group(line.rest)
  total = sum(num_bytes for _, num_bytes, _ in arrays)
  # The result of a reduce-scatter is the part that a chip keeps.
  total *= group if kind == "reduce-scatter" else 1
  return Collective(kind, times, total, group, tuple(s for s, _, _ in arrays))


def _group(rest: str) -> int:
  if match := re.search(r"replica_groups=\[\d+,(\d+)\]", rest):
    return int(match[1])
  if match := re.search(r"replica_groups=\{\{([\d,]*)\}", rest):
    return len(match[1].split(","))
  return 2


def hbm_traffic(program: list[Computation]) -> int:
  """Bytes that go to or come from a chip's main memory.

  What the compiler keeps in on-chip memory, marked S(1) and brought there by
  copies of its own, counts once, as the copy.
  """
  total = 0
  for block in program:
    if block.is_scheduled:
      results = {line.name: line.result for line in block.lines}
      total += block.times * sum(_moved(x, results) for x in block.lines)
  return total


def _moved(line: Instruction, results: dict[str, str]) -> int:
  if line.kind in _FREE:
    return 0
  if line.kind.endswith("-done"):
    return _size(line.result, everywhere=True)
  read = [_size(results.get(name, "")) for name in line.operands]
  if line.kind == "dynamic-update-slice":  # writes into what it is given
    return 2 * sum(read[1:2])
  return _size(line.result) + sum(read)


def _size(result: str, *, everywhere: bool = False) -> int:
  return sum(
    num_bytes
    for _, num_bytes, is_on_chip in map(_array, _ARRAY.finditer(result))
    if everywhere or not is_on_chip
  )


def _array(match: re.Match) -> tuple[tuple[int, ...], int, bool]:
  shape = tuple(int(size) for size in match[2].split(",") if size)
  num_bytes = math.prod(shape) * _ITEM_BYTES.get(match[1], 0)
  return shape, num_bytes, "S(1)" in (match[3] or "")
