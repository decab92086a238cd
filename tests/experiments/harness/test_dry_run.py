"""What a dry run prints and refuses, and the command as it stands."""

import pytest
from oracles import commands

from experiments.configs import alignment
from experiments.harness import dry_run, stages
from qsharp_jax.core.errors import InputError


def test_what_is_done_costs_nothing_more():
  stage = lambda name, seconds, *marks: stages.Stage(
    name, "1 answers", 1, 10**9, seconds, marks
  )
  lines = list(
    dry_run._table(
      [
        stage("collect_1", 30.0),
        stage("test: a", 90.0, "one", "other"),
        stage("test: b", 60.0, "one", "third"),
        stage("test: c", None),
      ],
      {"collect_1": 3.0, "one": 1.0, "other": 1.0},
    )
  )
  assert [line.split()[-1] for line in lines[1:3]] == ["done", "done"]
  assert lines[3].endswith(" 1 min") and lines[4].endswith(" unknown")
  assert lines[-1] == "in all 1 min, without test: c and their training"


def test_what_cannot_be_measured_is_refused_by_name():
  with pytest.raises(InputError, match="cannot measure the variant 'tiny'"):
    dry_run._check_measurable(alignment.get_config("tiny"))
  dry_run._check_measurable(alignment.get_config("local"))


@pytest.mark.slow
@pytest.mark.parametrize(
  "experiment, flags",
  [
    ("gsm8k", {"pretrain.num_questions": 2000}),
    ("star_graph", {"graphs.num_pretrain": 2000}),
    ("abstention", {"graphs.num_pretrain": 2000}),
  ],
)
def test_the_command_says_what_is_to_do_and_writes_nothing(
  experiment, flags, tmp_path
):
  flags |= {"data.num_train": 20, "data.num_validation": 4, "data.num_test": 4}
  done = commands.run(
    f"experiments.{experiment}",
    f"--workdir={tmp_path / 'run'}",
    "--dry_run",
    *(f"--config.{name}={value}" for name, value in flags.items()),
  )
  assert done.returncode == 0, done.stderr
  assert "in all" in done.stdout and "Compiling is not counted" in done.stdout
  assert not list(tmp_path.iterdir())
