"""Writes prompts.json: parse trees, weights, schedules, chunks and emphasis by A1111's web UI.

Run by `cargo xtask golden prompts` or by hand, with the packages of ../requirements.txt and
lark 1.1.2, the version that the web UI names. The environment variable WEBUI is a folder with
version 1.10.1 of https://github.com/AUTOMATIC1111/stable-diffusion-webui; its modules
prompt_parser, sd_hijack_clip and sd_emphasis are run as they are. Only values are kept.

The web UI's grammar is ambiguous, and its parser picks one of several readings by the order of
Python's hashes. So the schedules are made in several processes with different hash seeds. Where
they differ, all that came up are kept, under "ambiguous".
"""

import json
import os
import pickle
import subprocess
import sys
import types
from pathlib import Path

from prompts import all_prompts

HERE = Path(__file__).resolve().parent
VOCABULARY = HERE.parents[2] / "www" / "vocab" / "clip"
STEPS = range(1, 51)
HASH_SEEDS = 8
END = 49407


def load_webui():
    """The web UI's modules, with the options that they read."""
    sys.path.insert(0, os.environ["WEBUI"])
    opts = types.SimpleNamespace(emphasis="Original", comma_padding_backtrack=20)
    no_embedding = lambda tokens, at: (None, None)
    no_embeddings = types.SimpleNamespace(find_embedding_at_position=no_embedding)
    stubs = {
        "shared": {"opts": opts},
        "devices": {"device": "cpu"},
        "sd_hijack": {"model_hijack": types.SimpleNamespace(embedding_db=no_embeddings)},
    }
    for name, content in stubs.items():
        module = types.ModuleType(f"modules.{name}")
        vars(module).update(content)
        sys.modules[f"modules.{name}"] = module
    from modules import prompt_parser, sd_emphasis, sd_hijack_clip

    return prompt_parser, sd_hijack_clip, sd_emphasis, opts


def clip_embedder(sd_hijack_clip):
    """The web UI's tokenizing and chunking around transformers' tokenizer."""
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(VOCABULARY)
    assert tokenizer.eos_token_id == END
    hijack = sys.modules["modules.sd_hijack"].model_hijack
    wrapped = types.SimpleNamespace(tokenizer=tokenizer)
    embedder = sd_hijack_clip.FrozenCLIPEmbedderWithCustomWords(wrapped, hijack)
    embedder.hijack = hijack
    return embedder


def weights(prompt_parser, prompt):
    """Texts and weights, or null where the web UI fails at a weight that is not a number."""
    try:
        return prompt_parser.parse_prompt_attention(prompt)
    except ValueError:
        return None


def composition(prompt_parser, prompt):
    [indexes], texts, _ = prompt_parser.get_multicond_prompt_list([prompt])
    return [[texts[index], weight] for index, weight in indexes]


def schedules(prompt_parser, prompt):
    """The distinct texts, and for 1 to 50 steps the last steps of the stages and their texts.

    0 stands for the last steps 1, 2, 3 and so on."""
    texts = {}
    rows = []
    for steps in STEPS:
        [stages] = prompt_parser.get_learned_conditioning_prompt_schedules([prompt], steps)
        last = [last_step for last_step, _ in stages]
        indices = [texts.setdefault(text, len(texts)) for _, text in stages]
        rows.append([0 if last == list(range(1, steps + 1)) else last, indices])
    if len(texts) == 1 and all(row[1] == [0] for row in rows):
        rows = []
    return {"texts": list(texts), "stages": rows}


def all_schedules(prompt_parser, prompts):
    """Schedules of prompts in this process."""
    parse = prompt_parser.schedule_parser.parse
    trees = {}

    def remembered(text):
        if text not in trees:
            try:
                trees[text] = pickle.dumps(parse(text))
            except Exception as error:
                trees[text] = error
        if isinstance(trees[text], Exception):
            raise trees[text]
        # The web UI changes the tree.
        return pickle.loads(trees[text])

    prompt_parser.schedule_parser.parse = remembered
    return [schedules(prompt_parser, prompt) for prompt in prompts]


def has_bracket(prompt):
    """Whether a prompt can have more than one reading."""
    return "[" in prompt


def schedules_by_hash_seed():
    """Every schedule that came up for each prompt."""
    runs = []
    for seed in range(HASH_SEEDS):
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        command = [sys.executable, __file__, "schedules" if seed == 0 else "brackets"]
        runs.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE))
    first, *others = [json.loads(run.communicate()[0]) for run in runs]
    found = []
    for prompt, outcome in zip(all_prompts(), first, strict=True):
        outcomes = [outcome]
        if has_bracket(prompt):
            outcomes += [run.pop(0) for run in others]
        distinct = {json.dumps(outcome): outcome for outcome in outcomes}
        found.append(list(distinct.values()))
    return found


def run_lengths(values):
    runs = []
    for value in values:
        if runs and runs[-1][0] == value:
            runs[-1][1] += 1
        else:
            runs.append([value, 1])
    return runs


def chunks(embedder, text):
    """The chunks that the text encoder gets: ids for SD1 and SD2 without the end tokens or the
    padding at their ends, and weights as run lengths."""
    import torch

    chunks, count = embedder.tokenize_line(text)
    seen = []

    def encode(tokens):
        seen.append(tokens[0].tolist())
        return torch.ones(1, tokens.shape[1], 1)

    embedder.encode_with_transformers = encode
    for chunk in chunks:
        for padding in (END, 0):
            embedder.id_pad = padding
            embedder.process_tokens([chunk.tokens], [chunk.multipliers])
    embedder.id_pad = END

    def stripped(ids, padding):
        assert len(ids) == 77
        while ids and ids[-1] == padding:
            ids.pop()
        return ids

    return {
        "count": count,
        "sd1": [stripped(ids, END) for ids in seen[0::2]],
        "sd2": [stripped(ids, 0) for ids in seen[1::2]],
        "weights": [run_lengths(chunk.multipliers) for chunk in chunks],
    }


def emphasis(sd_emphasis, embedder):
    """Embeddings [n, tokens, width] before and after each mode."""
    import torch

    cases = []
    texts = ["a (red:1.4) house", "[[a]] (b:0)", "(a:-1) b", "a ((very)) [old] chair", "a house"]
    generator = torch.Generator().manual_seed(22)
    for batch in [[text] for text in texts] + [texts[:3]]:
        lines = [embedder.tokenize_line(text)[0][0] for text in batch]
        multipliers = [line.multipliers[:12] for line in lines]
        z = torch.randn(len(batch), 12, 5, generator=generator) - 0.2
        case = {"weights": multipliers, "before": z.flatten().tolist()}
        for name in ("Original", "No norm", "Ignore"):
            option = sd_emphasis.get_current_option(name)()
            option.multipliers = torch.asarray(multipliers)
            option.z = z.clone()
            option.after_transformers()
            case[name] = option.z.flatten().tolist()
        cases.append(case)
    return cases


def in_force(prompt_parser):
    """The stage in force at each U-Net call for 20 steps."""
    import torch

    stage = prompt_parser.ScheduledPromptConditioning
    cases = []
    for prompt in ("[a:b:5]", "[a|b]", "[a:b:0.5][c|d|e]", "a", "[a:b:0]", "[a:b:20]", "[a:b:1]"):
        [stages] = prompt_parser.get_learned_conditioning_prompt_schedules([prompt], 20)
        conds = [stage(last, torch.tensor([[float(i)]])) for i, (last, _) in enumerate(stages)]
        calls = [prompt_parser.reconstruct_cond_batch([conds], call) for call in range(20)]
        cases.append([prompt, [stages[int(call.item())][1] for call in calls]])
    return cases


def write():
    prompt_parser, sd_hijack_clip, sd_emphasis, opts = load_webui()
    embedder = clip_embedder(sd_hijack_clip)
    cases = []
    for prompt, outcomes in zip(all_prompts(), schedules_by_hash_seed(), strict=True):
        case = {
            "prompt": prompt,
            "weights": weights(prompt_parser, prompt),
            "composition": composition(prompt_parser, prompt),
            "schedule": outcomes[0] if len(outcomes) == 1 else None,
        }
        if len(outcomes) > 1:
            case["ambiguous"] = outcomes
        texts = [prompt] + (outcomes[0]["texts"][:3] if len(outcomes) == 1 else [])
        texts = [text for text in dict.fromkeys(texts) if weights(prompt_parser, text)]
        case["chunks"] = [[text, chunks(embedder, text)] for text in texts]
        cases.append(case)
    plain = []
    opts.emphasis = "None"
    for text in ("a (red:1.4) house BREAK [b:c:3]", "a, (b) " * 40):
        plain.append([text, chunks(embedder, text)])
    opts.emphasis = "Original"
    opts.comma_padding_backtrack = 0
    no_backtrack = [[text, chunks(embedder, text)] for text in all_prompts() if len(text) > 400]
    values = {
        "cases": cases,
        "plain": plain,
        "no_backtrack": no_backtrack,
        "emphasis": emphasis(sd_emphasis, embedder),
        "in_force": in_force(prompt_parser),
    }
    compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    lines = []
    for key, value in values.items():
        rows = ",\n".join(map(compact, value))
        lines.append(f"{json.dumps(key)}:[\n{rows}\n]")
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    (HERE / "prompts.json").write_text(text, encoding="utf-8", newline="\n")
    ambiguous = sum("ambiguous" in case for case in cases)
    print(f"{len(cases)} prompts, {ambiguous} of them with schedules that are ambiguous")


if __name__ == "__main__":
    if "WEBUI" not in os.environ:
        print("prompts.json is left as it is: WEBUI names no folder with the web UI")
    elif sys.argv[1:] == ["schedules"]:
        print(json.dumps(all_schedules(load_webui()[0], all_prompts())))
    elif sys.argv[1:] == ["brackets"]:
        print(json.dumps(all_schedules(load_webui()[0], filter(has_bracket, all_prompts()))))
    else:
        write()
