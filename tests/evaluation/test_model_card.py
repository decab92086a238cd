"""The card of a shared model."""

from qsharp_jax.evaluation import model_card

ROWS = [
  {
    "method": "reference",
    "eta": None,
    "reward": 0.5,
    "reward_ci95": [0.4, 0.6],
  },
  {"method": "qsharp", "eta": 0.2, "reward": 0.75, "kl": 0.1, "share": None},
  {"method": "cd", "eta": 0.5, "reward": 0.7, "kl": 0.0625},
]
FACTS = {"reference": "meta/llama-8b", "reward": "strict", "seed": 3}


def test_a_value_model_says_whom_it_guides_and_how_well():
  said = model_card.card(None, FACTS, ROWS, question='Who "is"\nit?')
  assert said.startswith("---\nlibrary_name: qsharp-jax\nbase_model: meta/ll")
  assert 'qsharp_jax.load("meta/llama-8b", values=' in said
  # The eta of the best row is the one to try first, in one line of code.
  assert "guide.generate(\"Who 'is' it?\", eta=0.2)" in said
  assert "- seed: 3" in said
  assert "| reference | – | 0.500 [0.400, 0.600] | – | – | – | – |" in said
  assert "| cd | 0.5 | 0.700 | 0.062 | – | – | – |" in said


def test_a_policy_is_no_value_model_and_a_directory_is_not_on_the_hub():
  facts = FACTS | {"reference": "runs/ref/model"}
  said = model_card.card("ppo", facts, ROWS[:1], question="")
  assert said.startswith("---\ntags: [ppo]\n---\n# Policy by ppo for runs/ref")
  assert "qsharp_jax.load" not in said
