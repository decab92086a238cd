"""The programs of a run, compiled from shapes for devices that are not here."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import ml_collections
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from launch.aot import players as players_lib
from qsharp_jax import generate, training
from qsharp_jax.checkpoint import train_state
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.generate import decode, memory
from qsharp_jax.generate import state as state_lib
from qsharp_jax.generate import turn as turn_lib
from qsharp_jax.sharding import placement, rules

NAMES = ("prefill", "step", "loop", "train")


@dataclasses.dataclass(frozen=True)
class Program:
  """A program of the run, compiled, or why it was not.

  Attributes:
    held: bytes on one device of what it works on, by what it is.
    beside: the same of what lies in memory all the while.
    compiled: the result, or the compiler's refusal.
    tokens: read or written by a run of it, or by a turn of its loop.
    turns: of a loop whose length the program's text may not say.
    pass_flops: on one device, of a lazy turn's pass over more candidates.
  """

  name: str
  held: dict[str, int]
  compiled: jax.stages.Compiled | str
  tokens: int
  beside: dict[str, int] = dataclasses.field(default_factory=dict)
  turns: int = 1
  pass_flops: float = 0.0


@dataclasses.dataclass(frozen=True)
class Plan:
  """What is to be compiled."""

  config: ml_collections.ConfigDict
  players: players_lib.Players
  mesh: Mesh
  prompt_length: int

  def compile(self, names: Sequence[str]) -> Iterator[Program]:
    """Compiles programs, in the order of a run.

    The step and the loop get the state where the prefill leaves it; without
    the prefill, where it is expected to.
    """
    state = self.state()
    if "prefill" in names:
      program = self._prefill()
      if not isinstance(program.compiled, str):
        state = train_state.abstract(state, program.compiled.output_shardings)
      yield program
    for name in ("step", "loop"):
      if name in names:
        yield self._decode(name, state)
    if "train" in names:
      yield self._train()

  @property
  def num_samples(self) -> int:
    """Completions of each prompt."""
    own = self.config
    return max(own.rounds.num_samples, own.evaluation.num_samples)

  @property
  def rows(self) -> int:
    """Completions decoded at the same time."""
    return self.config.sampling.batch_size * self.num_samples

  def needed(
    self, mesh: memory.Mesh = None, batch_size: int = 0
  ) -> memory.Needed:
    """What arithmetic says that decoding needs on one device."""
    own = self.config.sampling
    return memory.needed(
      self.players.policy,
      batch_size=batch_size or own.batch_size,
      num_samples=self.num_samples,
      prompt_length=self.prompt_length,
      max_new_tokens=own.max_new_tokens,
      mesh=mesh or self.mesh,
    )

  def training_needed(
    self, mesh: memory.Mesh = None, num_microbatches: int = 0
  ) -> training.memory.Needed:
    """What arithmetic says that value training needs on one device."""
    own, policy, mesh = self.config.fit, self.players.policy, mesh or self.mesh
    return training.memory.needed(
      [policy.value],
      rows=own.batch_size,
      length=own.max_length,
      num_microbatches=num_microbatches or own.num_microbatches,
      mesh=mesh,
      beside=memory.parameter_bytes(policy.reference, mesh),
    )

  @functools.cached_property
  def params(self) -> PyTree:
    """Weights for decoding."""
    policy = self.players.policy
    return {
      name: players_lib.abstract(
        getattr(policy, name), self.mesh, rules.DECODING
      )
      for name in ("reference", "value")
    }

  def _held(self) -> dict[str, int]:
    weights = players_lib.bytes_on_one_device
    return {name: weights(tree) for name, tree in self.params.items()}

  def _arrays(self) -> tuple[PyTree, ...]:
    """Arguments of the prefill after the policy."""
    prompts = self._rows(self.config.sampling.batch_size, self.prompt_length)
    of = lambda dtype: self._rows(self.rows, dtype=dtype)
    controls = generate.Controls(
      seeds=of(jnp.uint32),
      eta=of(jnp.float32),
      guided_steps=of(jnp.int32),
      max_new_tokens=of(jnp.int32),
      temperature=of(jnp.float32),
      top_p=of(jnp.float32),
    )
    return self.params, prompts, prompts, controls

  def _rows(self, *shape: int, dtype=jnp.int32) -> jax.ShapeDtypeStruct:
    sharding = placement.batch_sharding(self.mesh, rules.DECODING)
    return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)

  @property
  def _sizes(self) -> dict[str, int]:
    room = self.config.sampling.max_new_tokens
    spare = self.players.policy.num_spare(room)
    num_slots = self.prompt_length + room + spare
    return {"num_slots": num_slots, "num_new_tokens": room}

  def state(self) -> PyTree:
    """The state before the first step, where it is expected to lie."""
    make = functools.partial(
      state_lib.prefill, self.players.policy, **self._sizes
    )
    shapes = jax.eval_shape(make, *self._arrays())
    return train_state.abstract(shapes, jax.tree.map(self._expected, shapes))

  def _expected(self, x: jax.ShapeDtypeStruct) -> NamedSharding:
    """Rows over data and fsdp, heads of caches over tensor."""
    spec = (("data", "fsdp"),) if x.ndim else ()
    if x.ndim == 4 and x.shape[1] % self.mesh.shape["tensor"] == 0:
      spec = (*spec, "tensor")
    return NamedSharding(self.mesh, PartitionSpec(*spec))

  def _prefill(self) -> Program:
    arrays = self._arrays()
    lower = lambda: state_lib.prefill.lower(
      self.players.policy, *arrays, **self._sizes
    )
    held = self._held() | self._caches(self.state())
    tokens = math.prod(arrays[1].shape)
    return Program("prefill", held, self._compiled(lower), tokens)

  def _decode(self, name: str, state: PyTree) -> Program:
    policy = self.players.policy
    if name == "step":
      step = jax.jit(turn_lib.step, static_argnums=0, donate_argnums=2)
      lower = lambda: step.lower(policy, self.params, state)
    else:
      count = jax.ShapeDtypeStruct((), jnp.int32)
      lower = lambda: decode.decode.lower(policy, self.params, state, count)
    held = self._held() | self._caches(state)
    return Program(
      name,
      held,
      self._compiled(lower),
      self.rows,
      pass_flops=self._pass_flops(),
    )

  def _pass_flops(self) -> float:
    policy, mesh = self.players.policy, self.mesh
    if not policy.is_lazy:
      return 0.0
    rows = memory.share(self.rows, mesh=mesh, axes=("data", "fsdp"))
    return players_lib.flops(policy.value, rows * policy.num_leaves, mesh)

  def _caches(self, state: PyTree) -> dict[str, int]:
    return {"caches": players_lib.bytes_on_one_device(state.caches)}

  def _train(self) -> Program:
    critic, own = self.players.critic, self.config.fit
    objective = training.objectives.value(
      critic.model, loss=critic.loss, atoms=critic.atoms
    )
    optimizer = players_lib.optimizer(self.config)
    step = training.make_step(
      training.step.above(objective, own.num_frozen_layers),
      optimizer,
      num_microbatches=own.num_microbatches,
    )
    state = self._train_state(optimizer)
    weigh = players_lib.bytes_on_one_device
    held = {"value": weigh(state.params), "optimizer": weigh(state.opt_state)}
    return Program(
      "train",
      held,
      self._compiled(lambda: step.lower(state, self._batch())),
      tokens=own.batch_size * own.max_length,
      # The reference stays where it is while values are trained.
      beside={"reference": weigh(self.params["reference"])},
      turns=own.num_microbatches,
    )

  def _train_state(self, optimizer) -> PyTree:
    model = self.players.critic.model
    params = players_lib.abstract(model, self.mesh, rules.TRAINING)
    create = lambda params: training.create(params, optimizer)
    shapes = jax.eval_shape(create, params)
    places = jax.tree.map(lambda x: x.sharding, params)
    return train_state.abstract(shapes, placement.extend(places, shapes))

  def _batch(self) -> PyTree:
    own = self.config.fit
    dtypes = {"labels": jnp.float32, "mask": jnp.bool_} | dict.fromkeys(
      ("tokens", "positions", "segments"), jnp.int32
    )
    return {
      name: self._rows(own.batch_size, own.max_length, dtype=dtype)
      for name, dtype in dtypes.items()
    }

  def _compiled(
    self, lower: Callable[[], jax.stages.Lowered]
  ) -> jax.stages.Compiled | str:
    """The program, or the line in which the compiler says it is too large."""
    # The constraints on activations are the same in both tables. No array can
    # be made in this context: its devices are not here.
    with placement.context(self.mesh, rules.TRAINING):
      program = lower()
      try:
        return program.compile()
      except jax.errors.JaxRuntimeError as error:
        reason = " ".join(str(error).split())
    if "RESOURCE_EXHAUSTED" not in reason:
      raise RuntimeError(reason)
    return reason.removeprefix("RESOURCE_EXHAUSTED: ")
