"""What a compiled program reads from and writes to a chip's main memory."""

from launch.aot import exchanges, hlo

# What is a name for bytes that lie where they lay, or the start of a transfer
# whose end is counted.
_FREE = frozenset(
  ("parameter", "get-tuple-element", "tuple", "bitcast", "constant", "while")
  + ("conditional", "call", "custom-call", "copy-start", "slice-start")
  + ("async-start", "after-all", "partition-id", "replica-id", "iota")
  + tuple(f"{kind}-start" for kind in exchanges.KINDS)
)


def hbm_bytes(program: list[hlo.Computation]) -> int:
  """Bytes that go to or come from a chip's main memory.

  What the compiler keeps in on-chip memory, marked S(1) and brought there by
  copies of its own, counts once, as the copy. An exchange in parts beside other
  work counts once, too.
  """
  carriers = {
    block.name: block
    for block in program
    if not block.is_scheduled and any(map(exchanges.chain, block.lines))
  }
  total = 0
  for block in program:
    if block.is_scheduled:
      results = {line.name: line.result for line in block.lines}
      total += block.times * sum(
        _moved(x, results, carriers) for x in block.lines
      )
  return total + _in_parts(list(carriers.values()))


def _moved(
  line: hlo.Instruction,
  results: dict[str, str],
  carriers: dict[str, hlo.Computation],
) -> int:
  if line.kind in _FREE:
    return 0
  if line.kind.endswith("-done"):
    return _size(line.result, everywhere=True)
  read = [_size(results.get(name, "")) for name in line.operands]
  if line.kind == "dynamic-update-slice":  # writes into what it is given
    return 2 * sum(read[1:2])
  for name in hlo.callees(line):
    if name in carriers:
      return _beside_exchange(carriers[name], read)
  return _size(line.result) + sum(read)


def _beside_exchange(block: hlo.Computation, read: list[int]) -> int:
  """Bytes of what is computed in a block beside a part of an exchange.

  Its operands that nothing but the exchange reads, and what it hands on, stay
  where they are.
  """
  parameters = {
    line.name: int(line.rest.partition(")")[0])
    for line in block.lines
    if line.kind == "parameter"
  }
  parts = {line.name for line in block.lines if exchanges.chain(line)}
  by_name = {line.name: line for line in block.lines}
  used, made = set(), set()
  for line in block.lines:
    if line.is_root:
      made |= set(line.operands if line.kind == "tuple" else [line.name])
    elif line.name not in parts:
      used |= set(line.operands)
  own = sum(read[parameters[name]] for name in used & parameters.keys())
  made -= parts | parameters.keys()
  return own + sum(_size(by_name[x].result) for x in made if x in by_name)


def _in_parts(carriers: list[hlo.Computation]) -> int:
  """Bytes of all exchanges in parts, each once."""
  least: dict[str, tuple[int, int]] = {}
  for block in carriers:
    results = {line.name: line.result for line in block.lines}
    for line in block.lines:
      if (name := exchanges.chain(line)) is not None:
        read = sum(_size(results.get(x, "")) for x in line.operands)
        one = block.times, read + _size(line.result)
        least[name] = min(least.get(name, one), one)
  return sum(times * num_bytes for times, num_bytes in least.values())


def _size(result: str, *, everywhere: bool = False) -> int:
  return sum(
    array.num_bytes
    for array in hlo.arrays(result)
    if everywhere or not array.is_on_chip
  )
