"""Captions: what a picture shows, in words.

They follow the captions that large models learn from: each attribute is mentioned about half the time when it is there, and
what is not there is never mentioned, in whatever words ("without", "no").

What a caption does not mention, it is to say nothing of; else guidance would push that, too. So how likely the short captions
are, nothing and a word or two, depends only on what they mention: "a man" is as likely whether he has a mustache or not, and
"glasses" whether there is a hat or not. For that, what to tell is chosen before looking; if it is not there, the picture gets a
long caption instead. (Were the next thing chosen instead, "glasses" would be likelier without hats, and a negative prompt "glasses" would put hats on.)

A woman's caption always says so, and no caption at all is a man's. Else "a man" would say more than nothing: guidance would push from women
towards mustaches, and a negative prompt, which says nothing of women, would take that push away along with what it names.
"""
import typing

import world

MEDIA = ("portrait photo of", "a portrait photo of", "portrait of", "a portrait of", "photo of", "a picture of", "")
MEDIA_SHARES = (0.34, 0.14, 0.14, 0.10, 0.10, 0.06, 0.12)
REGISTERS = ("bare", "phrases", "tags")
SHARES = (0.25, 0.25, 0.50)
SHORT_SHARES = (0.35, 0.0, 0.65)
MENTIONED = 0.6     # how often a long caption mentions a part that is there
SOMETIMES_FIRST = 0.7     # how often tags start with one of SOMETIMES
WORN = ("glasses", "hat", "earrings", "clothes")
SOMETIMES = ("mustache", "beard", "glasses", "hat", "earrings")     # there or not; tags mention one at most
ALWAYS = ("clothes", "hair", "background", "mood", "gender")

# What a caption can say, kind by kind; the text encoder first learns to tell these apart.
KINDS = {
    "gender": ("man", "woman"), "mustache": ("mustache",), "beard": ("beard",), "glasses": ("glasses",), "hat": ("hat",),
    "earrings": ("earrings",), "mood": ("smiling", "serious"), "hair_style": ("long", "curly", "short", "spiky", "bun"),
    "hair_colour": tuple(world.HAIR_COLOURS), "background": tuple(world.BACKGROUNDS), "clothes": world.CLOTHES,
    "clothes_colour": tuple(world.CLOTHES_COLOURS), "hat_colour": tuple(world.BACKGROUNDS),
}


def hair(a, rng):
    """Words for the hair and what they tell."""
    style, colour = a["hair_style"], a["hair_colour"]
    chance = rng.random()
    if chance < 0.5:
        return f"{colour} hair", {"hair_colour": colour}
    if chance < 0.75:
        return ("a bun" if style == "bun" else f"{style} hair"), {"hair_style": style}
    return (f"{colour} hair in a bun" if style == "bun" else f"{style} {colour} hair"), {"hair_style": style, "hair_colour": colour}


def phrase(part, a, rng):
    """Words for a part of a picture and what they tell, or nothing if it is not there."""
    if part == "hair":
        return hair(a, rng)
    if part == "background":
        return f"{a['background']} background", {"background": a["background"]}
    if part == "mood":
        mood = "smiling" if a["smiling"] else "serious"
        return mood, {"mood": mood}
    if part == "gender":
        return f"a {a['gender']}", {"gender": a["gender"]}
    if not a[part]:
        return None
    if part in ("clothes", "hat"):
        thing, colour = ("hat" if part == "hat" else a["clothes"]), a[f"{part}_colour"]
        if rng.random() < (0.8 if part == "clothes" else 0.3):
            return f"a {colour} {thing}", {part: thing, f"{part}_colour": colour}
        return f"a {thing}", {part: thing}
    return (part if part in ("glasses", "earrings") else f"a {part}"), {part: part}


def shown(a):
    """What a caption that tells all would say of a picture."""
    said = {kind: a[kind] for kind in KINDS if kind in a} | {"mood": "smiling" if a["smiling"] else "serious"}
    said |= {part: part if a[part] else None for part in SOMETIMES}
    return said | {"hat_colour": a["hat_colour"] if a["hat"] else None}


class Caption(typing.NamedTuple):
    text: str
    says: dict                # what it says, kind by kind
    sentence: bool = False    # in which more than the gender is mentioned: there, what is not mentioned is likelier not there


NOTHING = Caption("", {})


def listed(things):
    return things[0] if len(things) == 1 else ", ".join(things[:-1]) + " and " + things[-1]


def caption(a, rng, shares=SHARES):
    """A caption of a picture with these attributes."""
    register = world.pick(rng, REGISTERS, shares)
    tagged = register == "tags" and tags(a, rng)
    if tagged:
        return tagged
    medium = world.pick(rng, MEDIA, MEDIA_SHARES)
    if register == "bare":
        return Caption(f"{medium} a {a['gender']}".strip(), {"gender": a["gender"]})
    return phrases(a, medium, rng)


def tags(a, rng):
    """One to four parts of a picture, of which one at most is not always there; nothing if it is not."""
    first = world.pick(rng, (SOMETIMES, ALWAYS), (SOMETIMES_FIRST, 1 - SOMETIMES_FIRST))
    parts = [world.pick(rng, first)]
    parts += rng.sample([part for part in ALWAYS if part not in parts], world.pick(rng, (0, 1, 2, 3), (0.5, 0.25, 0.15, 0.1)))
    found = [phrase(part, a, rng) for part in parts]
    if None in found:
        return None
    if a["gender"] == "woman" and "gender" not in parts:
        found.append(("woman", {"gender": "woman"}))
    rng.shuffle(found)
    said = {}
    for _, says in found:
        said |= says
    return Caption(", ".join(text.removeprefix("a ") for text, _ in found), said)


def phrases(a, medium, rng):
    """A sentence that mentions about half of what there is."""
    said = {"gender": a["gender"]}
    words = [medium, "a", a["gender"]]
    if rng.random() < 0.45:
        mood, says = phrase("mood", a, rng)
        words.insert(2, mood)
        said |= says
    worn, other = [], []
    together = rng.random() < 0.5      # "with glasses" as well as "wearing glasses"
    for part in ("clothes", "hair", *SOMETIMES):
        found = phrase(part, a, rng) if rng.random() < MENTIONED else None
        if found:
            said |= found[1]
            (worn if part in WORN and not together else other).append(found[0])
    rng.shuffle(other)
    rng.shuffle(worn)
    for verb, things in (("with", other), ("wearing", worn)):
        if things:
            words += [verb, listed(things)]
    text = " ".join(words).strip()
    if rng.random() < 0.65:
        background, says = phrase("background", a, rng)
        said |= says
        text += f"{', ' if rng.random() < 0.7 else ' on a '}{background}"
    return Caption(text, said, sentence=len(said) > 1)


def nothing(a, share, rng):
    """Whether the caption of this picture is left out: never a woman's."""
    return a["gender"] == "man" and rng.random() < share


def short_caption(a, rng):
    """A caption that says nothing, or a gender, or some tags; a long one where the tags are not there."""
    return NOTHING if nothing(a, 0.2, rng) else caption(a, rng, SHORT_SHARES)


def differing(one, other):
    """The kinds of attributes of which two captions say different things, in what they mention."""
    one, other = ({"gender": "man"} | said for said in (one, other))       # of whom no gender is said is a man
    return frozenset(kind for kind in KINDS if one.get(kind) != other.get(kind))


def contrasting(a, said, room, enough, rng):
    """A short caption, of this picture or another one, that says something else than `said`: of eight, the first whose difference
    leaves `enough` room, else the one that leaves most."""
    best, most = None, -1.0
    for _ in range(8):
        other = short_caption(a if rng.random() < 0.5 else world.sample(rng), rng)
        kinds = differing(said, other.says)
        left = room(kinds) if kinds else 0.0
        if left > most:
            best, most = (other, kinds), left
        if left >= enough:
            break
    return best


if __name__ == "__main__":
    generator = world.generator(0)
    for _ in range(40):
        print(*caption(world.sample(generator), generator)[:2], sep="   ")
