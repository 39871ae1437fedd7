"""www/vocab/clip, tokens.json and demo_tokens.json: ids from transformers' CLIPTokenizer."""

import gzip
import json
import os
import tempfile
from pathlib import Path

import open_clip
from open_clip.tokenizer import SimpleTokenizer
from transformers import CLIPTokenizer

import strings

HERE = Path(__file__).resolve().parent
WWW = HERE.parents[2] / "www"
VOCABULARY = WWW / "vocab" / "clip"
DEMO = WWW / "models" / "portraits" / "tokenizer"
START, END = "<|startoftext|>", "<|endoftext|>"


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def write_vocabulary():
    """OpenAI's published vocabulary, as the two files of a model folder."""
    source = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    lines = gzip.open(source, "rt", encoding="utf-8").read().split("\n")
    merges = lines[1 : 49152 - 256 - 2 + 1]
    codes = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    letters = [chr(c) for c in codes] + [chr(256 + i) for i in range(256 - len(codes))]
    entries = (
        letters
        + [letter + "</w>" for letter in letters]
        + [merge.replace(" ", "") for merge in merges]
        + [START, END]
    )
    vocab = {entry: i for i, entry in enumerate(entries)}
    assert len(vocab) == 49408 and vocab[START] == 49406 and vocab[END] == 49407
    # open_clip builds the same table, with other names for the two special tokens.
    assert list(SimpleTokenizer().encoder)[:49406] == entries[:49406]
    VOCABULARY.mkdir(parents=True, exist_ok=True)
    (VOCABULARY / "vocab.json").write_text(compact(vocab), encoding="utf-8", newline="\n")
    (VOCABULARY / "merges.txt").write_text(
        "#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8", newline="\n"
    )
    return vocab


def model_files(padding):
    """The small files of SD1.x's and SD2.x's tokenizer folders.

    Both configs name the end token as padding. SD2.x's special_tokens_map.json says "!" instead.
    """
    token = lambda content: {
        "content": content,
        "lstrip": False,
        "normalized": True,
        "rstrip": False,
        "single_word": False,
    }
    config_token = lambda content: {"__type": "AddedToken", **token(content)}
    config = {
        "add_prefix_space": False,
        "bos_token": config_token(START),
        "do_lower_case": True,
        "eos_token": config_token(END),
        "errors": "replace",
        "model_max_length": 77,
        "pad_token": END,
        "tokenizer_class": "CLIPTokenizer",
        "unk_token": config_token(END),
    }
    special = {
        "bos_token": token(START),
        "eos_token": token(END),
        "pad_token": padding,
        "unk_token": token(END),
    }
    return {"tokenizer_config.json": config, "special_tokens_map.json": special}


def load(files):
    with tempfile.TemporaryDirectory() as folder:
        for name in ("vocab.json", "merges.txt"):
            os.symlink(VOCABULARY / name, Path(folder) / name)
        for name, content in files.items():
            (Path(folder) / name).write_text(json.dumps(content))
        return CLIPTokenizer.from_pretrained(folder)


def ids(tokenizer, text):
    """The ids that diffusers' pipelines request, without padding.

    The padding rule is checked here.
    """
    padded = tokenizer(text, padding="max_length", max_length=77, truncation=True).input_ids
    short = tokenizer(text, max_length=77, truncation=True).input_ids
    assert padded == short + [tokenizer.pad_token_id] * (77 - len(short))
    return short


def case(tokenizer, text):
    """A case: [text, ids, content tokens before truncation, characters cut off]."""
    whole = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    count = len(whole.input_ids)
    cut = len(text) - whole.offset_mapping[75][0] if count > 75 else 0
    return [text, ids(tokenizer, text), count, cut]


def write_cases(name, head, cases):
    lines = ",\n".join(compact(case) for case in cases)
    (HERE / name).write_text(
        compact(head)[:-1] + ',"cases":[\n' + lines + "\n]}\n", encoding="utf-8", newline="\n"
    )


def write():
    vocab = write_vocabulary()
    files = {kind: model_files(padding) for kind, padding in (("sd1", END), ("sd2", "!"))}
    sd1, sd2 = load(files["sd1"]), load(files["sd2"])
    assert (sd1.pad_token_id, sd2.pad_token_id) == (49407, 0)
    cases = []
    for text in strings.all_strings(vocab):
        first, second = case(sd1, text), case(sd2, text)
        # SD2.x's ids differ if the text contains "!", its padding token. Then they follow SD1.x's.
        cases.append(first if first == second else first + second[1:])
    assert len(cases) >= 2000
    write_cases("tokens.json", {"files": files, "padding": {"sd1": 49407, "sd2": 0}}, cases)

    demo = CLIPTokenizer.from_pretrained(DEMO)
    texts = strings.all_strings(vocab)
    chosen = strings.HAND_WRITTEN[:60] + texts[60::14]
    write_cases(
        "demo_tokens.json",
        {"padding": demo.pad_token_id},
        [case(demo, text) for text in dict.fromkeys(chosen)],
    )
