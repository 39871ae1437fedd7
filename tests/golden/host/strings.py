"""Texts of all kinds for the tokenizer, equal in every run."""

import random
import unicodedata

HAND_WRITTEN = [
    "",
    " ",
    "   ",
    "\n",
    "\t\r\n ",
    "a",
    "A",
    ".",
    "!",
    "!!",
    "!!!",
    "?!",
    "...",
    "…",
    "'",
    "''",
    "'''",
    '"',
    "`",
    "-",
    "—",
    "_",
    "|",
    "Portrait photo of a man",
    "mustache",
    "Portrait photo of a man without mustache",
    "a photograph of an astronaut riding a horse",
    "it's",
    "it’s",
    "IT'S",
    "don't",
    "Don’T",
    "they're we've I'm you'll he'd",
    "they'RE",
    "'s",
    "s'",
    "''s",
    "'s's",
    "a's'b",
    "rock'n'roll",
    "o'clock",
    "'tis",
    "y'all'd've",
    "dogs' 'll",
    "!'s",
    "!!'re",
    "1's",
    "'d1",
    "<|endoftext|>",
    "<|startoftext|>",
    "a <|endoftext|> b",
    "a<|endoftext|>b",
    "<|endoftext|><|endoftext|>",
    "<|ENDOFTEXT|>",
    "<|EndOfText|> x",
    "<|STARTOFTEXT|>",
    "<|startoftext|> photo <|endoftext|>",
    "<|endoftext|",
    "<endoftext>",
    "< |endoftext|>",
    "<|end of text|>",
    "<|startoftext",
    "<|endoftext|>!",
    "!<|startoftext|>!",
    "<| endoftext |>",
    "<|endoftext|>'s",
    "<start_of_text>",
    "<end_of_text>",
    "<|padding|>",
    "[PAD]",
    "<pad>",
    "hello!",
    "wow!!",
    "no ! no",
    "!important",
    "a!b!c",
    "hey,!?",
    "¡hola!",
    "！",
    "stop!now",
    "! ! !",
    "5!",
    "!5",
    "<!-- comment -->",
    "!=",
    "!important;",
    "(masterpiece:1.3), ((best quality)), [lowres]",
    "a (red:1.2) \\(literal\\) [blue]",
    "cat AND dog",
    "{a|b|c}",
    "<lora:name:0.8>",
    "__wildcard__",
    "photo of sks dog, 8k, f/1.8, ISO-100, 1/250s",
    "50% off",
    "$100",
    "€50",
    "C++",
    "C#",
    "a&b",
    "a & b",
    "x=y",
    "1+1=2",
    "3.14159",
    "1,000,000",
    "2024-11-23",
    "<p>Hello <b>world</b></p>",
    "&amp; &lt;tag&gt; &quot;q&quot; &#39;x&#39; &nbsp;&eacute;",
    "<script>alert('x')</script>",
    "&amp;amp;",
    "&#x1F600;",
    "<br/>",
    "https://example.com/a?b=c&d=e#f",
    "user@example.com",
    "C:\\Windows\\System32",
    "/usr/bin/env",
    "#hashtag @mention",
    '{"key": [1, 2, {"a": null}]}',
    "def f(x):\n    return x**2  # square\n",
    "SELECT * FROM t WHERE a='b';",
    "\\u0041\\n",
    "%20%C3%A9",
    "a\\'b",
    "café",
    "cafe\u0301",
    "CAFÉ",
    "CAFE\u0301",
    "naïve façade",
    "Ångström",
    "A\u030angstro\u0308m",
    "\u212b",
    "ﬁn ﬂow ﬀ",
    "ǅ Ǆ ǆ",
    "ẞ ß SS",
    "İstanbul ISTANBUL ıI",
    "ΑΣ Σ ς σ ΟΔΟΣ ΟΔΟΣ.",
    "ὈΔΥΣΣΕΎΣ",
    "ŉ ǰ ΐ",
    "Ⅷ ⅷ Ⅿ",
    "½ ¼ ³ ² ¹ ₂ ⁵",
    "①②③ ㊿ ❶",
    "٣٤٥ ۳۴۵ १२३ ๑๒๓ 一二三",
    "ªº",
    "℡ ™ © ®",
    "№ 5",
    "𝕳𝖊𝖑𝖑𝖔 𝓌𝑜𝓇𝓁𝒹 ℍ",
    "\u1112\u1161\u11ab\u1100\u1173\u11af",
    "한글",
    "한국어 문장",
    "が か\u3099 ガ カ\u3099",
    "日本語の文章です。",
    "中文提示词，负面提示词",
    "繁體中文",
    "ｆｕｌｌ　ｗｉｄｔｈ",
    "ﾊﾝｶｸ",
    "привет мир",
    "ПРИВЕТ",
    "Українська її",
    "ŁÓDŹ łódź",
    "ŽLUŤOUČKÝ KŮŇ",
    "tiếng Việt ơi",
    "Türkçe ğüşiöç",
    "ελληνικά",
    "עברית",
    "עִבְרִית",
    "العربية",
    "الْعَرَبِيَّة",
    "فارسی",
    "हिन्दी में",
    "বাংলা",
    "தமிழ்",
    "ไทย",
    "ភាសាខ្មែរ",
    "မြန်မာ",
    "ქართული",
    "ᲥᲐᲠᲗᲣᲚᲘ",
    "Հայերեն",
    "አማርኛ",
    "ᏣᎳᎩ ꮳꮃꭹ",
    "ᚠᚢᚦ",
    "𐐀𐐨",
    "𞤀𞤢",
    "𒀀",
    "ꓡꓲꓢꓴ",
    "😀",
    "😀😃😄",
    "a😀b",
    "👨‍👩‍👧‍👦",
    "🏳️‍🌈",
    "🇩🇪🇫🇷",
    "👍🏽",
    "❤️",
    "❤",
    "☃ snowman ☃️",
    "1️⃣",
    "emoji 🎉 in 🎉 text",
    "🤦🏼‍♂️!",
    "🥲🫠🫨",
    "zero\u200bwidth",
    "zero\u200cwidth\u200djoin",
    "soft\u00adhyphen",
    "\ufeffbom",
    "bom\ufeff",
    "word\u2060joiner",
    "a\u00a0b",
    "a\u2003b",
    "a\u3000b",
    "a\u2028b\u2029c",
    "a\u0085b",
    "a\u180eb",
    "a\u001cb\u001db\u001eb\u001fb",
    "a\u000bb\u000cb",
    "\x00",
    "a\x00b",
    "a\x01\x02\x7fb",
    "\x1b[31mred\x1b[0m",
    "a\u202eb\u202cc",
    "\u2066x\u2069",
    "\u200f\u200e",
    "\ufffd",
    "a\ufffdb",
    "\ue000",
    "\U000f0000",
    "\ufffe\uffff",
    "\U0010ffff",
    "\ufdd0",
    "Z\u0351\u036b\u0343\u036a\u0302\u0352a\u0334l\u0321g\u0307o\u0335",
    "e\u0301\u0301\u0301",
    "\u0301",
    "\u0301a",
    " \u0301",
    "a \u0301b",
    "\u0344",
    "\u0958",
    "\u2126 \u212a",
    "\ufb1d\ufb2a",
    "\U0001d15e",
    "\u0f73",
    "q\u0323\u0307",
    "q\u0307\u0323",
    "multiple    spaces",
    " leading",
    "trailing ",
    "tabs\tand\nnewlines\r\nhere",
    "a\n\n\nb",
    "CamelCaseWord",
    "snake_case_word",
    "kebab-case-word",
    "MiXeD CaSe",
    "ALL CAPS",
    "supercalifragilisticexpialidocious",
    "antidisestablishmentarianism",
    "pneumonoultramicroscopicsilicovolcanoconiosis",
    "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "zxqjkvbp" * 12,
    "1234567890" * 8,
    "." * 200,
    "!" * 80,
    "a " * 74 + "end",
    "a " * 75,
    "a " * 75 + "b",
    "a " * 76 + "ünïcode tail — “quoted”",
    "a " * 73 + "supercalifragilisticexpialidocious and more",
    "😀 " * 40,
    "é" * 90,
    "の" * 60,
    "cat, " * 37 + "dog, bird",
    ("word " * 90).strip(),
    " ".join(str(n) for n in range(60)),
    "x" + "\u0301" * 80,
    "<|endoftext|> " * 80,
]

SUBJECTS = """portrait of a young woman;photo of an old man with a beard;a red fox in the snow;cyberpunk city at night;bowl of ramen;medieval castle on a cliff;
astronaut floating above Saturn;watercolor of a lighthouse;a cat wearing sunglasses;steam locomotive;close-up of a dew-covered spider web;Victorian greenhouse;
two dogs playing chess;minimalist living room;dragon made of crystal;the Eiffel Tower;a jar of fireflies;samurai under cherry blossoms;vintage motorcycle;coral reef""".replace(
    "\n", ""
).split(";")
STYLES = """oil painting;digital art;35mm film;woodcut after Hokusai;studio ghibli style;pencil sketch;isometric 3d render;unreal engine 5;low-poly;bokeh;
chiaroscuro;pixel-art;pop art;ukiyo-e;macro photography;long exposure;Kodak Portra 400;octane render;line art;stained glass""".replace(
    "\n", ""
).split(";")
DETAILS = """highly detailed;sharp focus;8k uhd;cinematic lighting;golden hour;soft shadows;volumetric fog;trending on artstation;masterpiece;best quality;award-winning;
dramatic;intricate;HDR;rule of thirds;85mm f/1.4;depth of field;pastel colors;symmetrical;moody""".replace(
    "\n", ""
).split(";")
NEGATIVES = """lowres;bad anatomy;bad hands;text;error;missing fingers;extra digit;fewer digits;cropped;worst quality;low quality;normal quality;jpeg artifacts;
signature;watermark;username;blurry;deformed;disfigured;mutation;extra limbs;cloned face;long neck;out of frame;ugly;poorly drawn;NSFW;duplicate;grainy;mustache""".replace(
    "\n", ""
).split(";")
MARKUP = [
    "<b>{}</b>",
    "<p class='x'>{}</p>",
    "&quot;{}&quot;",
    "({}:1.2)",
    "[{}]",
    "{{{}}}",
    '"{}"',
    "'{}'",
    "“{}”",
    "*{}*",
    "`{}`",
    "#{}",
    "{}?!",
    "{}…",
    "¿{}?",
    "({}:{})",
    "<{}|>",
    "{}'s",
    "\\({}\\)",
]


def prompts(rng):
    join = lambda parts: rng.choice([", ", ",", " ", "; ", " | ", ". ", " and "]).join(parts)
    for _ in range(420):
        parts = (
            [rng.choice(SUBJECTS)]
            + rng.sample(STYLES, rng.randint(0, 3))
            + rng.sample(DETAILS, rng.randint(0, 5))
        )
        text = join(parts)
        yield rng.choice([text, text, text.upper(), text.title(), text.capitalize()])
    for _ in range(180):
        yield join(rng.sample(NEGATIVES, rng.randint(1, 14)))
    for _ in range(70):
        # About 75 tokens, the length of a chunk, and more.
        parts = [
            rng.choice(SUBJECTS + STYLES + DETAILS + NEGATIVES) for _ in range(rng.randint(18, 36))
        ]
        yield join(parts)
    for _ in range(150):
        yield (
            rng.choice(MARKUP)
            .replace("{}", rng.choice(SUBJECTS + NEGATIVES))
            .replace("{{", "{")
            .replace("}}", "}")
        )


def punctuation(rng):
    ascii_signs = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
    for _ in range(220):
        yield "".join(rng.choice(ascii_signs + "abcXYZ019 ") for _ in range(rng.randint(1, 18)))
    for _ in range(60):
        yield "".join(
            rng.choice(
                ["'", "’", "s", "t", "re", "ve", "m", "ll", "d", " ", "S", "LL", "!", "1", "é"]
            )
            for _ in range(rng.randint(2, 10))
        )


def unicode_texts(rng):
    # First and last code point of blocks; they differ in case, composition, direction and width.
    blocks = [
        (0x00, 0x7F),
        (0x80, 0xFF),
        (0x100, 0x24F),
        (0x250, 0x2AF),
        (0x2B0, 0x36F),
        (0x370, 0x3FF),
        (0x400, 0x52F),
        (0x530, 0x58F),
        (0x590, 0x5FF),
        (0x600, 0x6FF),
        (0x900, 0x97F),
        (0x980, 0x9FF),
        (0xB80, 0xBFF),
        (0xE00, 0xE7F),
        (0xF00, 0xFFF),
        (0x10A0, 0x10FF),
        (0x1100, 0x11FF),
        (0x1200, 0x137F),
        (0x13A0, 0x13FF),
        (0x1D00, 0x1DBF),
        (0x1E00, 0x1EFF),
        (0x1F00, 0x1FFF),
        (0x2000, 0x206F),
        (0x2070, 0x209F),
        (0x20A0, 0x20CF),
        (0x2100, 0x218F),
        (0x2190, 0x23FF),
        (0x2460, 0x24FF),
        (0x2500, 0x27BF),
        (0x2C00, 0x2DFF),
        (0x3000, 0x30FF),
        (0x3200, 0x33FF),
        (0x4E00, 0x9FFF),
        (0xA640, 0xA69F),
        (0xA720, 0xA7FF),
        (0xAC00, 0xD7A3),
        (0xE000, 0xF8FF),
        (0xF900, 0xFAFF),
        (0xFB00, 0xFDFF),
        (0xFE00, 0xFE6F),
        (0xFF00, 0xFFEF),
        (0x10000, 0x100FF),
        (0x10400, 0x104FF),
        (0x1D100, 0x1D1FF),
        (0x1D400, 0x1D7FF),
        (0x1E900, 0x1E95F),
        (0x1F300, 0x1FAFF),
        (0x20000, 0x2A6DF),
    ]
    assigned = lambda c: unicodedata.category(chr(c)) not in ("Cn", "Cs")
    letter = lambda block: next(
        chr(c) for c in iter(lambda: rng.randint(*block), None) if assigned(c)
    )
    for block in blocks:
        for _ in range(6):
            yield "".join(letter(block) for _ in range(rng.randint(1, 7)))
        yield "a" + letter(block) + "B " + letter(block) + "1" + letter(block)
    for _ in range(320):
        yield "".join(
            rng.choice(
                [letter(rng.choice(blocks)), letter(rng.choice(blocks[:12])), rng.choice("aZ 9'.")]
            )
            for _ in range(rng.randint(1, 9))
        )
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        for text in (
            "Crème brûlée à la façon d’Émile",
            "Việt Nam đẹp lắm",
            "ﬁancé №①",
            "각하 한글",
            "ЙЁйё ΆΈή",
            "ガギグゲゴ パピプペポ",
            "Ǖ ǘ ṩ Ḗ",
            "क़ख़ग़ ড়ঢ়",
        ):
            yield unicodedata.normalize(form, text)


def vocabulary_texts(rng, vocab):
    words = [token[:-4] for token in vocab if token.endswith("</w>") and token.isascii()]
    pieces = [
        token
        for token in vocab
        if not token.endswith("</w>") and token.isascii() and "<|" not in token
    ]
    for _ in range(260):
        yield rng.choice(["", " ", ", "]).join(
            rng.choice(words if rng.random() < 0.6 else pieces) for _ in range(rng.randint(1, 9))
        )


def all_strings(vocab):
    rng = random.Random(20241123)
    texts = HAND_WRITTEN + [
        t
        for source in (
            prompts(rng),
            punctuation(rng),
            unicode_texts(rng),
            vocabulary_texts(rng, vocab),
        )
        for t in source
    ]
    return list(dict.fromkeys(texts))
