"""From a compiled program to memory, seconds and what limits it.

Seconds are those of the busiest of three: the arithmetic units, the memory and
the links, each at its published peak. A real step takes longer, by what it
waits for between operations and at the start of each exchange.
"""

import collections
import dataclasses
import re
from typing import Any

from launch.aot import chips, hlo, programs
from launch.aot import exchanges as exchanges_lib
from launch.aot import traffic as traffic_lib

_PREFIXES = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "": 1}
# It says temporaries, and counts arguments and results with them.
_REQUIRED = re.compile(r"(?:temporaries \(|Used )([\d.]+)([KMGT]?)(?:\)| of)")


@dataclasses.dataclass(frozen=True)
class Prediction:
  """What a program needs, on one chip."""

  name: str
  fits: bool
  memory: dict[str, int]  # bytes by what they are for
  refusal: str = ""  # the compiler's, where it refused
  flops: float = 0.0
  traffic: float = 0.0  # bytes from and to memory
  counted: float = 0.0  # bytes by XLA's count, on-chip memory included
  links: float = 0.0  # bytes that leave the chip
  collectives: dict[str, tuple[int, int]] = dataclasses.field(
    default_factory=dict
  )  # kind -> (times, bytes)
  seconds: dict[str, float] = dataclasses.field(default_factory=dict)
  # Of a lazy turn's pass over more candidates, which comes on top.
  pass_seconds: dict[str, float] = dataclasses.field(default_factory=dict)
  tokens: int = 0

  @property
  def hbm_bytes(self) -> int:
    """Bytes in all."""
    return sum(self.memory.values())

  @property
  def limit(self) -> str | None:
    """Which of the three takes longest; None where it was not compiled."""
    return max(self.seconds, key=self.seconds.get) if self.seconds else None

  @property
  def step_seconds(self) -> float | None:
    """Of one run, or one turn of the loop."""
    return self.seconds[self.limit] if self.seconds else None

  @property
  def tokens_per_second(self) -> float | None:
    """Of all chips together."""
    return self.tokens / self.step_seconds if self.seconds else None

  def as_json(self) -> dict[str, Any]:
    """Plain numbers, None where there is none."""
    return {
      "fits": self.fits,
      "hbm_bytes": self.hbm_bytes,
      "step_seconds": self.step_seconds,
      "tokens_per_second": self.tokens_per_second,
      "limited_by": self.limit,
      "pass_seconds": max(self.pass_seconds.values(), default=None),
      "memory": self.memory,
      "flops": self.flops,
      "traffic_bytes": self.traffic,
      "link_bytes": self.links,
      "collectives": {
        kind: {"times": times, "bytes": num_bytes}
        for kind, (times, num_bytes) in self.collectives.items()
      },
      "refusal": self.refusal,
    }


def predict(
  program: programs.Program, chip: chips.Chip, *, scale: float = 1.0
) -> Prediction:
  """Reads a program.

  Args:
    program: compiled, or refused.
    chip: that it runs on.
    scale: bytes of an activation or weight there, over those of one in the
      program: below 1 where another compiler stands in that wants float32.
  """
  memory = _memory(program, scale)
  total = sum(memory.values())
  if isinstance(program.compiled, str):
    return Prediction(program.name, False, memory, program.compiled)
  # XLA counts what one device computes, and of a loop one turn.
  cost = program.compiled.cost_analysis()
  flops = cost.get("flops", 0.0) * program.turns
  counted = cost.get("bytes accessed", 0.0) * program.turns * scale
  text = program.compiled.as_text()
  pass_flops = program.pass_flops if hlo.has_passes(text) else 0.0
  flops -= pass_flops
  traffic, exchanges = _moved(text, program.turns, passes=0)
  links = _over_links(exchanges, scale)
  own, own_exchanges = _moved(text, program.turns, passes=1)
  more = seconds(
    chip,
    flops=pass_flops,
    traffic=own - traffic,
    links=_over_links(own_exchanges, scale) - links,
  )
  if chip.compiler == "cpu":
    traffic = counted
  return Prediction(
    name=program.name,
    fits=total <= chip.hbm_bytes,
    memory=memory,
    flops=flops,
    traffic=traffic,
    counted=counted,
    links=links,
    collectives=_by_kind(exchanges, scale),
    seconds=seconds(chip, flops=flops, traffic=traffic, links=links),
    pass_seconds=more if pass_flops else {},
    tokens=program.tokens,
  )


def _moved(
  text: str, turns: int, *, passes: int
) -> tuple[int, list[exchanges_lib.Collective]]:
  """Bytes of main memory, and exchanges."""
  found = hlo.parse(text, turns=turns, passes=passes)
  return traffic_lib.hbm_bytes(found), exchanges_lib.collectives(found)


def _over_links(
  exchanges: list[exchanges_lib.Collective], scale: float
) -> float:
  return scale * sum(x.times * x.link_bytes for x in exchanges)


def seconds(
  chip: chips.Chip, *, flops: float, traffic: float, links: float
) -> dict[str, float]:
  """How long each of the three is busy."""
  return {
    "compute": flops / chip.flops,
    "memory": traffic / chip.hbm_bandwidth,
    "links": links / chip.link_bandwidth,
  }


def _memory(program: programs.Program, scale: float) -> dict[str, int]:
  """Bytes by what they are for; of a refused program, as it refuses."""
  own = 1.0 if "optimizer" in program.held else scale
  found = {name: int(own * size) for name, size in program.held.items()}
  held = sum(found.values())
  for name, size in program.beside.items():
    found[name] = int(scale * size)
  if isinstance(program.compiled, str):
    return found | {"temporaries": refused_bytes(program.compiled, held)}
  stats = program.compiled.memory_analysis()
  arrays = (
    stats.argument_size_in_bytes
    + stats.output_size_in_bytes
    - stats.alias_size_in_bytes
  )
  return found | {
    "other": max(0, int(own * arrays) - held),
    "temporaries": int(scale * stats.temp_size_in_bytes),
  }


def refused_bytes(refusal: str, held: int) -> int:
  """Bytes beyond those held that a program wanted, by the compiler's words."""
  match = _REQUIRED.search(refusal)
  if not match:
    return 0
  return max(0, int(float(match[1]) * _PREFIXES[match[2]]) - held)


def _by_kind(
  exchanges: list[exchanges_lib.Collective], scale: float
) -> dict[str, tuple[int, int]]:
  times, sizes = collections.Counter(), collections.Counter()
  for exchange in exchanges:
    times[exchange.kind] += exchange.times
    sizes[exchange.kind] += exchange.times * exchange.num_bytes
  return {kind: (times[kind], int(scale * sizes[kind])) for kind in times}
