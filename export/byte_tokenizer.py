"""A tokenizer whose tokens are bytes, as the files that transformers reads; no code of its own, and no special token.

Tokenizers of the Hugging Face kind speak of bytes as characters: printable ones of Latin-1 stand for themselves, all
others for characters from U+0100 on. Source: Radford et al. 2019 (GPT-2), `bytes_to_unicode`.
"""

from __future__ import annotations

from netwright.types import JsonDict


def byte_characters() -> list[str]:
    """Return the character that stands for each of the 256 bytes."""
    itself = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(0x100, 0x200))
    return [chr(byte) if byte in itself else chr(next(spare)) for byte in range(256)]


def tokenizer_files(max_len: int) -> dict[str, JsonDict]:
    """Return `tokenizer.json` and `tokenizer_config.json`: token n is byte n."""
    spelled = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    model = {
        **{"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None},
        **{"end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False},
        **{"vocab": {character: byte for byte, character in enumerate(byte_characters())}, "merges": []},
    }
    return {
        "tokenizer.json": {
            **{"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None},
            **{"pre_tokenizer": spelled, "post_processor": None, "decoder": spelled, "model": model},
        },
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": max_len,
            "clean_up_tokenization_spaces": False,
        },
    }
