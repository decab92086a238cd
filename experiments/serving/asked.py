"""From the JSON of a request to the jobs of the engine."""

import dataclasses
import math
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.serving import fields as fields_lib
from experiments.serving.refusals import Refused
from experiments.serving.service import REFERENCE, Service
from qsharp_jax.core import errors, seeds
from qsharp_jax.core.errors import InputError
from qsharp_jax.serving import jobs

_MOST_SAMPLES = 128
_MOST_STOPS, _LONGEST_STOP = 16, 256
_DEFAULT_TOKENS = 16  # of completions, as OpenAI has it


@dataclasses.dataclass(frozen=True)
class Asked:
  """A request that was understood."""

  is_chat: bool
  prompts: Sequence[Sequence[int]]
  jobs: Sequence[jobs.Job]  # of each prompt all its samples; may be none
  stops: Sequence[str]
  num_samples: int
  num_top: int | None  # alternatives to show; None: no log-probabilities
  is_echoed: bool
  is_streamed: bool
  has_usage: bool  # at the end of a stream


def read(raw: Any, service: Service, *, is_chat: bool) -> Asked:
  """Reads the body of a request.

  Raises:
    Refused: says which field is at fault, and what was expected.
  """
  own = fields_lib.Fields(raw)
  _check_model(own.text("model", service.name), service)
  prompts = _turns(own, service) if is_chat else _prompts(own, service)
  num_samples = own.whole("n", 1, 1, _MOST_SAMPLES)
  num_top = _chat_top(own, service) if is_chat else _top(own, service)
  is_echoed = not is_chat and own.flag("echo")
  limit = _limit(own, prompts, service, is_chat=is_chat, may_be_0=is_echoed)
  stops = own.texts("stop", most=_MOST_STOPS, longest=_LONGEST_STOP)
  seed = own.whole("seed", None, -(2**63), 2**63 - 1)
  how = _how(own, service)
  is_streamed, options = own.flag("stream"), own.mapping("stream_options")
  own.end()
  if is_echoed and num_top is not None:
    _check_scored(how, service)
  if seed is None:
    seed = secrets.randbits(32)
  wanted = [
    jobs.Job(prompt, own_seed, limit, **how)
    for prompt in prompts
    for own_seed in seeds.of_samples(seed, prompt, num_samples if limit else 0)
  ]
  _check(wanted, prompts, service)
  return Asked(
    is_chat,
    prompts,
    wanted,
    stops,
    num_samples,
    num_top,
    is_echoed,
    is_streamed,
    options.get("include_usage") is True,
  )


def _how(own: fields_lib.Fields, service: Service) -> dict[str, Any]:
  """Fields of a job that say how to sample."""
  default = service.defaults
  method = own.choice("method", default.method, list(service.methods))
  eta = own.number("eta", default.eta, 1e-6, 1e6)
  is_guided = method != REFERENCE
  return {
    "which": service.methods[method],
    "eta": eta if is_guided else math.inf,
    "num_candidates": own.whole(
      "num_candidates", default.num_candidates, 1, default.num_candidates
    ),
    "temperature": own.number("temperature", default.temperature, 0, 100),
    "top_p": own.number("top_p", default.top_p, 1e-6, 1),
  }


def _check_model(name: str, service: Service) -> None:
  if name != service.name:
    raise Refused(
      f"there is no model {errors.short(name, 80)}; this server has "
      f"{service.name!r}",
      status=404,
      param="model",
      code="model_not_found",
    )


def _check_scored(how: Mapping[str, Any], service: Service) -> None:
  """Log-probabilities of a prompt are the reference's, and say so."""
  if math.isfinite(how["eta"]):
    raise Refused(
      "echo with logprobs scores the prompt by the reference alone; send "
      f'"method": "{REFERENCE}" with it',
      param="method",
    )


def _check(
  wanted: Sequence[jobs.Job],
  prompts: Sequence[Sequence[int]],
  service: Service,
) -> None:
  number = len(wanted) // len(prompts)
  # Samples differ by their seeds. Of a prompt that is only echoed, a job of one
  # token stands for its fit.
  for job in wanted[:: max(1, number)] or [jobs.Job(p, 0, 1) for p in prompts]:
    try:
      service.check(job)
    except InputError as error:
      is_long = "has" in str(error) and "tokens; expected" in str(error)
      code = "context_length_exceeded" if is_long else None
      raise Refused(str(error), param="prompt", code=code) from error


def _limit(
  own: fields_lib.Fields,
  prompts: Sequence[Sequence[int]],
  service: Service,
  *,
  is_chat: bool,
  may_be_0: bool,
) -> int:
  """Tokens that an answer may have."""
  most = service.sizes.max_new_tokens
  default = min(_DEFAULT_TOKENS, most)
  if is_chat:  # all that fit
    longest = max(map(len, prompts))
    default = max(1, min(most, service.sizes.max_length - longest))
  found = own.whole("max_tokens", default, 0 if may_be_0 else 1, most)
  return (
    own.whole("max_completion_tokens", found, 1, most) if is_chat else found
  )


def _top(own: fields_lib.Fields, service: Service) -> int | None:
  return own.whole("logprobs", None, 0, service.num_top)


def _chat_top(own: fields_lib.Fields, service: Service) -> int | None:
  is_wanted = own.flag("logprobs")
  number = own.whole("top_logprobs", 0, 0, service.num_top)
  if number and not is_wanted:
    raise fields_lib.refusal("logprobs", False, "true with top_logprobs")
  return number if is_wanted else None


def _prompts(own: fields_lib.Fields, service: Service) -> list[list[int]]:
  """Prompts as texts or token ids, one or several."""
  raw, most = own.take("prompt", ""), service.limits.max_prompts
  is_ids = isinstance(raw, list) and bool(raw) and type(raw[0]) is int
  many = raw if isinstance(raw, list) and not is_ids else [raw]
  if not 0 < len(many) <= most:
    raise Refused(
      f"there are {len(many)} prompts; expected 1 to {most}", param="prompt"
    )
  return [_prompt(one, service) for one in many]


def _prompt(raw: Any, service: Service) -> list[int]:
  if isinstance(raw, str):
    tokenizer = service.tokenizer
    return [*tokenizer.bos_ids, *_encode(raw, service)]
  if isinstance(raw, list) and all(type(i) is int for i in raw):
    return raw
  raise fields_lib.refusal("prompt", raw, "a text or a list of token ids")


def _encode(text: str, service: Service) -> list[int]:
  """Token ids; a text that is far too long is not even looked at."""
  _check_size(len(text), service)
  try:
    return service.tokenizer.encode(text)
  except InputError as error:
    raise Refused(str(error), param="prompt") from error


def _check_size(num_characters: int, service: Service) -> None:
  most = service.longest_token * service.sizes.max_length
  if num_characters > most:
    raise Refused(
      f"the prompt has {num_characters} characters; expected at most "
      f"{service.sizes.max_length} tokens, of {service.longest_token} "
      "characters at most: shorten it",
      param="prompt",
      code="context_length_exceeded",
    )


def _turns(own: fields_lib.Fields, service: Service) -> list[list[int]]:
  """The prompt of a conversation."""
  raw = own.take("messages")
  if not isinstance(raw, list) or not raw:
    raise fields_lib.refusal("messages", raw, "a list of messages")
  messages = [_message(turn) for turn in raw]
  _check_size(sum(len(turn["content"]) for turn in messages), service)
  try:
    return [service.render(messages)]
  except InputError as error:
    raise Refused(str(error), param="messages") from error


def _message(turn: Any) -> dict[str, str]:
  if isinstance(turn, dict):
    role, content = turn.get("role"), turn.get("content")
    if isinstance(content, list) and all(map(_is_text_part, content)):
      content = "".join(part["text"] for part in content)
    roles = {"developer": "system"}
    if isinstance(role, str) and isinstance(content, str):
      return {"role": roles.get(role, role), "content": content}
  raise fields_lib.refusal(
    "messages", turn, 'objects with "role" and "content", both texts'
  )


def _is_text_part(part: Any) -> bool:
  return (
    isinstance(part, dict)
    and part.get("type") == "text"
    and isinstance(part.get("text"), str)
  )
