"""Files as others might have written them: seeded damage to JSON and bytes."""

import copy
import json
from collections.abc import Iterator

import numpy as np

DEEP = "[" * 100_000 + "]" * 100_000
# What stands in for some part of a JSON document.
VALUES = (
  None,
  True,
  False,
  0,
  -1,
  1,
  2,
  10**9,
  10**30,
  0.5,
  -0.5,
  1e300,
  float("nan"),
  float("inf"),
  "",
  "7",
  "\ud800",
  "naïve 数学\n\nline",
  "x" * 10_000,
  [],
  {},
  [None],
  [7, None],
  [[7]],
  ["a", 1],
  {"a": {"b": []}},
  [0] * 2000,
)


def documents(document, seed: int, num: int) -> Iterator[bytes]:
  """The document with one to three parts replaced, dropped or doubled."""
  rng = np.random.default_rng(seed)
  for _ in range(num):
    mutant = copy.deepcopy(document)
    for _ in range(rng.integers(1, 4)):
      mutant = _mutated(mutant, rng)
    yield json.dumps(mutant).encode()


def texts(content: bytes, seed: int, num: int) -> Iterator[bytes]:
  """The bytes cut, flipped, doubled, or with something foreign in them."""
  rng = np.random.default_rng(seed)
  foreign = (
    b"\xef\xbb\xbf", b"\xff\xfe", b"\x00" * 9, b"\xff", b",", b"{", b"}]",
    b"9" * 5000, b"NaN", b"\n\n", b"{{", b"%}", DEEP.encode(),
  )  # fmt: skip
  for i in range(num):
    at, end = sorted(rng.integers(0, len(content) + 1, 2))
    piece = foreign[rng.integers(len(foreign))]
    flipped = bytearray(content)
    for place in rng.integers(0, len(content), 1 + i % 4):
      flipped[place] ^= 1 << rng.integers(8)
    yield (
      content[:at],
      bytes(flipped),
      content[:at] + content[end:],
      content[:end] + content[at:],
      content[:at] + piece + content[at:],
      content[:at] + piece + content[end:],
      piece + content,
      content + piece,
    )[i % 8]


def _mutated(document, rng: np.random.Generator):
  """One change somewhere in a tree of lists and objects."""
  value = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
  node = document
  if not isinstance(node, dict | list) or not node or rng.random() < 0.02:
    return value
  while True:
    keys = list(node) if isinstance(node, dict) else range(len(node))
    key = keys[rng.integers(len(keys))]
    inner = node[key]
    if not isinstance(inner, dict | list) or not inner or rng.random() < 0.3:
      break
    node = inner
  kind = rng.integers(4)
  if kind == 0:
    del node[key]
  elif kind == 1 and isinstance(node, dict):
    node["added_" + str(rng.integers(9))] = value
  elif kind == 1:
    node.insert(key, copy.deepcopy(inner))
  else:
    node[key] = value
  return document
