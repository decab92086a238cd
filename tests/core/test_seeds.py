"""Seeds that never change, and that no two uses share."""

import ast
import itertools
import pathlib

import pytest

from qsharp_jax.core import seeds


# As by `printf '1\\x1f23' | b2sum -l 32`, read from the right. Whoever changes
# these numbers changes every sample of every run.
@pytest.mark.parametrize(
  "parts, seed",
  [
    ((), 634351890),
    ((0, "gsm8k-1", 3), 4224265050),
    ((1, 23), 1888237325),
    (("ü", 0.5), 519963493),
  ],
)
def test_golden(parts, seed):
  assert seeds.stable_seed(*parts) == seed


def test_parts_do_not_run_together():
  assert seeds.stable_seed(1, 23) != seeds.stable_seed(12, 3)
  assert seeds.stable_seed(1, 2) != seeds.stable_seed(2, 1)


def test_seeds_are_32_bits_and_spread():
  found = {seeds.stable_seed(0, "q", i) for i in range(2000)}
  assert len(found) == 2000
  assert min(found) < 2**22 and 2**32 - 2**22 < max(found) < 2**32


def test_no_two_runs_rounds_and_uses_share_a_seed():
  uses = ("collect", "values", "order", "train", "test", "corpus")
  grid = list(itertools.product(range(20), uses, range(10)))
  assert len({seeds.stable_seed(*parts) for parts in grid}) == len(grid)


def sums_of_seeds(source):
  """Lines where something is added to what is called a seed."""
  for node in ast.walk(ast.parse(source)):
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
      names = map(ast.unparse, (node.left, node.right))
      if any(name.split(".")[-1].strip("_").endswith("seed") for name in names):
        yield node.lineno


def test_nothing_is_added_to_a_seed():
  # Round 2 of seed 0 would be round 1 of seed 1.
  assert list(sums_of_seeds("x = run.rounds.seed + round_index")) == [1]
  root = pathlib.Path(seeds.__file__).parents[2]
  files = [
    file
    for room in ("qsharp_jax", "experiments", "launch")
    for file in (root / room).rglob("*.py")
  ]
  assert len(files) > 100
  found = {
    str(file): lines
    for file in files
    if (lines := list(sums_of_seeds(file.read_text())))
  }
  assert not found


def test_samples_of_another_prompt_have_draws_of_their_own():
  found = seeds.of_samples(0, [1, 2], 3)
  assert seeds.of_samples(0, [1, 2], 2) == found[:2]
  found += seeds.of_samples(0, [1, 3], 3) + seeds.of_samples(1, [1, 2], 3)
  assert len(set(found)) == 9
