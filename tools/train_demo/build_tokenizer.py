"""Trains the demo model's tokenizer: byte-level BPE in the layout of DeepSeek-V4's tokenizer.json.

usage: build_tokenizer.py OUTPUT_FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from config import demo_config
from data import read_chapters, split_chapters

BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
# Control tokens come first, as ids 0 to 2; the chat markers follow, as ordinary (not "special") added tokens.
CONTROL_TOKENS = (BOS, EOS, PAD)
CHAT_TOKENS = (
    "<｜User｜>",
    "<｜Assistant｜>",
    "<think>",
    "</think>",
    "｜DSML｜",
    "<｜latest_reminder｜>",
    "<｜action｜>",
    "<｜query｜>",
    "<｜authority｜>",
    "<｜domain｜>",
    "<｜title｜>",
    "<｜read_url｜>",
)
# The three splits of the released tokenizer: digits by threes, CJK runs, then words, punctuation and spaces.
SPLITS = (
    r"\p{N}{1,3}",
    "[一-龥\u3040-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
    "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
)


def train_tokenizer(text: list[str], vocab_size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([])
    splits = [pre_tokenizers.Split(Regex(pattern), behavior="isolated") for pattern in SPLITS]
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splits, byte_level])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    control = [AddedToken(token, special=True, normalized=False) for token in CONTROL_TOKENS]
    chat = [AddedToken(token, normalized=True) for token in CHAT_TOKENS]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[*control, *chat],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(text, trainer)
    if tokenizer.get_vocab_size() != vocab_size:
        raise ValueError(f"tokenizer has {tokenizer.get_vocab_size()} tokens, expected {vocab_size}")
    return tokenizer


def released_form(tokenizer: Tokenizer) -> str:
    """The released file writes a merge as one string and flags the chat markers as ordinary added tokens."""
    saved = json.loads(tokenizer.to_str())
    saved["model"]["merges"] = [" ".join(pair) for pair in saved["model"]["merges"]]
    for token in saved["added_tokens"]:
        token["special"] = token["content"] in CONTROL_TOKENS
    return json.dumps(saved, indent=1, ensure_ascii=False) + "\n"


def tokenizer_settings() -> dict[str, object]:
    def added(content: str) -> dict[str, object]:
        flags = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
        return {"__type": "AddedToken", "content": content, **flags}

    return {
        "add_bos_token": False,
        "add_eos_token": False,
        "bos_token": added(BOS),
        "clean_up_tokenization_spaces": False,
        "eos_token": added(EOS),
        "legacy": True,
        "model_max_length": demo_config().max_position_embeddings,
        "pad_token": added(EOS),
        "sp_model_kwargs": {},
        "unk_token": None,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }


GENERATION_SETTINGS = {
    "_from_model_config": True,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "do_sample": True,
    "temperature": 0.8,
    "top_p": 0.95,
    "transformers_version": "4.46.3",
}


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    training, _ = split_chapters(read_chapters())
    tokenizer = train_tokenizer([chapter.text for chapter in training], demo_config().vocab_size)
    (folder / "tokenizer.json").write_text(released_form(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_settings(), indent=2, ensure_ascii=False) + "\n")
    (folder / "generation_config.json").write_text(json.dumps(GENERATION_SETTINGS, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
