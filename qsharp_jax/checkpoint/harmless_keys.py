"""Keys of `config.json` that say nothing about what a decoder computes.

A key that changes the maths is honoured or refused by name, never ignored. Each
key is therefore in `families.FAMILIES` (sizes, switches), one of rotary
embeddings (`config_keys`), or one of those here. Any other key is refused,
whatever transformers does with it, unless its value says nothing (null, false,
an empty text, list or object) or its name starts like a private one or like a
tool's that leaves notes. Whether a refused key matters can be told by a reader
only; one that does not can be taken out of the file.
"""

from collections.abc import Mapping
from typing import Any

_PRIVATE = ("_", "unsloth_", "transformers.", "tf_")
_NAMES = {
  "architectures",
  "attn_implementation",
  "dtype",
  "finetuning_task",
  "is_llama_config",
  "keys_to_ignore_at_inference",
  "model_type",
  "name_or_path",
  "task_specific_params",
  "tokenizer_class",
  "torch_dtype",
  "transformers_version",
}
_TOKEN_IDS = {
  "bos_token_id",
  "decoder_start_token_id",
  "eos_token_id",
  "pad_token_id",
  "sep_token_id",
}
_HEADS = {  # of classifiers
  "id2label",
  "label2id",
  "num_labels",
  "problem_type",
  "summary_activation",
  "summary_first_dropout",
  "summary_proj_to_labels",
  "summary_type",
  "summary_use_proj",
  "value_head",
}
_TRAINING = {  # noise, initial weights, memory
  "attention_dropout",
  "attn_pdrop",
  "classifier_dropout",
  "embd_pdrop",
  "gradient_checkpointing",
  "hidden_dropout",
  "neftune_noise_alpha",
  "resid_pdrop",
}
_RUNNING = {  # the same function, in another order or with other outputs
  "cache_implementation",
  "chunk_size_feed_forward",
  "is_decoder",
  "max_sequence_length",
  "model_max_length",
  "n_ctx",
  "n_special",
  "output_attentions",
  "output_hidden_states",
  "output_past",
  "predict_special_tokens",
  "pretraining_tp",
  "reorder_and_upcast_attn",
  "return_dict",
  "seq_length",
  "tie_encoder_decoder",
  "tie_last_hidden_states",
  "torchscript",
  "use_bfloat16",
  "use_cache",
}
_SAMPLING = {  # ours comes from the experiment's config
  "assistant_confidence_threshold",
  "assistant_lookbehind",
  "bad_words_ids",
  "begin_suppress_tokens",
  "diversity_penalty",
  "do_sample",
  "early_stopping",
  "encoder_no_repeat_ngram_size",
  "encoder_repetition_penalty",
  "epsilon_cutoff",
  "eta_cutoff",
  "exponential_decay_length_penalty",
  "forced_bos_token_id",
  "forced_eos_token_id",
  "length_penalty",
  "max_length",
  "max_new_tokens",
  "min_length",
  "min_p",
  "no_repeat_ngram_size",
  "num_assistant_tokens",
  "num_assistant_tokens_schedule",
  "num_beam_groups",
  "num_beams",
  "num_return_sequences",
  "output_scores",
  "prefix",
  "remove_invalid_values",
  "repetition_penalty",
  "return_dict_in_generate",
  "suppress_tokens",
  "target_lookbehind",
  "temperature",
  "top_k",
  "top_p",
  "typical_p",
}
HARMLESS = (
  _NAMES | _TOKEN_IDS | _HEADS | _TRAINING | _RUNNING | _SAMPLING
)  # fmt: skip


def others(raw: Mapping[str, Any], known: set[str]) -> list[str]:
  """Keys that may change the maths and that nothing here knows, sorted.

  Args:
    raw: content of `config.json`.
    known: keys that the family's reader looks at.
  """
  return sorted(
    key
    for key, value in raw.items()
    if key not in known | HARMLESS
    and not key.startswith(_PRIVATE)
    and value not in (None, False, "", [], {})
  )
