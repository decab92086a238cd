r"""Grades a file of predictions.

  python -m experiments.grade --grader=boxed --input=in.jsonl --output=out.jsonl

In: lines `{"prediction": str, "answer": str}`, other keys are kept. Out: the
same lines with `"correct": bool` and `"extracted": str | null` added.
"""

import json
import time

from absl import flags

from experiments.harness import console
from qsharp_jax import rewards
from qsharp_jax.core import errors, files, places
from qsharp_jax.core.errors import InputError

_GRADER = flags.DEFINE_enum(
  "grader",
  None,
  sorted(rewards.registry.NAMED),
  "What the answer is: the number of the last '#### N' (strict), the last "
  "number (flexible) or the last \\boxed{} (boxed, compared by math-verify).",
  required=True,
)
_INPUT = flags.DEFINE_string(
  "input",
  None,
  'JSON lines with "prediction" and "answer" strings; other keys are kept.',
  required=True,
)
_OUTPUT = flags.DEFINE_string(
  "output",
  None,
  'File to write: the lines of --input with "correct" and "extracted" added.',
  required=True,
)
_NUM_WORKERS = flags.DEFINE_integer(
  "num_workers", 2, "Worker processes.", lower_bound=1
)
_TIME_LIMIT_S = flags.DEFINE_float(
  "time_limit_s",
  10.0,
  "Seconds for one prediction; beyond them it counts as incorrect.",
  lower_bound=0.001,
)


def read(path: str) -> list[dict]:
  """Reads the lines to grade; an InputError names the line that is broken."""
  with (
    errors.foreign(f"cannot read --input {path}", "name a file of JSON lines"),
    places.path(path).open("rb") as file,
  ):
    return [_line(line, f"{path}:{i}") for i, line in enumerate(file, 1)]


def write(path: str, lines: list[dict]) -> None:
  """Writes JSON lines, the whole file or nothing."""
  with errors.foreign(f"cannot write --output {path}", "name another file"):
    files.replace(path, "".join(json.dumps(line) + "\n" for line in lines))


def main(_) -> None:
  """Reads, grades, writes, prints one line."""
  start = time.monotonic()
  lines = read(_INPUT.value)
  with rewards.GradingPool(
    _GRADER.value, _NUM_WORKERS.value, _TIME_LIMIT_S.value
  ) as pool:
    grades = pool.grade(
      [line["prediction"] for line in lines],
      [line["answer"] for line in lines],
    )
  for line, grade in zip(lines, grades, strict=True):
    line.update(correct=grade.correct, extracted=grade.extracted)
  write(_OUTPUT.value, lines)
  print(_summary(grades, time.monotonic() - start))


def _line(line: bytes, where: str) -> dict:
  try:
    record = json.loads(line)
  except (ValueError, RecursionError) as error:
    raise InputError(f"{where}: not a line of JSON ({error})") from error
  if not isinstance(record, dict):
    kind = type(record).__name__
    raise InputError(f"{where}: got a {kind}, expected a JSON object")
  for key in ("prediction", "answer"):
    if key not in record:
      raise InputError(f"{where}: no {key!r} among the keys {sorted(record)}")
    if not isinstance(record[key], str):
      kind = type(record[key]).__name__
      raise InputError(f"{where}: {key!r} is a {kind}, expected a string")
  return record


def _summary(grades: list[rewards.Grade], seconds: float) -> str:
  correct = sum(grade.correct for grade in grades)
  missing = sum(grade.extracted is None for grade in grades)
  errors = [
    f"line {i}: {grade.error}"
    for i, grade in enumerate(grades, 1)
    if grade.error
  ]
  share = f" ({correct / len(grades):.2%})" if grades else ""
  first = f" (first: {errors[0]})" if errors else ""
  return (
    f"{_GRADER.value}: {correct} of {len(grades)} correct{share}, {missing} "
    f"without an answer, {len(errors)} errors{first}, {seconds:.1f} s -> "
    f"{_OUTPUT.value}"
  )


if __name__ == "__main__":
  console.run(main)
