"""Are verdicts functions of their two strings, and golds right for themselves?

  python -m benchmarks.verdicts --num_pairs=1000 --num_processes=20
  QSHARP_DATA_DIR=... python -m benchmarks.verdicts --golds

Grades odd pairs (infinities, towers, undefined values, random expressions) by
`boxed` in fresh processes, each with another order of hashes and of pairs, and
counts the pairs with more than one verdict. With --golds, every answer of GSM8K
and MATH-500 is graded against itself. Prints a line each; the last is JSON.
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import time

from qsharp_jax.rewards import graders, latex, quantities, symbolic

_ODD = [
  r"\infty^{\infty}",
  r"\infty",
  r"-\infty",
  r"\frac{\infty}{\infty}",
  r"\infty - \infty",
  r"0 \cdot \infty",
  r"\frac{0}{0}",
  r"\frac{1}{0}",
  r"0^0",
  r"\log 0",
  r"\tan \frac{\pi}{2}",
  r"1^{\infty}",
  r"\infty!",
  r"\sqrt{-\infty}",
  r"\lim_{x \to 0} \frac{1}{x}",
  r"\sin \infty",
  r"(-1)^{\infty}",
  r"\sum_{n=1}^{\infty} \frac{1}{n}",
]
_PARTS = [
  "x", "y", "2", "42", r"\pi", r"\frac{x}{3}", r"\sqrt{x}", "x^2", r"\sin x",
  r"\ln y", r"e^{x}", r"|x|", "0.1", r"\sqrt[3]{2}", "n!", r"2^{x}",
]  # fmt: skip
_CODE = (
  "import json, sys; from qsharp_jax.rewards import graders; "
  "pairs = json.load(sys.stdin); print(json.dumps("
  "[graders.boxed('\\\\boxed{' + p + '}', g).correct for p, g in pairs]))"
)


def odd_pairs(count: int, seed: int = 0) -> list[tuple[str, str]]:
  """Pairs (prediction, gold) whose verdict might be drawn by lot."""
  draw = random.Random(seed)

  def expression() -> str:
    kind = draw.random()
    if kind < 0.3:
      return draw.choice(_ODD)
    parts = draw.sample(_PARTS, draw.randint(1, 3))
    return draw.choice([" + ", " - ", r" \cdot "]).join(parts)

  pairs = [(odd, "42") for odd in _ODD]
  while len(pairs) < count:
    first, second = expression(), expression()
    if draw.random() < 0.3:  # equal, in another form
      first, second = f"{second} + {first} - {first}", second
    pairs.append((first, second))
  return pairs[:count]


def verdicts(pairs: list[tuple[str, str]], hash_seed: int) -> list[bool]:
  """The verdicts of a fresh process that sees the pairs in another order."""
  order = list(range(len(pairs)))
  random.Random(hash_seed).shuffle(order)
  done = subprocess.run(
    [sys.executable, "-c", _CODE],
    input=json.dumps([pairs[i] for i in order]),
    capture_output=True,
    text=True,
    check=True,
    env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
  )
  shuffled = json.loads(done.stdout)
  return [verdict for _, verdict in sorted(zip(order, shuffled, strict=True))]


def count_unsteady(num_pairs: int, num_processes: int) -> dict:
  """How many odd pairs get more than one verdict, and how many are right."""
  pairs = odd_pairs(num_pairs)
  runs = [verdicts(pairs, seed) for seed in range(num_processes)]
  unsteady = [
    pair
    for pair, column in zip(pairs, zip(*runs, strict=True), strict=True)
    if len(set(column)) > 1
  ]
  for prediction, gold in unsteady:
    print(f"unsteady: {prediction}  against  {gold}")
  return {
    "pairs": num_pairs,
    "processes": num_processes,
    "unsteady": len(unsteady),
    "right": sum(runs[0]),
    "infinite_right_against_42": sum(runs[0][: len(_ODD)]),
  }


def wrong_golds(folder: pathlib.Path) -> dict:
  """How many golds are wrong against themselves, by every way to them."""
  wrong = {"gsm8k": 0, "math500": 0}
  for name in ("train", "test"):
    for line in (folder / "gsm8k" / f"{name}.jsonl").open():
      solution = json.loads(line)["answer"]
      gold = solution.rpartition("#### ")[2]
      tries = [
        (graders.strict, solution, solution),
        (graders.flexible, solution, solution),
        (graders.strict, f"#### {gold}", gold),
        (graders.flexible, gold, gold),
        (graders.boxed, f"\\boxed{{{gold}}}", solution),
      ]
      for grader, prediction, answer in tries:
        if not grader(prediction, answer).correct:
          wrong["gsm8k"] += 1
          print(f"wrong: {grader.__name__} {gold!r}")
  for line in (folder / "math500" / "test.jsonl").open():
    record = json.loads(line)
    gold = record["answer"]
    tries = [
      (f"\\boxed{{{gold}}}", gold),
      (f"\\boxed{{\\displaystyle{{{gold}}}\\,}}", gold),
      (record["solution"], gold),
    ]
    is_right = [graders.boxed(*pair).correct for pair in tries]
    spelling = quantities.split(latex.canonical(gold)).value
    if not all(is_right) or not (
      "\\text" in spelling or symbolic.same(spelling, spelling)
    ):
      wrong["math500"] += 1
      print(f"wrong: boxed {gold!r}")
  return wrong


def main() -> None:
  """Reads the flags, measures, prints."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--num_pairs", type=int, default=1000)
  parser.add_argument("--num_processes", type=int, default=20)
  parser.add_argument("--golds", action="store_true")
  flags = parser.parse_args()
  start = time.monotonic()
  if flags.golds:
    folder = os.environ.get("QSHARP_DATA_DIR")
    if not folder:
      raise SystemExit("--golds needs QSHARP_DATA_DIR, see WORKSPACE.md")
    result = wrong_golds(pathlib.Path(folder))
  else:
    result = count_unsteady(flags.num_pairs, flags.num_processes)
  print(json.dumps({**result, "seconds": round(time.monotonic() - start, 1)}))


if __name__ == "__main__":
  main()
