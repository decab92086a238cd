r"""Guides a transformers model with a run's value model: torch, nothing else.

  python examples/guided_in_torch.py --reference=MODEL_DIR --values=VALUE_DIR \
    --eta=0.1 --prompt="Question: ..."

VALUE_DIR is RUN/round_2/value, or what `experiments.share` wrote: a V-type
value model that reads no log-probabilities, such as that of `gsm8k:tiny_v`,
which transformers loads as a sequence classifier. Every candidate is read
behind the whole prefix, which is short to write and slow to run; one pass for
all candidates, with caches, is what this project's own decode loop does.
"""

import argparse
import json
import pathlib

import torch
import transformers


class Guide(transformers.LogitsProcessor):
  """Q#: adds ln E[exp(Z / eta)] to the logits of the likeliest tokens.

  Z is the reward-to-go after the token, counted from the least reward that the
  values know, which is also what every other token is taken to bring.
  """

  def __init__(self, values: str, *, eta: float, num_candidates: int = 20):
    """Loads the value model of a directory; eta is in reward units."""
    said = json.loads((pathlib.Path(values) / "config.json").read_text())
    own = said["value_head"]
    if own["kind"] != "v" or own.get("predicting_layers"):
      raise ValueError(
        f"{values} has the value head {own}; expected one that transformers "
        "can read: value.head='v', value.reads_log_probs=False"
      )
    load = transformers.AutoModelForSequenceClassification.from_pretrained
    self.model = load(values).eval()
    self.model.config.pad_token_id = -1  # no row is padded
    self.atoms = None
    if own["loss"] == "categorical":
      self.atoms = torch.linspace(*own["support"], own["num_atoms"])
    self.eta, self.num_candidates = eta, num_candidates

  def __call__(self, input_ids, scores):
    """Guided logits [B, V] of prefixes [B, T] and reference logits [B, V]."""
    candidates = scores.topk(self.num_candidates, dim=-1).indices  # [B, A]
    prefixes = input_ids.repeat_interleave(self.num_candidates, dim=0)
    rows = torch.cat([prefixes, candidates.reshape(-1, 1)], dim=1)
    logits = self.model(input_ids=rows).logits.float()
    weights = self.log_weights(logits).view_as(candidates)
    return scores.scatter_add(1, candidates, weights.to(scores.dtype))

  def log_weights(self, logits):
    """Of value logits [N, K]: ln E[exp((Z - least) / eta)], [N]."""
    if self.atoms is None:  # a coin: the log-odds of success
      log_probs = torch.nn.functional.logsigmoid(
        torch.cat([-logits, logits], dim=-1)
      )
      rewards = torch.tensor([0.0, 1.0])
    else:
      log_probs = torch.log_softmax(logits, dim=-1)
      rewards = self.atoms - self.atoms[0]
    return torch.logsumexp(log_probs + rewards / self.eta, dim=-1)


def main() -> None:
  """Prints one guided answer."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--reference", required=True)
  parser.add_argument("--values", required=True)
  parser.add_argument("--eta", type=float, default=0.1)
  parser.add_argument("--prompt", required=True)
  args = parser.parse_args()
  tokenizer = transformers.AutoTokenizer.from_pretrained(args.reference)
  reference = transformers.AutoModelForCausalLM.from_pretrained(args.reference)
  prompt = tokenizer(args.prompt, return_tensors="pt", add_special_tokens=False)
  found = reference.generate(
    **prompt,
    do_sample=True,
    top_k=0,
    max_new_tokens=128,
    logits_processor=[Guide(args.values, eta=args.eta)],
  )
  print(tokenizer.decode(found[0, prompt["input_ids"].shape[1] :]))


if __name__ == "__main__":
  main()
