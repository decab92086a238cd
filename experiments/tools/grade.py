r"""Grades a file of predictions, or the stored samples of a run again.

  python -m experiments.grade --grader=boxed --input=in.jsonl --output=out.jsonl
  python -m experiments.grade --workdir=runs/mine

In: lines `{"prediction": str, "answer": str}`, other keys are kept; a reward
that reads the question, such as a reward model (--grader=model:DIR), finds it
under "prompt". Out: the same lines
with `"correct": bool | null` and `"extracted": str | null` added, and "reward"
where the reward is your own.

With --workdir all samples of the run are graded again by its reward, or by
--grader, without sampling: after a reward was mended. The experiment's own
command then trains and reports what follows from it.
"""

import contextlib
import time

import jax
import numpy as np
from absl import flags

from experiments.harness import console, predictions
from qsharp_jax import pipeline, reward_models, rewards, rollout, sharding
from qsharp_jax.core import files, places
from qsharp_jax.core.errors import InputError
from qsharp_jax.sharding import mesh as mesh_lib

_GRADER = flags.DEFINE_string(
  "grader",
  None,
  "What the answer is: the number of the last '#### N' (strict), the last "
  "number (flexible), the last \\boxed{} (boxed, compared by math-verify), a "
  "letter (choice), a path of nodes (path), or package.module:function; "
  "model:DIR scores by a reward model.",
)
_INPUT = flags.DEFINE_string(
  "input",
  None,
  'JSON lines with "prediction" and "answer" strings; other keys are kept.',
)
_OUTPUT = flags.DEFINE_string(
  "output",
  None,
  'File to write: the lines of --input with "correct" and "extracted" added.',
)
_WORKDIR = flags.DEFINE_string(
  "workdir", None, "A run of an experiment, in place of --input and --output."
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


def main(_) -> None:
  """Reads, grades, writes, prints a line for each file or store."""
  if _GRADER.value and not reward_models.names.is_model(_GRADER.value):
    rewards.registry.check(_GRADER.value)
  if _WORKDIR.value:
    _grade_run(places.absolute(_WORKDIR.value))
    return
  missing = [f.name for f in (_GRADER, _INPUT, _OUTPUT) if not f.value]
  if missing:
    raise InputError(
      f"--{missing[0]} is missing: expected --grader, --input and --output, or "
      "--workdir"
    )
  start = time.monotonic()
  lines = predictions.read(_INPUT.value)
  with _grader(_GRADER.value) as pool:
    prompts = [line.get("prompt", "") for line in lines]
    grades = pool.grade(
      [line["prediction"] for line in lines],
      [line["answer"] for line in lines],
      prompts=prompts,
    )
  for line, grade in zip(lines, grades, strict=True):
    line.update(correct=grade.correct, extracted=grade.extracted)
    if _GRADER.value not in rewards.registry.NAMED:
      line.update(reward=grade.reward)
  predictions.write(_OUTPUT.value, lines)
  print(_summary(grades, time.monotonic() - start))


def _grade_run(workdir: places.Path) -> None:
  """Grades every store of a run again, and says what has changed."""
  if not (workdir / "config.json").exists():
    raise InputError(
      f"{workdir} holds no run; expected the --workdir of an experiment"
    )
  config = files.read_json_object(workdir / "config.json")
  stores = sorted(
    {
      path.parent
      for pattern in ("round_*/rollouts/*", "evaluation/*/*/*")
      for path in workdir.glob(f"{pattern}.parquet")
    }
  )
  name = _GRADER.value or config["reward"]
  with _grader(name, config["dtype"]) as grader:
    grade, identity = grader.grade, grader.identity
    if name == config["reward"] and config.get("reward_is_standardised"):
      paths = pipeline.RunPaths(workdir)
      grade, identity = pipeline.standardising.restored(paths, grade, identity)
    for store in stores:
      before = rollout.store.read(store, with_text=False)
      rollout.grading.grade_again(store, grade, identity, is_forced=True)
      after = rollout.store.read(store, with_text=False)
      print(
        f"{store.relative_to(workdir)}: {len(after)} samples, mean reward "
        f"{np.mean(before.label):.4f} -> {np.mean(after.label):.4f}, failed "
        f"{(~before.is_graded).sum()} -> {(~after.is_graded).sum()}"
      )


def _grader(
  name: str, dtype: str = "float32"
) -> contextlib.AbstractContextManager[rewards.Grader]:
  if not reward_models.names.is_model(name):
    return rewards.GradingPool(name, _NUM_WORKERS.value, _TIME_LIMIT_S.value)
  layout = sharding.Layout(mesh_lib.make_mesh((1, jax.device_count(), 1)))
  return contextlib.nullcontext(
    reward_models.ModelGrader(name, layout, dtype=dtype)
  )


def _summary(grades: list[rewards.Grade], seconds: float) -> str:
  missing = sum(grade.extracted is None for grade in grades)
  errors = [
    f"line {i}: {grade.error}"
    for i, grade in enumerate(grades, 1)
    if grade.error
  ]
  first = f" (first: {errors[0]})" if errors else ""
  return (
    f"{_GRADER.value}: {_verdict(grades)}, {missing} without an answer, "
    f"{len(errors)} errors{first}, {seconds:.1f} s -> {_OUTPUT.value}"
  )


def _verdict(grades: list[rewards.Grade]) -> str:
  """Right ones, or the mean of rewards that say nothing of right and wrong."""
  if _GRADER.value not in rewards.registry.NAMED and grades:
    mean = np.mean([grade.reward for grade in grades])
    return f"mean reward {mean:.4f} of {len(grades)}"
  correct = sum(bool(grade.correct) for grade in grades)
  share = f" ({correct / len(grades):.2%})" if grades else ""
  return f"{correct} of {len(grades)} correct{share}"


if __name__ == "__main__":
  console.run(main)
