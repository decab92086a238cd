"""The report of a run of tiny random models: rows, the choice of eta, cost."""

import dataclasses
import json
import re
import shutil

import jax
import numpy as np
import pytest
from oracles import decoders, micro_runs
from oracles import rollouts as make
from pyarrow import parquet

from qsharp_jax import generate, pipeline, rewards
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core import seeds
from qsharp_jax.evaluation import optimum
from qsharp_jax.generate import decode
from qsharp_jax.generate import state as state_lib
from qsharp_jax.pipeline import evaluate, jobs, methods
from qsharp_jax.rollout import store

ETAS = (0.1, 0.5, 0.2)
SAMPLES, SEED = 8, 5


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
  """A run with values that has not sampled anything."""
  return micro_runs.evaluated(tmp_path_factory.mktemp("evaluate"))


@pytest.fixture
def run(empty, tmp_path):
  """A copy of its own for each test."""
  workdir = pipeline.Workdir(tmp_path / "run", {})
  shutil.copytree(empty.workdir.path, workdir.path)
  return dataclasses.replace(empty, workdir=workdir, held={})


def evaluated(run, kinds=("qsharp",), etas=ETAS, **fields):
  compared = {
    kind: methods.guided(run, generate.Guidance(kind), etas) for kind in kinds
  }
  fields = {"num_reference_samples": SAMPLES} | fields
  what = pipeline.Evaluation(compared, SAMPLES, SEED, **fields)
  return evaluate.evaluate(run, what, experiment="e", variant="v")


def sampled(run, split, name, num_right):
  """Puts samples by hand where the first ones of each split are right."""
  problems = getattr(run.task, split)
  rollouts = [
    make.rollout(
      problem.id,
      sample,
      label=float(SAMPLES * q + sample < num_right),
      prompt=problem.prompt,
      split=split,
    )
    for q, problem in enumerate(problems)
    for sample in range(SAMPLES)
  ]
  size = run.sampling.batch_size * SAMPLES
  for i, start in enumerate(range(0, len(rollouts), size)):
    store.write_shard(
      run.workdir.path / "evaluation" / split / name,
      i,
      rollouts[start : start + size],
    )


@pytest.fixture
def grid(run, monkeypatch):
  """Makes samples at every (method, eta), so many right in each split."""
  real = jobs.algorithm1.sample_each

  def prepare(**splits):
    counts = {
      (split, f"{method}-eta{eta:g}-round2"): num_right
      for split, right in splits.items()
      for (method, eta), num_right in right.items()
    }

    def sample_each(run, sampler, problems, plans):
      rest = {}
      for store_, plan in plans.items():
        split, name = store_.parts[-2:]
        if (split, name) in counts:
          sampled(run, split, name, counts[split, name])
        else:
          rest[store_] = plan
      if rest:
        real(run, sampler, problems, rest)

    monkeypatch.setattr(jobs.algorithm1, "sample_each", sample_each)

  return prepare


def chosen(content):
  return {
    (r.method, r.eta, r.round_index) for r in content["rows"] if r.selected
  }


def table(run, split, name):
  """All columns of a job's shards, as pyarrow reads them."""
  folder = run.workdir.path / "evaluation" / split / name
  parts = [
    parquet.read_table(path).to_pydict()
    for path in sorted(folder.glob("shard-*.parquet"))
  ]
  return {
    key: [cell for part in parts for cell in part[key]] for key in parts[0]
  }


def sampled_files(run):
  """Content of everything under the run but what the report shows."""
  files = run.workdir.path.rglob("*")
  return {
    path.relative_to(run.workdir.path): path.read_bytes()
    for path in files
    if path.is_file()
    and not path.name.startswith(("report", "pareto", "tokens", "verif"))
  }


def without_clock(row):
  row = row.to_dict()
  return {k: row[k] for k in row if k not in ("seconds", "tokens_per_second")}


def test_chooses_the_best_eta_on_validation_not_on_test(run, grid):
  grid(
    validation={("qsharp", 0.1): 3, ("qsharp", 0.5): 2, ("qsharp", 0.2): 9},
    test={("qsharp", 0.1): 16, ("qsharp", 0.5): 16, ("qsharp", 0.2): 0},
  )
  assert chosen(evaluated(run)) == {("qsharp", 0.2, 2)}


def test_chooses_the_larger_eta_among_equals(run, grid):
  grid(
    validation={("qsharp", 0.1): 7, ("qsharp", 0.5): 7, ("qsharp", 0.2): 7},
    test={("qsharp", 0.1): 1, ("qsharp", 0.5): 1, ("qsharp", 0.2): 1},
  )
  assert chosen(evaluated(run)) == {("qsharp", 0.5, 2)}


def test_chooses_for_each_method_by_itself(run, grid):
  right = {("qsharp", eta): int(eta == 0.1) for eta in ETAS}
  right |= {("cd", eta): 5 + int(eta == 0.5) for eta in ETAS}
  grid(validation=right, test=right)
  assert chosen(evaluated(run, ("qsharp", "cd"))) == {
    ("qsharp", 0.1, 2),
    ("cd", 0.5, 2),
  }


def expected_row(run, name, eta, value_round):
  """Texts, and the columns of a row, from one call of the decode loop."""
  policy, params = run.unguided(), {"reference": run.players.reference_params}
  if name != "reference":
    policy = dataclasses.replace(
      run.players.policy, guidance=generate.Guidance(name)
    )
    folder = run.paths.value(value_round)
    params["value"] = huggingface.load_value_model(folder)[2]
  requests = [
    generate.Request(
      problem.prompt,
      [seeds.stable_seed(SEED, problem.id, i) for i in range(SAMPLES)],
      np.inf if eta is None else eta,
    )
    for problem in run.task.test
  ]
  groups = list(generate.generate(policy, params, requests, run.sampling))
  flat = [c for group in groups for c in group]
  texts = [micro_runs.decode(c.tokens.tolist()) for c in flat]
  correct = [g.correct for g in micro_runs.prefers_favourite(texts, texts)]
  judge = huggingface.load_value_model(run.paths.value(2))[2]
  whole = [
    [*request.prompt, *c.tokens]
    for request, group in zip(requests, groups, strict=True)
    for c in group
  ]
  logits = jax.jit(run.players.critic.model.apply)(
    judge, *decoders.right_padded(whole, time=8)
  )
  ends = [len(tokens) - 1 for tokens in whole]
  values = np.asarray(logits)[np.arange(len(ends)), ends, 0]
  values = values.reshape(-1, SAMPLES)
  best = [
    correct[SAMPLES * q + int(np.argmax(row))] for q, row in enumerate(values)
  ]
  return texts, {
    "pass@1": np.mean(correct),
    "pass@8": np.mean(np.reshape(correct, (-1, SAMPLES)).any(axis=1)),
    "kl": np.mean([c.kl.sum() for c in flat]),
    "kl_filtered": np.mean([c.kl_filtered.sum() for c in flat]),
    "mean_length": np.mean([len(c.tokens) for c in flat]),
    "truncated_share": np.mean([not c.ended for c in flat]),
    "forwards": np.mean([c.num_forwards for c in flat]),
    "best_of_8": np.mean(best),
    "num_questions": 6,
    "num_samples": SAMPLES,
    "failed_rewards": 0,
  }


def test_rows_are_the_reference_earlier_rounds_and_the_grid(run):
  content = evaluated(run)
  rows = {(r.method, r.eta, r.round_index): r for r in content["rows"]}
  assert list(rows) == [
    ("reference", None, 0),
    ("qsharp", 0.1, 1),
    ("qsharp", 0.1, 2),
    ("qsharp", 0.5, 2),
    ("qsharp", 0.2, 2),
  ]
  folders = {
    ("reference", None, 0): "reference",
    ("qsharp", 0.1, 1): "qsharp-eta0.1-round1",
    ("qsharp", 0.5, 2): "qsharp-eta0.5-round2",
  }
  label = table(run, "test", "reference")["label"]
  reference = np.reshape(label, (-1, SAMPLES))
  accuracies = set()
  for key, folder in folders.items():
    texts, expected = expected_row(run, *key)
    written = table(run, "test", folder)
    assert written["text"] == texts
    assert set(written["eta"]) == {key[1]}
    row = rows[key].to_dict()
    for name, number in expected.items():
      np.testing.assert_allclose(
        row[name], number, rtol=1e-4, atol=1e-6, err_msg=f"{key} {name}"
      )
    accuracies.add(row["pass@1"])
    np.testing.assert_allclose(row["reward"], np.mean(written["label"]))
    if key[1] is not None:
      objective = row["reward"] - key[1] * row["kl"]
      best = np.mean(optimum.optimum(reference, eta=key[1]))
      share = (objective - reference.mean()) / (best - reference.mean())
      found = [row["objective"], row["optimum"], row["share"]]
      np.testing.assert_allclose(found, [objective, best, share])
    lengths = [len(tokens) for tokens in written["tokens"]]
    np.testing.assert_allclose(
      row["tokens_per_second"], sum(lengths) / sum(written["seconds"])
    )
  assert len(accuracies) > 1  # the comparison is of something
  # The chosen eta is the best of what validation sampled.
  right = {
    eta: (
      np.mean(table(run, "validation", f"qsharp-eta{eta:g}-round2")["label"]),
      eta,
    )
    for eta in ETAS
  }
  assert chosen(content) == {("qsharp", max(ETAS, key=right.get), 2)}


def test_an_added_eta_is_computed_alone_and_a_shorter_list_drops_none(run):
  first = evaluated(run, etas=(0.5,))
  before = sampled_files(run)
  content = evaluated(run, etas=(0.1, 0.5))
  after = sampled_files(run)
  assert [name for name in before if before[name] != after.get(name)] == []
  stages = {p.stem for p in after.keys() - before.keys() if "stages" in p.parts}
  assert stages == {
    "evaluate_test_qsharp-eta0.1-round2",
    "judge_evaluate_test_qsharp-eta0.1-round2",
    # With one eta there was nothing to choose, so neither was sampled there.
    "evaluate_validation_qsharp-eta0.1-round2",
    "evaluate_validation_qsharp-eta0.5-round2",
  }
  rows = lambda content: {
    (r.method, r.eta, r.round_index): without_clock(r) for r in content["rows"]
  }
  fewer = evaluated(run, etas=(0.5,))
  assert rows(fewer) == rows(content) and sampled_files(run) == after
  assert rows(first).keys() == rows(content).keys() - {("qsharp", 0.1, 2)}
  # Sampled by itself, it is what the grid would have sampled.
  shutil.rmtree(run.workdir.path / "evaluation")
  together = rows(evaluated(run, etas=(0.1, 0.5)))
  for key, row in rows(content).items():
    for name, number in row.items():
      same = number == together[key][name]
      # Sums of another order, and what is made of them.
      if name.startswith("kl") or (name in ("objective", "share") and number):
        same = same or np.allclose(number, together[key][name], rtol=1e-4)
      assert same, (key, name)


def test_compiles_and_loads_once_for_all_etas_and_splits(run, monkeypatch):
  loaded = []
  load = huggingface.load_value_model

  def counted(directory, **how):
    loaded.append(directory)
    return load(directory, **how)

  monkeypatch.setattr(huggingface, "load_value_model", counted)
  # A policy that no other test has compiled.
  policy = dataclasses.replace(run.players.policy, num_candidates=4)
  run = dataclasses.replace(
    run, players=dataclasses.replace(run.players, policy=policy)
  )
  kinds = ("qsharp", "cd")
  num_programs = decode.decode._cache_size()
  evaluated(run, kinds)
  assert sorted(loaded) == [run.paths.value(i) for i in (1, 2)]
  # A program for the reference, and one for each kind of guidance.
  num_programs += 1 + len(kinds)
  assert decode.decode._cache_size() == num_programs
  num_prefills = state_lib.prefill._cache_size()
  evaluated(run, kinds, etas=(*ETAS, 0.3))
  assert decode.decode._cache_size() == num_programs
  assert state_lib.prefill._cache_size() == num_prefills


def test_the_task_adds_columns_from_answers_and_gold(run):
  seen = []

  def columns(extracted, answers):
    seen.append((len(extracted), list(answers)))
    return {"mine": len(seen)}

  content = evaluated(run, etas=(0.5,), columns=columns)
  assert [r.to_dict()["mine"] for r in content["rows"]] == [1, 2, 3]
  gold = [p.answer for p in run.task.test for _ in range(SAMPLES)]
  assert seen == [(len(gold), gold)] * 3


def test_writes_the_report_and_its_picture(run):
  content = evaluated(run, etas=(0.5,))
  written = json.loads((run.workdir.path / "report.json").read_text())
  assert (written["experiment"], written["variant"]) == ("e", "v")
  seconds = dict(written["seconds"])
  total = seconds.pop("total")
  assert seconds.keys() == run.workdir.seconds().keys()
  np.testing.assert_allclose(total, sum(seconds.values()))
  assert len(written["rows"]) == len(content["rows"])
  assert "qsharp" in (run.workdir.path / "report.md").read_text()
  picture = (run.workdir.path / "pareto.png").read_bytes()
  assert picture.startswith(b"\x89PNG")


def test_the_page_shows_answers_and_some_of_them_token_by_token(run):
  evaluated(run, etas=(0.5,))
  (text,) = re.findall(
    r'type="application/json">(.*?)</script>',
    (run.workdir.path / "report.html").read_text(),
  )
  shown = json.loads(text)
  labels = ["Reference", "Q#, eta 0.5"]
  assert [p["label"] for p in shown["answers"]["policies"]] == labels
  assert len(shown["answers"]["questions"]) == 6
  written = table(run, "test", "qsharp-eta0.5-round2")
  for own in shown["answers"]["questions"]:
    rows = [q == own["id"] for q in written["question_id"]]
    texts = np.array(written["text"])[rows].tolist()
    best = own["answers"][1][0]
    assert best["count"] == max(map(texts.count, texts))
    assert texts.count(best["text"]) == best["count"]
    assert own["means"][1] == pytest.approx(
      np.mean(np.array(written["label"])[rows]), rel=1e-4
    )
  kept = run.paths.tokens.read_bytes()
  assert shown["tokens"]["isChance"]
  (question, *_) = shown["tokens"]["questions"]
  guided = question["answers"][1]
  assert guided["label"] == "Q#, eta 0.5"
  rows = [
    [micro_runs.decode([token]) for token in tokens]
    for tokens in written["tokens"]
  ]
  said = [t[0] for t in guided["tokens"]]
  assert [t for t in said if t != "⟨end⟩"] in [
    [t for t in row if int(t) not in run.players.policy.eos_ids] for row in rows
  ]
  # A second call follows nothing again, a change of what is shown does.
  evaluated(run, etas=(0.5,))
  assert run.paths.tokens.read_bytes() == kept
  evaluated(run, ("cd",), etas=(0.5,))
  assert b"CD, eta 0.5" in run.paths.tokens.read_bytes()


def test_failed_rewards_of_every_split_are_counted(run):
  def grade(texts, answers, split="", *, prompts=None):
    found = micro_runs.has_favourite(texts, answers)
    if split == "validation":
      found[1] = rewards.graders.failed("odd")
    return found

  rollouts = [
    make.rollout("q", i, split="train", error="late" if i < 3 else None)
    for i in range(8)
  ]
  store.write_shard(run.paths.rollouts(1), 0, rollouts)
  task = dataclasses.replace(run.task, grade=grade)
  content = evaluated(dataclasses.replace(run, task=task), etas=(0.5, 0.2))
  asked = {"validation": 2 * 4, "test": 4 * 6}  # etas, or rows, x questions
  assert content["failed_rewards"] == {
    "train": {"samples": 8, "failed": 3},
    "validation": {"samples": asked["validation"] * SAMPLES, "failed": 2},
    "test": {"samples": asked["test"] * SAMPLES, "failed": 0},
  }
  text = (run.workdir.path / "report.md").read_text()
  assert "Failed rewards: train 3 of 8, validation 2 of 64, test 0 of" in text
