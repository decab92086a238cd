"""The smallest run that has every stage of docs/reliability.md."""

from experiments.configs import gsm8k


def get_config(variant):
  config = gsm8k.get_config(variant)
  config.reward = "length_reward:even"  # a model without sense earns half
  config.data.update(num_train=12, num_validation=4, num_test=4)
  config.sampling.update(
    max_new_tokens=6, batch_size=4, prompts_per_refill=4, prompt_bucket=112
  )
  config.rounds.update(num_rounds=2, num_samples=4)
  fit = {"batch_size": 4, "num_epochs": 1, "checkpoint_every": 1}
  config.fit.update(max_length=128, **fit)
  config.evaluation.update(
    methods=("qsharp", "dpo", "ppo"),
    etas=(0.5,),
    num_samples=2,
    num_reference_samples=2,
  )
  config.pretrain.update(
    num_questions=96,
    batch_size=4,
    num_steps=1,
    max_value=4,
    vocab_size=300,
    width=16,
    num_layers=1,
    num_heads=2,
    max_length=128,
    checkpoint_every=1,
  )
  config.baselines.update(
    {
      "dpo": {"fit": fit | {"max_length": 256}},
      "ppo": {
        "fit": fit | {"max_length": 128},
        "num_iterations": 3,
        "prompts_per_iteration": 4,
        "num_samples": 2,
      },
    }
  )
  return config
