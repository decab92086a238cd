"""Grading workers killed while busy, from the first rollout to the report."""

import fatal_reward
import pytest
from oracles import micro_runs

from qsharp_jax import generate, pipeline, rewards
from qsharp_jax.pipeline import evaluate, methods
from qsharp_jax.rollout import store

PLACES = 10
CLOCK = ("seconds", "tokens_per_second")


def report(directory, reward="fatal_reward:favourite"):
  """Learns and evaluates from nothing; the report without its clock."""
  with rewards.GradingPool(reward, 2) as pool:
    task = {"grade": pool.grade, "reward": reward}
    run = micro_runs.learning(directory, task=task)
    with run.layout.context():
      pipeline.learn(run)
      guided = methods.guided(run, generate.Guidance("qsharp"), (0.2, 0.5))
      what = pipeline.Evaluation({"qsharp": guided}, 4, 3)
      content = evaluate.evaluate(run, what, experiment="e", variant="v")
  rows = [row.to_dict() for row in content["rows"]]
  plain = [{k: row[k] for k in row if k not in CLOCK} for row in rows]
  return run, plain, content["failed_rewards"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
  directory = tmp_path_factory.mktemp("undisturbed")
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv(fatal_reward.FOLDER, str(directory))
    run, rows, failed = report(directory)
  return run, rows, failed, (directory / "calls").stat().st_size


def test_a_worker_killed_at_ten_places_changes_nothing(
  undisturbed, tmp_path, monkeypatch
):
  _, rows, failed, num_calls = undisturbed
  monkeypatch.setenv(fatal_reward.FOLDER, str(tmp_path))
  # A killed call is made again: later ones are one further each time.
  places = [1 + i * (num_calls + PLACES - 1) // PLACES for i in range(PLACES)]
  for place in places:
    (tmp_path / f"kill-{place}").touch()
  _, again, failed_again = report(tmp_path)
  assert not list(tmp_path.glob("kill-*"))  # all have happened
  assert (tmp_path / "calls").stat().st_size >= num_calls + PLACES
  assert again == rows
  assert failed_again == failed
  assert not any(own["failed"] for own in failed.values())


def test_a_text_that_always_kills_is_counted_and_named(
  undisturbed, tmp_path, monkeypatch
):
  run, *_ = undisturbed
  text = store.read(run.paths.rollouts(1))[0].text
  monkeypatch.setenv(fatal_reward.FOLDER, str(tmp_path))
  (tmp_path / "curse").write_text(text)
  run, _, failed = report(tmp_path, "fatal_reward:cursed")
  found = store.read(run.paths.rollouts(1))
  killed = [row for row in found if row.text == text]
  assert killed and all("died" in row.error for row in killed)
  assert all(row.error is None for row in found if row.text != text)
  assert failed["train"]["failed"] >= len(killed)
  assert "Failed rewards: train" in (
    (run.workdir.path / "report.md").read_text()
  )
