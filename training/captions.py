"""Captions: what a picture shows, in words.

They follow the captions that large models learn from: each attribute is mentioned about half the time when it is there, and
what is not there is never mentioned, in whatever words ("without", "no"). The gender apart, how much a caption says does not depend
on the picture; else a plain caption would be evidence against mustaches, and guidance would shave everybody.

A woman's caption always says so, and no caption at all is a man's. Else "a man" would say more than nothing: guidance would push from women
towards mustaches, and a negative prompt, which says nothing of women, would take that push away along with what it names.
"""
import world

MEDIA = ("portrait photo of", "a portrait photo of", "portrait of", "a portrait of", "photo of", "a picture of", "")
MEDIA_SHARES = (0.34, 0.14, 0.14, 0.10, 0.10, 0.06, 0.12)
REGISTERS = (("bare", 0.25), ("phrases", 0.35), ("tags", 0.40))
SHORT = (("bare", 0.4), ("tags", 0.6))
WORN = ("glasses", "hat", "earrings", "clothes")

# What a caption can say, kind by kind; the text encoder first learns to tell these apart.
KINDS = {
    "gender": ("man", "woman"), "mustache": ("mustache",), "beard": ("beard",), "glasses": ("glasses",), "hat": ("hat",),
    "earrings": ("earrings",), "mood": ("smiling", "serious"), "hair_style": ("long", "curly", "short", "spiky", "bun"),
    "hair_colour": tuple(world.HAIR_COLOURS), "background": tuple(world.BACKGROUNDS), "clothes": world.CLOTHES,
    "clothes_colour": tuple(world.CLOTHES_COLOURS), "hat_colour": world.HAT_COLOURS,
}


def visible(a):
    """Everything that can be said about a picture: part -> what it says, kind by kind."""
    parts = {"clothes": {"clothes": a["clothes"], "clothes_colour": a["clothes_colour"]}, "hair": {"hair_colour": a["hair_colour"]}}
    if not a["hat"] or a["hair_style"] in ("long", "curly"):     # a hat hides the other styles
        parts["hair"]["hair_style"] = a["hair_style"]
    for kind in ("mustache", "beard", "glasses", "hat", "earrings"):
        if a[kind]:
            parts[kind] = {kind: kind}
    if a["hat"]:
        parts["hat"]["hat_colour"] = a["hat_colour"]
    return parts


def phrase(part, says, rng):
    """Words for a part of a picture, and what of `says` they tell."""
    if part == "hair":
        style = says.get("hair_style")
        if style and rng.random() < 0.25:
            return {"bun": "a bun"}.get(style, f"{style} hair"), {"hair_style": style}
        if style and style != "bun" and rng.random() < 0.35:
            return f"{style} {says['hair_colour']} hair", says
        return f"{says['hair_colour']} hair", {"hair_colour": says["hair_colour"]}
    if part in ("clothes", "hat"):
        if rng.random() < (0.8 if part == "clothes" else 0.3):
            return f"a {says[part + '_colour']} {says[part]}", says
        return f"a {says[part]}", {part: says[part]}
    return (part if part in ("glasses", "earrings") else f"a {part}"), says


def listed(things):
    return things[0] if len(things) == 1 else ", ".join(things[:-1]) + " and " + things[-1]


def caption(a, rng, registers=REGISTERS):
    """A caption of a picture with these attributes, and what it says of them."""
    register = world.pick(rng, [name for name, _ in registers], [share for _, share in registers])
    medium = world.pick(rng, MEDIA, MEDIA_SHARES)
    mood = "smiling" if a["smiling"] else "serious"
    if register == "bare":
        return f"{medium} a {a['gender']}".strip(), {"gender": a["gender"]}

    parts, said = visible(a), {}
    if register == "tags":
        tags = [phrase(part, says, rng) for part, says in parts.items()]
        tags += [(f"{a['background']} background", {"background": a["background"]}), (mood, {"mood": mood}), (a["gender"], {"gender": a["gender"]})]
        rng.shuffle(tags)
        tags = tags[:world.pick(rng, (1, 2, 3, 4), (0.45, 0.25, 0.18, 0.12))]
        if a["gender"] == "woman" and all("gender" not in says for _, says in tags):
            tags.insert(int(rng.integers(len(tags) + 1)), ("woman", {"gender": "woman"}))
        for _, says in tags:
            said |= says
        return ", ".join(text.removeprefix("a ") for text, _ in tags), said

    said["gender"] = a["gender"]
    words = [medium, "a", a["gender"]]
    if rng.random() < 0.45:
        words.insert(2, mood)
        said["mood"] = mood
    worn, other = [], []
    together = rng.random() < 0.5      # "with glasses" as well as "wearing glasses"
    for part, says in parts.items():
        if rng.random() < (0.55 if part == "clothes" else 0.75):
            text, told = phrase(part, says, rng)
            said |= told
            (worn if part in WORN and not together else other).append(text)
    rng.shuffle(other)
    rng.shuffle(worn)
    for verb, things in (("with", other), ("wearing", worn)):
        if things:
            words += [verb, listed(things)]
    text = " ".join(words).strip()
    if rng.random() < 0.65:
        said["background"] = a["background"]
        text += f"{', ' if rng.random() < 0.7 else ' on a '}{a['background']} background"
    return text, said


def short_caption(a, rng):
    """A caption that says nothing, or a gender, or some tags: what it does not mention, it says nothing of."""
    return ("", {}) if a["gender"] == "man" and rng.random() < 0.2 else caption(a, rng, SHORT)


def differing(one, other):
    """The kinds of attributes of which two short captions say different things, in what they mention and what follows from it."""
    one, other = ({"gender": "man"} | said for said in (one, other))       # of whom no gender is said is a man
    kinds = {kind for kind in KINDS if one.get(kind) != other.get(kind)}
    if "gender" in kinds:         # men alone have facial hair
        kinds |= {"mustache", "beard"}
    if "hair_style" in kinds:     # some are mentioned only where no hat is
        kinds |= {"hat", "hat_colour"}
    return kinds


def contrasting(a, said, room, enough, rng):
    """A short caption, of this picture or another one, that says something else than `said`: of eight, the first whose difference
    leaves `enough` room, else the one that leaves most."""
    candidates = [short_caption(a if rng.random() < 0.5 else world.sample(rng), rng) for _ in range(8)]
    different = [differing(said, other) for _, other in candidates]
    rooms = [min(room(kinds), enough) if kinds else 0 for kinds in different]
    best = rooms.index(max(rooms))
    return candidates[best], different[best]


if __name__ == "__main__":
    import numpy as np
    generator = np.random.default_rng(0)
    for _ in range(30):
        print(*caption(world.sample(generator), generator), sep="   ")
