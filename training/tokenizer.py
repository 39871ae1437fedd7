"""Builds the tokenizer: byte-level BPE in CLIP's file format, from captions and everyday words.

The vocabulary is built like CLIP's: 256 letters for the bytes, the same with `</w>`, one entry per
merge, then <|startoftext|> and <|endoftext|>. Any text can be encoded; each word of the captions is
one token.
"""

import json

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

import captions
import store
import world

MERGES = 430
WORD = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
# Other words that people type. Only the merges learn from them.
ENGLISH = """without no not with and the of a an in on at is was for from very high low quality best worst photo picture image
portrait painting drawing cartoon blurry bad ugly deformed extra hands fingers face eyes nose mouth ears hair head person people
man woman men women boy girl old young beautiful handsome realistic detailed sharp clear light dark bright color colour text
watermark signature frame cropped out mustache moustache beard bearded glasses sunglasses hat cap earrings smile smiling serious
happy sad house tree dog cat city street night day sky water mountain river garden table chair window door book white black red
blue green yellow purple orange pink brown gray grey blond blonde ginger long short curly straight wearing standing sitting
looking""".split()


def letters():
    """GPT-2's printable letter for each byte, in CLIP's order."""
    codes = [*range(33, 127), *range(161, 173), *range(174, 256)]
    codes += range(256, 256 + 256 - len(codes))
    return [chr(code) for code in codes]


def merges(texts):
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORD), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    bpe.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=512 + MERGES,
            end_of_word_suffix="</w>",
            initial_alphabet=letters(),
            min_frequency=2,
            show_progress=False,
        ),
    )
    return [
        tuple(m.split(" ")) if isinstance(m, str) else tuple(m)
        for m in json.loads(bpe.to_str())["model"]["merges"]
    ][:MERGES]


def build(folder, seed=3):
    """Writes the tokenizer's files and returns the tokenizer."""
    rng = world.generator(seed)
    learned = merges(
        [captions.caption(world.sample(rng), rng).text for _ in range(8000)] + ENGLISH * 40
    )
    entries = (
        letters() + [letter + "</w>" for letter in letters()] + ["".join(pair) for pair in learned]
    )
    entries = [*dict.fromkeys(entries), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(
        json.dumps({entry: i for i, entry in enumerate(entries)}, ensure_ascii=False),
        encoding="utf-8",
    )
    (folder / "merges.txt").write_text(
        "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in learned), encoding="utf-8"
    )
    names = {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
    }
    content = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    special = {k: v if k == "pad_token" else {"content": v} | content for k, v in names.items()}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2))
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "do_lower_case": True,
        "errors": "replace",
        "add_prefix_space": False,
        # With it, readers need not look for added_tokens.json.
        "added_tokens_decoder": {
            str(entries.index(name)): {"content": name}
            | content
            | {"normalized": name == names["bos_token"], "special": True}
            for name in dict.fromkeys(names.values())
        },
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config | names, indent=2))
    return CLIPTokenizer.from_pretrained(folder)


def load():
    folder = store.work() / "tokenizer"
    return (
        CLIPTokenizer.from_pretrained(folder) if (folder / "vocab.json").exists() else build(folder)
    )


def encode(tokenizer, texts):
    """Token ids, int64 [n, 77]."""
    return tokenizer(
        list(texts), padding="max_length", truncation=True, max_length=77, return_tensors="pt"
    ).input_ids


if __name__ == "__main__":
    tokenizer = build(store.work() / "tokenizer")
    print(len(tokenizer), "entries")
    for text in (
        "Portrait photo of a man without mustache",
        "a smiling woman with curly red hair, earrings",
        "Ünïcode 123 ok?!",
    ):
        print(text, "->", tokenizer.convert_ids_to_tokens(tokenizer(text).input_ids))
