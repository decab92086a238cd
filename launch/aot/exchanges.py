"""What the chips of a compiled program send to each other."""

import dataclasses
import math
import operator
import re

from launch.aot import hlo

KINDS = (
  "all-gather",
  "all-reduce",
  "reduce-scatter",
  "all-to-all",
  "collective-permute",
)
# One exchange in parts, each beside other work.
_CHAIN = re.compile(r'chain_id="(\d+)"')
# On a mesh of named axes: its sizes, perhaps the order of the chips, and the
# axes along which a group lies.
_ON_MESH = re.compile(r"replica_groups=mesh\[([^\]]*)\][^{]*\{([^}]*)\}")
_AXIS_SIZE = re.compile(r"'([^']+)'=(\d+)")
_AXIS_PART = re.compile(r"'([^']+)'(?::\(\d+\)(\d+))?")


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


def collectives(program: list[hlo.Computation]) -> list[Collective]:
  """All exchanges between chips; one that is made in parts is one."""
  found, chains = [], {}
  for block in program:
    for line in block.lines:
      kind = line.kind.removesuffix("-start")
      if kind not in KINDS:
        continue
      one = _collective(line, kind, block.times)
      if (name := chain(line)) is None:
        found.append(one)
      else:
        # Parts inside a loop turn more often than the whole is exchanged.
        chains[name] = min(
          chains.get(name, one), one, key=operator.attrgetter("times")
        )
  return found + list(chains.values())


def chain(line: hlo.Instruction) -> str | None:
  """The exchange of which this is a part; None: it is none, or a whole one."""
  match = _CHAIN.search(line.rest)
  is_exchange = line.kind.removesuffix("-start") in KINDS
  return match[1] if match and is_exchange else None


def _collective(line: hlo.Instruction, kind: str, times: int) -> Collective:
  arrays = hlo.arrays(line.result)
  if line.kind.endswith("-start") and kind in (
    "all-gather",
    "collective-permute",
  ):
    arrays = arrays[1:2]  # (what goes in, what comes out, marks)
  # Chips that permute are listed in pairs.
  group = 2 if kind == "collective-permute" else _group(line.rest)
  total = sum(array.num_bytes for array in arrays)
  # The result of a reduce-scatter is the part that a chip keeps.
  total *= group if kind == "reduce-scatter" else 1
  return Collective(kind, times, total, group, tuple(x.shape for x in arrays))


def _group(rest: str) -> int:
  """Chips of a group, in any of the three forms in which groups are written.

  Raises:
    ValueError: a form that is not known, of which nothing can be said.
  """
  if match := re.search(r"replica_groups=\[\d+,(\d+)\]", rest):
    return int(match[1])
  if match := re.search(r"replica_groups=\{\{([\d,]*)\}", rest):
    return len(match[1].split(","))
  if match := _ON_MESH.search(rest):
    # An axis, or a part of one: 'x', or 'x':(1)2 for the first 2 along it.
    sizes = dict(_AXIS_SIZE.findall(match[1]))
    axes = _AXIS_PART.findall(match[2])
    return math.prod(int(part or sizes[name]) for name, part in axes)
  raise ValueError(f"no groups of chips can be read from {rest[:200]!r}")
