"""What a config says of the mesh, of sampling and of a reference's training."""

import jax
import pytest

from experiments.configs import gsm8k
from experiments.harness import wiring


@pytest.mark.parametrize("shape", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_one_axis_takes_all_devices_that_are_left(shape):
  config = gsm8k.get_config("tiny")
  # Rows that any number of devices divides.
  config.sampling.batch_size = config.fit.batch_size = 24 * jax.device_count()
  config.pretrain.batch_size = 24 * jax.device_count()
  config.mesh = shape
  found = wiring.layout(config).mesh.shape
  expected = [n or jax.device_count() for n in shape]
  assert [found[axis] for axis in ("data", "fsdp", "tensor")] == expected


def test_sampling_is_the_configs():
  config = gsm8k.get_config("tiny")
  found = wiring.sampling(config)
  for name in ("temperature", "top_p", "max_new_tokens", "batch_size"):
    assert getattr(found, name) == config.sampling[name]


def test_a_reference_is_trained_by_its_own_settings():
  config = gsm8k.get_config("tiny")
  config.seed = 7
  found = wiring.pretraining_fit(config)
  assert found.learning_rate == config.pretrain.learning_rate
  assert found.learning_rate != config.fit.learning_rate
  assert (found.schedule, found.seed) == ("cosine", 7)
