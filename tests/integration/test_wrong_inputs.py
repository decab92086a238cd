"""Wrong inputs: one line that says what to do, exit code 2, no traceback."""

import json
import shutil
import subprocess
import sys

import pytest
from oracles import commands, model_directories

LOCAL = "--config=experiments/configs/gsm8k.py:local"


def questions(folder, num=40, *, last=None):
  """train.jsonl and test.jsonl; `last` is put at the end of train."""
  folder.mkdir()
  for split, more in (("train", 1), ("test", 2)):
    lines = [
      json.dumps(
        {"question": f"{i} + {more} is what?", "answer": f"#### {i + more}"}
      )
      for i in range(num)
    ]
    if split == "train" and last is not None:
      lines.append(last)
    (folder / f"{split}.jsonl").write_text("\n".join(lines))
  return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory):
  """Good inputs and bad ones."""
  path = tmp_path_factory.mktemp("wrong")
  good = model_directories.qwen2(path / "good")
  other = ["Other words give another tokenizer. zzz zzz zzz qqq qqq"]
  model_directories.qwen2(path / "other", texts=other)
  for name in ("configless", "foreign", "truncated"):
    shutil.copytree(good, path / name)
  (path / "configless" / "config.json").unlink()
  config = json.loads((good / "config.json").read_text())
  config |= {"model_type": "mamba", "architectures": ["MambaForCausalLM"]}
  (path / "foreign" / "config.json").write_text(json.dumps(config))
  (weights,) = (path / "truncated").glob("*.safetensors")
  weights.write_bytes(weights.read_bytes()[:-100])
  questions(path / "questions")
  questions(path / "broken", last='{"question": "1 + 1')
  questions(path / "empty", num=0)
  long = {"question": "many words " * 30, "answer": "#### 1"}
  questions(path / "long", last=json.dumps(long))
  boxless = {"question": "1 + 1?", "solution": "It is 2."}
  questions(path / "boxless", last=json.dumps(boxless))
  (path / "another_run" / "stages").mkdir(parents=True)
  (path / "another_run" / "round_1" / "rollouts").mkdir(parents=True)
  (path / "another_run" / "config.json").write_text('{"data": {}, "seed": 1}')
  (path / "another_run" / "stages" / "collect_1.json").write_text(
    '{"seconds": 1.0, "made_from": {"reward": "of the other run"}}'
  )
  (path / "thesis").mkdir()
  (path / "thesis" / "thesis.tex").touch()
  return path


def refuse(flags):
  """Exit code and all that was said."""
  done = commands.run("experiments.gsm8k", *flags)
  return done.returncode, done.stdout + done.stderr


def flags(world, workdir, **changed):
  """Flags of a small local run; a name's dots are written __."""
  chosen = {
    "reference": world / "good",
    "data.source": f"jsonl:{world / 'questions'}",
    "data.num_validation": 10,
    "sampling.max_new_tokens": 8,
    "sampling.batch_size": 8,
    "sampling.prompts_per_refill": 1,
    "fit.batch_size": 8,
    "fit.max_length": 64,
  }
  chosen |= {name.replace("__", "."): v for name, v in changed.items()}
  return [
    LOCAL,
    f"--workdir={workdir}",
    *(f"--config.{name}={value}" for name, value in chosen.items()),
  ]


def check(code, said, pieces):
  assert code == 2, said
  lines = said.splitlines()
  assert len(lines) == 1 and lines[0].startswith("error: "), said
  for piece in pieces:
    assert piece in said


IN_FIELDS = [
  ({"reference": "{}/configless"}, ["configless", "config.json"]),
  ({"reference": "{}/foreign"}, ["mamba", "qwen2"]),
  ({"reference": "{}/truncated"}, ["truncated", ".safetensors"]),
  ({"reference": "{}/nowhere"}, ["nowhere"]),
  ({"reference": ""}, ["config.reference is empty", "--config.reference=DIR"]),
  ({"value__start": "{}/other"}, ["value", "use models of one family"]),
  ({"value__start": "{}/configless"}, ["configless", "config.json"]),
  ({"data__source": "jsonl:{}/broken"}, ["train.jsonl:41", "not JSON"]),
  ({"data__source": "jsonl:{}/empty"}, ["no question"]),
  ({"data__source": "jsonl:{}/nowhere"}, ["nowhere", "no such file"]),
  ({"data__source": "questions.csv"}, ["questions.csv", "jsonl:PATH"]),
  (
    {"data__source": "jsonl:{}/long"},
    ["question train-41 has", "1 to 120", "context of 128"],
  ),
  (
    {"data__source": "math:jsonl:{}/boxless"},
    ["train.jsonl:41", "no 'answer' and no \\boxed{} in 'solution'"],
  ),
  (
    {"data__source": "aime:jsonl:{}/questions"},
    ["test.jsonl:1", "'#### 2'", "from 0 to 999"],
  ),
  (
    {"data__source": "quality:jsonl:{}/questions"},
    ["test.jsonl:1", "'options' is None", "2 to 10"],
  ),
  ({"data__source": "math:tfds:{}"}, ["without math:", "tfds:"]),
  ({"data__test_source": "jsonl:{}/nowhere"}, ["nowhere", "no such file"]),
  ({"value__q_head": "random"}, ["value.q_head", "lm_head, zeros"]),
  ({"sampling__max_new_tokens": 63}, ["fit.max_length"]),
  ({"data__question_key": "problem"}, ["test.jsonl:1", "'problem'"]),
  ({"data__num_validation": 40}, ["0 for train"]),
  ({"data__source": "jsonl:{}/questions/test.jsonl"}, ["0 for train", "test"]),
  ({"rounds__eta": 0.0}, ["eta is 0.0", "> 0"]),
  ({"rounds__eta": "inf"}, ["eta is inf"]),
  ({"evaluation__etas": "(0.1,-0.5)"}, ["eta is -0.5", "> 0"]),
  ({"evaluation__etas": "()"}, ["evaluation.etas"]),
  ({"evaluation__methods": "('qsharp','judge')"}, ["'judge'", "qsharp, cd"]),
  ({"rounds__method": "magic"}, ["'magic'", "qsharp, cd"]),
  ({"rounds__rule": "never"}, ["rounds.rule", "'never'", "response"]),
  ({"rounds__num_samples": 0}, ["rounds.num_samples is 0", "at least 1"]),
  ({"value__loss": "hinge"}, ["value.loss", "bernoulli"]),
  ({"value__num_new_layers": -1}, ["value.num_new_layers is -1"]),
  (
    {"value__reads_log_probs": True},
    ["value.reads_log_probs is True with 0 new layers", "at least 1"],
  ),
  ({"fit__num_frozen_layers": -1}, ["fit.num_frozen_layers is -1"]),
  (
    {"value__num_atoms": 5, "value__loss": "bernoulli"},
    ["value.num_atoms", "categorical"],
  ),
  ({"value__v_min": -1.0}, ["value.v_min is -1.0", "neither"]),
  ({"value__v_min": 2.0, "value__v_max": 1.0}, ["the smaller first"]),
  ({"fit__schedule": "linear"}, ["fit.schedule", "cosine"]),
  ({"fit__num_microbatches": 3}, ["fit.batch_size is 8", "multiple of 3"]),
  ({"sampling__top_p": 0.0}, ["top_p 0.0"]),
  (
    {"sampling__batch_size": 2**27, "rounds__num_samples": 64},
    ["this needs", "GB", "lower sampling.batch_size"],
  ),
  ({"sampling__prompts_per_refill": 9}, ["prompts_per_refill is 9", "8"]),
  ({"sampling__batch_size": "many"}, ["many"]),
  ({"data__prompt": "chat"}, ["chat template"]),
  ({"dtype": "float8"}, ["dtype", "bfloat16"]),
  ({"mesh": "(2,1,1)"}, ["mesh", "(2, 1, 1)"]),
  ({"reward": "best"}, ["'best'", "strict"]),
  ({"reward": "no_such_module:f"}, ["no_such_module"]),
  ({"reward_workers": 0}, ["num_workers is 0"]),
  ({"no_such_field": 1}, ["no_such_field"]),
]


@pytest.mark.parametrize(
  ("changed", "pieces"), IN_FIELDS, ids=lambda x: "-".join(x)
)
def test_a_wrong_field_is_one_line(changed, pieces, world, tmp_path):
  changed = {k: str(v).format(world) for k, v in changed.items()}
  workdir = tmp_path / "run"
  check(*refuse(flags(world, workdir, **changed)), pieces)
  # The same directory can be used again with the right flag.
  assert not (workdir / "config.json").exists()


def test_a_directory_of_another_run_is_named(world):
  says = ["another_run", "round_1/rollouts", "choose another --workdir"]
  says += ["dtype None there", "question train-1 was not there"]
  files = lambda: sorted((world / "another_run").rglob("*"))
  before = files()
  check(*refuse(flags(world, world / "another_run")), says)
  assert files() == before


def test_a_directory_of_something_else_is_left_alone(world):
  says = ["thesis", "holds no run", "--workdir"]
  check(*refuse(flags(world, world / "thesis")), says)
  assert len(list((world / "thesis").iterdir())) == 1


@pytest.mark.parametrize(
  ("flag", "pieces"),
  [
    ("--config=experiments/configs/gsm8k.py:huge", ["'huge'", "tiny, tiny_v"]),
    ("--config=no_such_file.py", ["no_such_file.py"]),
    ("--config=gsm8:tiny", ["'gsm8'", "gsm8k, quality", ".py"]),
    ("--config=gsm8k:huge", ["'huge'", "tiny, tiny_v"]),
    ("--config.sed=1", ["'sed'", "did you mean 'seed'"]),
    ("--config.batch_size=1", ["did you mean 'fit.batch_size'"]),
    ("--config.data={'source': 'words:'}", ["'data' is a section"]),
    ("--config.mesh[0]=1", ["'mesh[0]'", "did you mean 'mesh'"]),
    ("--config.seed", ["Missing value", "config.seed"]),
    ("--wrokdir=there", ["wrokdir"]),
    ("there", ["'there'"]),
  ],
)
def test_a_wrong_command_line_is_one_line(flag, pieces):
  check(*refuse([flag]), pieces)


@pytest.mark.parametrize("config", [LOCAL, "--config=gsm8k:local"])
def test_a_field_without_its_section_is_one_line(config):
  says = ["'baselines.dpo.eta'", "empty in this variant", "--config.baselines="]
  check(*refuse([config, "--config.baselines.dpo.eta=0.2"]), says)


@pytest.mark.parametrize(
  ("flags", "pieces"),
  [
    ([], ["data.num_test=256", "pretrain.width=64", "variant=tiny"]),
    (["--config=gsm8k:local"], ["baselines={}", "variant=local"]),
    ([LOCAL, "--config.seed=4"], ["seed=4", "variant=local"]),
  ],
)
def test_help_shows_the_fields_of_the_variant(flags, pieces):
  code, said = refuse([*flags, "--help"])
  assert code == 0, said
  lines = said.splitlines()
  for piece in pieces:
    assert f"--config.{piece}" in lines


def test_a_process_of_its_own_says_the_same(world, tmp_path):
  wrong = flags(world, tmp_path / "run", reference=world / "truncated")
  done = subprocess.run(
    [sys.executable, "-m", "experiments.gsm8k", *wrong],
    cwd=commands.ROOT,
    env=commands.environment(),
    capture_output=True,
    text=True,
  )
  check(done.returncode, done.stderr, ["truncated", ".safetensors"])
  assert done.stdout == ""
