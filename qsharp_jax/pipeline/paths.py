"""Where a run keeps what it makes."""

import dataclasses
import pathlib


@dataclasses.dataclass(frozen=True)
class RunPaths:
  """The places in a run's directory.

  Attributes:
    root: the directory.
  """

  root: pathlib.Path

  @property
  def reference(self) -> pathlib.Path:
    """Of the small reference that some variants train."""
    return self.root / "reference"

  @property
  def reference_model(self) -> pathlib.Path:
    """That reference as a Hugging Face directory."""
    return self.reference / "model"

  @property
  def value_start(self) -> pathlib.Path:
    """What the value model starts from where it gets new layers."""
    return self.root / "value_start"

  @property
  def support(self) -> pathlib.Path:
    """Least and greatest atom of categorical values, as JSON."""
    return self.root / "support.json"

  @property
  def outcome(self) -> pathlib.Path:
    """Of the reward model of whole answers."""
    return self.root / "outcome"

  def round(self, index: int) -> pathlib.Path:
    """Of a round, counted from 1."""
    return self.root / f"round_{index}"

  def rollouts(self, index: int) -> pathlib.Path:
    """What a round learns from, as Parquet shards."""
    return self.round(index) / "rollouts"

  def value(self, index: int) -> pathlib.Path:
    """A round's value model as a Hugging Face directory."""
    return self.round(index) / "value"

  def value_metrics(self, index: int) -> pathlib.Path:
    """What a round's value model is worth, as JSON."""
    return self.round(index) / "value_metrics.json"

  def baseline(self, name: str) -> pathlib.Path:
    """Of a fine-tuned policy."""
    return self.root / "baselines" / name

  def samples(self, split: str, job: str) -> pathlib.Path:
    """What one row of the report was sampled on a split, as Parquet shards."""
    return self.root / "evaluation" / split / job
