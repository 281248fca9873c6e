"""The names that errors may repeat, and the values that ask for nothing.

An error repeats a name only if it stands here or is declared; any other could be a piece of a text.

Tested in tests/inference/gateway/api/test_names.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    # OpenAI's.
    "background": (False,),
    "best_of": (1,),
    "context_management": ([],),
    "echo": (False,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "include": ([],),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "stop": ([], ""),
    "stream_options": ({},),
    "suffix": ("",),
    "tools": ([],),
    "top_logprobs": (0,),
    "verbosity": ("medium",),
    # vLLM's.
    "add_generation_prompt": (True,),
    "bad_words": ([],),
    "chat_template_kwargs": ({},),
    "continue_final_message": (False,),
    "documents": ([],),
    "enable_response_messages": (False,),
    "ignore_eos": (False,),
    "include_reasoning": (True,),
    "include_stop_str_in_output": (False,),
    "length_penalty": (1,),
    "min_p": (0,),
    "min_tokens": (0,),
    "repetition_penalty": (1,),
    "return_prompt_text": (False,),
    "return_token_ids": (False,),
    "return_token_offsets": (False,),
    "return_tokens_as_token_ids": (False,),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True,),
    "stop_token_ids": ([],),
    "top_k": (-1, 0),
    "use_beam_search": (False,),
}
"""Field of a request -> values of it that are the same as leaving it out."""

HINTS = frozenset({"cache_control", "prompt_cache_breakpoint"})
"""Left out wherever they stand: where a service may cache, which changes no answer."""

VENDOR_FIELDS = frozenset(
    {
        *("access_programs", "add_generation_prompt", "add_special_tokens", "allowed_token_ids"),
        *("audio", "background", "background_options", "bad_words", "best_of", "cache_salt"),
        *("chat_template", "chat_template_kwargs", "context_management", "continue_final_message"),
        *("conversation", "documents", "echo", "ec_transfer_params", "embed_dtype"),
        *("enable_response_messages", "endianness", "function_call", "functions"),
        *("guided_choice", "guided_grammar", "guided_json", "guided_regex", "ignore_eos", "image"),
        *("include", "include_reasoning", "include_stop_str_in_output", "kv_transfer_params"),
        *("length_penalty", "logit_bias", "logits_processors", "logprob_token_ids"),
        *("max_tool_calls", "media_io_kwargs", "min_tokens", "mm_payload"),
        *("mm_processor_kwargs", "modalities", "moderation", "padding", "prediction"),
        *("previous_input_messages", "previous_response_id", "priority", "prompt_embeds"),
        *("prompt_logprobs", "repetition_detection", "repetition_penalty", "request_id"),
        *("return_mm_kwargs", "return_prompt_text", "return_token_ids", "return_token_offsets"),
        *("return_tokens_as_token_ids", "routed_experts_prompt_start", "session_id"),
        *("skip_special_tokens", "spaces_between_special_tokens", "stop_token_ids"),
        *("stream_interval", "structured_outputs", "suffix", "thinking_token_budget"),
        *("truncate_prompt_tokens", "truncation_side", "use_activation", "use_beam_search"),
        *("verbosity", "vllm_xargs", "watermarking", "web_search_options"),
    }
)
"""Names that no route takes: vLLM's own and those of OpenAI's that mean nothing here."""

MEMBERS = frozenset(
    {
        # Of messages, parts and items.
        *("annotations", "detail", "encrypted_content", "file", "files", "function_call", "id"),
        *("image_url", "images", "input_audio", "parsed", "phase", "prefix"),
        *(
            "reasoning_content",
            "reasoning_details",
            "task",
            "thinking_blocks",
            "timestamp",
            "video_url",
        ),
        # Of settings.
        *("allow_downgrade", "allowed_callers", "context", "custom", "defer_loading"),
        *("generate_summary", "include_obfuscation", "mode", "output_schema", "returns"),
        *("summary", "verbosity"),
    }
)
"""Names of OpenAI's and of common clients' within fields, not taken where they are not declared."""


def asks_nothing(value: Any, neutral: tuple[Any, ...]) -> bool:
    """Whether a value is one of those that are the same as leaving it out; 0 is not false."""
    return any(
        value == nothing and isinstance(value, bool) == isinstance(nothing, bool)
        for nothing in neutral
    )
