import functools
import json
import os
import subprocess
import sys

import pytest
from oracles import commands
from oracles import rollouts as make

from qsharp_jax.rollout import store

LINES = [
  {"prediction": r"so \boxed{0.5}", "answer": r"\frac{1}{2}", "id": 7},
  {"prediction": "so 18", "answer": "x #### 18", "note": {"a": [1]}},
  {"prediction": r"\boxed{é}", "answer": "é"},
]


grade = functools.partial(commands.run, "experiments.grade")


def test_grades_a_file_and_keeps_other_keys(tmp_path):
  text = "".join(json.dumps(line) + "\n" for line in LINES)
  (tmp_path / "in.jsonl").write_text(text)
  done = grade(
    "--grader=boxed", "--input=in.jsonl", "--output=out.jsonl", cwd=tmp_path
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith("boxed: 2 of 3 correct (66.67%), 1 without")
  assert done.stdout.count("\n") == 1
  out = (tmp_path / "out.jsonl").read_text().splitlines()
  assert [json.loads(line) for line in out] == [
    {**LINES[0], "correct": True, "extracted": "0.5"},
    {**LINES[1], "correct": False, "extracted": None},
    {**LINES[2], "correct": True, "extracted": "é"},
  ]
  names = sorted(path.name for path in tmp_path.iterdir())
  assert names == ["in.jsonl", "out.jsonl"]


@pytest.mark.parametrize(
  "second_line, says",
  [
    (b'{"prediction": "x"}', "in.jsonl:2: no 'answer'"),
    (b'{"prediction": "x", "answer": 3}', "in.jsonl:2: 'answer' is a int"),
    (b"{broken", "in.jsonl:2: not a line of JSON"),
    (b"", "in.jsonl:2: not a line of JSON"),
    (b"\xff", "in.jsonl:2: not a line of JSON"),
    (b"[1]", "in.jsonl:2: got a list"),
  ],
)
def test_a_broken_line_is_named(tmp_path, second_line, says):
  good = b'{"prediction": "1", "answer": "1"}\n'
  (tmp_path / "in.jsonl").write_bytes(good + second_line + b"\n" + good)
  (tmp_path / "out.jsonl").write_text("from before")
  done = grade(
    "--grader=flexible", "--input=in.jsonl", "--output=out.jsonl", cwd=tmp_path
  )
  assert done.returncode == 2
  assert done.stderr.startswith("error: ") and says in done.stderr
  assert done.stderr.count("\n") == 1
  assert (tmp_path / "out.jsonl").read_text() == "from before"


@pytest.mark.parametrize(
  "flags, says",
  [
    (["--grader=exact"], "one of boxed, "),
    (["--grader=strict", "--output=o"], "--input"),
    (["--grader=strict", "--input=no", "--output=o"], "cannot read --input no"),
    (["--gradr=strict"], "Unknown command line flag 'gradr'"),
    (["grader=strict", "--grader=strict", "--input=i", "--output=o"], "unexp"),
  ],
)
def test_wrong_flags_are_one_line_and_exit_code_2(tmp_path, flags, says):
  done = grade(*flags, cwd=tmp_path)
  assert done.returncode == 2
  assert done.stderr.startswith("error: ") and says in done.stderr
  assert done.stderr.count("\n") == 1


CONFIG = """
from ml_collections import config_dict
from qsharp_jax.core.errors import InputError
def get_config(variant="good"):
  if variant == "bad":
    raise InputError("no variant bad")
  return config_dict.ConfigDict({"steps": 1})
"""
MAIN = """
from experiments.harness import config_flag, console
from qsharp_jax.core.errors import InputError
_CONFIG = config_flag.define("gsm8k:tiny")
def main(_):
  if _CONFIG.value.steps == 2:
    raise InputError("steps is 2:\\nexpected 1")
  if _CONFIG.value.steps == 3:
    raise ValueError("a bug")
if __name__ == "__main__":
  console.run(main)
"""


@pytest.mark.parametrize(
  "flags, code, says",
  [
    (["--config=config.py"], 0, ""),
    (["--config=config.py", "--config.steps=2"], 2, "steps is 2: expected 1"),
    (["--config=config.py", "--config.steps=3"], 1, "ValueError: a bug"),
    (["--config=config.py", "--config.steps=x"], 2, "--config.steps=x"),
    (["--config=config.py", "--config.step=1"], 2, "no field"),
    (["--config=config.py:bad"], 2, "error: no variant bad"),
    (["--config=missing.py"], 2, "--config does not load"),
  ],
)
def test_console_tells_mistakes_from_bugs(tmp_path, flags, code, says):
  (tmp_path / "config.py").write_text(CONFIG)
  (tmp_path / "main.py").write_text(MAIN)
  command = [sys.executable, "main.py", *flags]
  done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
  assert done.returncode == code, done.stderr
  assert says in done.stderr
  if code == 2:
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


USER_CODE = """
from qsharp_jax import rewards

@rewards.declare(is_batched=True)
def longer(predictions, answers, *, prompt):
  return [len(p) - len(q) - 0.5 for p, q in zip(predictions, prompt)]
"""


def test_a_users_reward_reads_the_prompt(tmp_path, monkeypatch):
  (tmp_path / "grade_user.py").write_text(USER_CODE)
  monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
  lines = [
    {"prediction": "abc", "answer": "", "prompt": "a"},
    {"prediction": "", "answer": ""},
  ]
  text = "".join(json.dumps(line) + "\n" for line in lines)
  (tmp_path / "in.jsonl").write_text(text)
  done = grade(
    *("--grader=grade_user:longer", "--input=in.jsonl", "--output=out.jsonl"),
    cwd=tmp_path,
  )
  assert done.returncode == 0, done.stderr
  assert "mean reward 0.5000 of 2" in done.stdout
  found = (tmp_path / "out.jsonl").read_text().splitlines()
  assert [json.loads(line)["reward"] for line in found] == [1.5, -0.5]
  assert [json.loads(line)["correct"] for line in found] == [None, None]


def test_a_run_is_graded_again_without_sampling(tmp_path):
  config = {"reward": "strict", "dtype": "float32"}
  (tmp_path / "config.json").write_text(json.dumps(config))
  rows = [
    make.rollout("q", i, text=f"#### {i}", answer="1", label=0.0, error="broke")
    for i in range(2)
  ]
  folder = tmp_path / "round_1" / "rollouts"
  store.write_shard(folder, 0, rows, num_problems=1, graded_by="strict")
  done = grade(f"--workdir={tmp_path}", cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  assert done.stdout == (
    "round_1/rollouts: 2 samples, mean reward 0.0000 -> 0.5000, failed 2 -> 0\n"
  )
  after = store.read(folder)
  assert after.correct.tolist() == [0.0, 1.0] and after.is_graded.all()
  assert store.shard_size(folder, default=7) == 1


@pytest.mark.parametrize(
  ("given", "says"),
  [
    ((), "--grader is missing"),
    (("--grader=strict", "--input=x"), "--output is missing"),
    (("--workdir=nowhere",), "nowhere holds no run"),
  ],
)
def test_what_is_missing_is_said(tmp_path, given, says):
  done = grade(*given, cwd=tmp_path)
  assert done.returncode == 2 and says in done.stderr
  assert "Traceback" not in done.stderr
