"""A task in one file: word problems, where a right answer should be short.

python -m experiments.custom --config=examples/my_task.py --workdir=runs/mine
"""

from experiments.configs import gsm8k


def reward(prediction, answer):
  """1 for the number that the gold answer ends with, less for many letters."""
  is_right = prediction.split()[-1:] == answer.split()[-1:]
  return float(is_right) - 0.005 * len(prediction)


def get_config():
  """Sizes for a minute or two on two cores."""
  config = gsm8k.get_config("tiny")
  config.reference = ""  # a model directory or hub id; "" trains a small Llama
  config.pretrain.update(num_questions=6000, num_steps=1, max_value=4)
  config.data.update(source="words:", prompt="plain")  # or jsonl:DIR
  config.data.update(num_train=400, num_validation=32, num_test=64)
  config.reward = f"{__file__}:reward"
  config.rounds.update(num_rounds=1, num_samples=8)
  config.evaluation.update(methods=("qsharp", "cd"), etas=(0.05, 0.2))
  return config
