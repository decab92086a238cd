"""Numbers at one KL, by hand."""

import math

import numpy as np
import pytest

from qsharp_jax.evaluation import matching
from qsharp_jax.ops import kl


def row(method, kl, accuracy, *, forwards=10.0, selected=False, rounds=1):
  return {
    "method": method,
    "kl": kl,
    "reward": accuracy,
    "forwards": forwards,
    "selected": selected,
    "round": rounds,
  }


REFERENCE = row("reference", 0.0, 0.5, rounds=0)


def at(rows):
  entries = matching.at_equal_kl([REFERENCE, *rows])
  return {entry["method"]: entry for entry in entries}


def test_interpolates_along_the_methods_own_rows():
  found = at(
    [
      row("qsharp", 0.36, 0.9, selected=True),
      row("qsharp", 0.1, 0.6),
      row("cd", 0.16, 0.6, forwards=20.0),
      row("cd", 0.64, 0.8, forwards=40.0, selected=True),
    ]
  )
  assert found["qsharp"]["reward"] == 0.9 and found["qsharp"]["kl"] == 0.36
  assert math.isclose(found["cd"]["reward"], 0.7)
  assert math.isclose(found["cd"]["forwards"], 30.0)
  assert found["cd"]["is_interpolated"] and found["cd"]["kl"] == 0.36
  assert not found["reference"]["is_interpolated"]


def test_below_the_weakest_row_the_reference_is_the_other_end():
  found = at(
    [
      row("qsharp", 0.01, 0.9, selected=True),
      row("cd", 0.16, 0.9),
      row("cd", 0.8, 1.0, selected=True),
    ]
  )
  assert math.isclose(found["cd"]["reward"], 0.6)


def test_what_has_no_such_kl_stands_as_it_is():
  found = at(
    [
      row("qsharp", 0.4, 0.9, selected=True),
      row("qsharp", 0.5, 0.2, rounds=0),
      row("vas", 0.1, 0.6),
      row("vas", 0.2, 0.7, selected=True),
      row("ppo", 3.0, 1.0, selected=True),
      row("blocks", math.nan, 0.8, selected=True),
    ]
  )
  assert (found["vas"]["kl"], found["vas"]["reward"]) == (0.2, 0.7)
  assert (found["ppo"]["kl"], found["ppo"]["reward"]) == (3.0, 1.0)
  assert found["blocks"]["reward"] == 0.8
  assert not any(found[m]["is_interpolated"] for m in ("vas", "ppo", "blocks"))


def test_without_a_selected_row_of_qsharp_there_is_nothing_to_match():
  assert matching.at_equal_kl([REFERENCE, row("cd", 0.2, 0.6)]) == []


@pytest.mark.parametrize(
  ("mine", "grid"), [(0.4, (0.1, 1.0)), (0.15, (0.6,)), (0.05, (0.3, 0.9))]
)
def test_methods_on_one_front_are_level(mine, grid):
  start = 0.3
  accuracies = np.linspace(start, 0.999, 2000)
  kls = np.asarray(kl.kl_floor(accuracies, np.full(2000, start)))
  on_front = lambda name, kl, selected=False: row(
    name, kl, float(np.interp(kl, kls, accuracies)), selected=selected
  )
  rivals = [on_front("cd", kl) for kl in grid]
  rivals.append(on_front("cd", 1.1, selected=True))
  reference = row("reference", 0.0, start, rounds=0)
  mine = on_front("qsharp", mine, selected=True)
  found = matching.at_equal_kl([reference, mine, *rivals])
  cd = next(entry for entry in found if entry["method"] == "cd")
  assert cd["kl"] == mine["kl"]
  # Linearly in KL the second of two equals lost 0.07 to 0.13.
  assert abs(cd["reward"] - mine["reward"]) < 0.025
