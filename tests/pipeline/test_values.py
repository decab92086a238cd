import json

import jax
import numpy as np
import pytest
from oracles import micro_runs, run_files

from qsharp_jax import models, pipeline, rewards
from qsharp_jax.core.errors import InputError


def test_refuses_rollouts_without_any_signal(tmp_path):
  same = lambda texts, *_, **__: [rewards.Grade(True, None, 1.0) for _ in texts]
  run = micro_runs.learning(tmp_path, task={"grade": same})
  with pytest.raises(InputError, match="different rewards.*nothing to learn"):
    pipeline.learn(run)
  assert "train_1" not in run.workdir.seconds()


def pays(reward):
  """Pays that for an answer with the favourite token, and else nothing."""

  def grade(texts, answers, split="", *, prompts=None):
    found = micro_runs.has_favourite(texts, answers)
    right = rewards.Grade(None, None, reward)
    return [right if grade.correct else grade for grade in found]

  return {"grade": grade}


@pytest.mark.parametrize(
  ("reward", "says"),
  [
    (0.5, "the first 0.5; expected 0 or 1, failure or success"),
    (-1.0, "the first -1; expected 0 or 1"),
  ],
)
def test_refuses_rewards_that_the_values_cannot_say(reward, says, tmp_path):
  run = micro_runs.learning(
    tmp_path, task=pays(reward), rounds={"num_rounds": 1}
  )
  with pytest.raises(InputError, match=r"^\d+ of \d+ rewards are ") as refused:
    pipeline.learn(run)
  assert says in str(refused.value) and "'categorical'" in str(refused.value)
  assert list(run.workdir.seconds()) == ["collect_1"]


def categorical(**fields):
  """A value model of three atoms."""
  model = models.ValueModel(micro_runs.CONFIG, models.HeadConfig("q", 3))
  return {"loss": "categorical", "model": model} | fields


def test_rewards_beyond_the_support_are_counted_and_named(tmp_path, caplog):
  run = micro_runs.learning(
    tmp_path,
    task=pays(7.0),
    critic=categorical(atoms=(0.0, 0.5, 1.0)),
    rounds={"num_rounds": 1},
  )
  pipeline.learn(run)
  (line,) = [m for m in caplog.messages if "outside the support" in m]
  assert "from 0 to 1 (they reach from 0 to 7)" in line
  found = json.loads(run.paths.value_metrics(1).read_text())
  assert found["labels_outside_support"] > 0


def test_measures_what_was_held_out(learnt):
  run = micro_runs.learning(learnt)
  critic, params = run.players.critic, run_files.saved(run, run.paths.value(2))
  apply = jax.jit(critic.model.apply)
  losses, values, labels = [], [], []
  for i in (1, 2):
    rollouts = run_files.read(learnt, i)
    for row in rollouts.take(rollouts.split == "validation"):
      tokens = np.concatenate([row.prompt, row.tokens])
      end = len(tokens)
      padded = np.pad(tokens, (0, 8 - end))[None]  # what follows is not seen
      logits = apply(params, padded, np.arange(8)[None])[0]
      logits = np.asarray(logits)[len(row.prompt) + row.first_label : end]
      target = np.full(len(logits), row.label, np.float32)
      losses.extend(critic.token_loss(logits, target).tolist())
      values.extend(critic.mean(logits).tolist())
      labels.extend(target.tolist())
  file = run.paths.value_metrics(2)
  found = json.loads(file.read_text())["held_out_questions"]
  # Rollouts that ended before their switch have nothing to say.
  assert found["tokens"] == len(losses) > 10
  np.testing.assert_allclose(found["loss"], np.mean(losses), rtol=1e-4)
  explained = 1 - np.var(np.subtract(labels, values)) / np.var(labels)
  np.testing.assert_allclose(
    found["explained_variance"], explained, rtol=1e-2, atol=1e-4
  )


@pytest.mark.parametrize("content", [None, "", "[]"])
def test_lost_metrics_are_measured_again_and_nothing_trained(
  learnt, fits, caplog, content
):
  file = learnt / "run" / "round_2" / "value_metrics.json"
  good, before = json.loads(file.read_text()), run_files.marks(learnt)
  file.unlink() if content is None else file.write_text(content)
  pipeline.learn(micro_runs.learning(learnt))
  assert json.loads(file.read_text()) == good
  assert run_files.marks(learnt) == before and not fits
  assert "round_2/value_metrics.json is" in caplog.text
