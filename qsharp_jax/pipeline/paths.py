"""Where a run keeps what it makes."""

import dataclasses

from qsharp_jax.core import places


@dataclasses.dataclass(frozen=True)
class RunPaths:
  """The places in a run's directory.

  Attributes:
    root: the directory.
  """

  root: places.Path

  @property
  def reference(self) -> places.Path:
    """Of the small reference that some variants train."""
    return self.root / "reference"

  @property
  def reference_model(self) -> places.Path:
    """That reference as a Hugging Face directory."""
    return self.reference / "model"

  @property
  def value_start(self) -> places.Path:
    """What the value model starts from where it gets new layers."""
    return self.root / "value_start"

  @property
  def support(self) -> places.Path:
    """Least and greatest atom of categorical values, as JSON."""
    return self.root / "support.json"

  @property
  def statistics(self) -> places.Path:
    """Mean and deviation of round 1's rewards, as JSON."""
    return self.root / "reward_statistics.json"

  @property
  def outcome(self) -> places.Path:
    """Of the reward model of whole answers."""
    return self.root / "outcome"

  @property
  def second_values(self) -> places.Path:
    """Of the values of a second reward."""
    return self.root / "second_values"

  def round(self, index: int) -> places.Path:
    """Of a round, counted from 1."""
    return self.root / f"round_{index}"

  def rollouts(self, index: int) -> places.Path:
    """What a round learns from, as Parquet shards."""
    return self.round(index) / "rollouts"

  def value(self, index: int) -> places.Path:
    """A round's value model as a Hugging Face directory."""
    return self.round(index) / "value"

  def value_metrics(self, index: int) -> places.Path:
    """What a round's value model is worth, as JSON."""
    return self.round(index) / "value_metrics.json"

  def baseline(self, name: str) -> places.Path:
    """Of a fine-tuned policy."""
    return self.root / "baselines" / name

  def samples(self, split: str, job: str) -> places.Path:
    """What one row of the report was sampled on a split, as Parquet shards."""
    return self.root / "evaluation" / split / job

  @property
  def tokens(self) -> places.Path:
    """Some test answers token by token, as JSON."""
    return self.root / "evaluation" / "tokens.json"

  @property
  def verified(self) -> places.Path:
    """How near the decode loop is to plain forward passes, as JSON."""
    return self.root / "evaluation" / "verified.json"
