#!/usr/bin/env python3
"""Writes tokenizer.json, a small byte-level BPE with the pre-tokenizer of DeepSeek-V4, and cases.json, what the
`tokenizers` package makes of some texts with it. Run by hand; needs tests/requirements.txt."""
import json
import pathlib

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent

TEXT = [
    "The quick brown fox jumps over the lazy dog, then the dog chases the fox through the garden.",
    "When the weather is good, the children play in the garden; the weather was 22.5 degrees on 2024-06-01.",
    "Der schnelle braune Fuchs springt über den faulen Hund, und der Hund läuft größer durch den Garten.",
    "Le renard brun rapide saute par-dessus le chien paresseux, déjà très fatigué à l'été.",
    "Быстрая коричневая лиса прыгает через ленивую собаку, и собака бежит за лисой.",
    "敏捷的棕色狐狸跳过了懒狗，今天的天气很好，今天的天气不好。",
    "素早い茶色の狐がのろまな犬を飛び越える。今日は天気がいいですね。",
    "빠른 갈색 여우가 게으른 개를 뛰어넘는다. 오늘은 날씨가 좋습니다.",
    "الثعلب البني السريع يقفز فوق الكلب الكسول",
    "for (int i = 0; i < count; ++i) { sum += values[i]; }\n    return sum;\n",
    "def mean(values):\n    return sum(values) / len(values)\n",
]

CASES = [
    "", " ", "\n", "The quick brown fox.", "  two  spaces\n\n\tand a tab \n", "1234567 22.5 ٣٤٥ ½²",
    "über größer déjà l'été", "быстрая лиса", "今天的天気が好きABC狐", "オーノー 날씨가", "الكلب الكسول",
    "e\u0301 👍🏽 👨‍👩‍👧‍👦 🫨 \U00031350", "a\u180eb\u00a0c\u3000d\u0085e\u2028f", "x\r\ny\r\r\n  \n z", "!!!hello ... --flag=_x",
    "<s>user</s>", "<s>a<s></s><think>b</think>", "pre <mask>  post", "  <pad>\n x", "<thin k><think", "values[i] += 0xFF;",
    "\u0000\u0001\u007f", "“quoted” – dash… €5 ≤ 7", "I'm you're they'll 'tis",
]


def main():
    digits, cjk, words = (
        r"\p{N}{1,3}",
        "[一-龥\u3040-ゟ゠-ヿ]+",
        r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
    )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in (digits, cjk, words)]
        + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=560, special_tokens=["<s>", "</s>"], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.add_tokens([AddedToken("<think>", normalized=True), AddedToken("</think>", normalized=False),
                          AddedToken("<mask>", lstrip=True), AddedToken("<pad>", rstrip=True)])
    tokenizer.save(str(HERE / "tokenizer.json"))
    cases = [{"text": text, "ids": tokenizer.encode(text, add_special_tokens=False).ids} for text in CASES + TEXT]
    with open(HERE / "cases.json", "w", encoding="utf-8") as out:
        out.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
    print(f"{len(cases)} cases with tokenizers {tokenizers.__version__}")


if __name__ == "__main__":
    main()
