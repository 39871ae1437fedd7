"""Captions: words for what a picture shows.

They follow the captions that large models learn from. Each attribute is mentioned about half the
time when it is there. What is absent is never mentioned, in whatever words ("without", "no").

A caption must say nothing about what it does not mention; otherwise guidance would push that, too.
So the probability of a short caption (nothing, or a word or two) depends only on what it mentions:
"a man" is as likely with a mustache as without, and "glasses" as likely with a hat as without. To
achieve that, the subject is chosen before looking; if it is not there, the picture gets a long
caption instead. (If the next present thing were chosen instead, "glasses" would be likelier without
hats, and a negative prompt "glasses" would put hats on.)

A woman's caption always says that she is one, and only men's captions may be empty. Otherwise "a
man" would say more than an empty caption: guidance would push from women towards mustaches, and a
negative prompt, which says nothing about women, would remove that push along with what it names.
"""

import typing

import world

MEDIA = (
    "portrait photo of",
    "a portrait photo of",
    "portrait of",
    "a portrait of",
    "photo of",
    "a picture of",
    "",
)
MEDIA_SHARES = (0.34, 0.14, 0.14, 0.10, 0.10, 0.06, 0.12)
REGISTERS = ("bare", "phrases", "tags")
SHARES = (0.25, 0.25, 0.50)
SHORT_SHARES = (0.35, 0.0, 0.65)
MENTIONED = 0.6  # share of the present parts that a long caption mentions
SOMETIMES_FIRST = 0.7  # share of tags that start with one of SOMETIMES
WORN = ("glasses", "hat", "earrings", "clothes")
# May be absent; tags mention one at most.
SOMETIMES = ("mustache", "beard", "glasses", "hat", "earrings")
ALWAYS = ("clothes", "hair", "background", "mood", "gender")

# Values that a caption can mention, by kind. The text encoder learns to tell them apart.
KINDS = {
    "gender": ("man", "woman"),
    "mustache": ("mustache",),
    "beard": ("beard",),
    "glasses": ("glasses",),
    "hat": ("hat",),
    "earrings": ("earrings",),
    "mood": ("smiling", "serious"),
    "hair_style": ("long", "curly", "short", "spiky", "bun"),
    "hair_colour": tuple(world.HAIR_COLOURS),
    "background": tuple(world.BACKGROUNDS),
    "clothes": world.CLOTHES,
    "clothes_colour": tuple(world.CLOTHES_COLOURS),
    "hat_colour": tuple(world.BACKGROUNDS),
}


def hair(a, rng):
    """Words for the hair, and what they say."""
    style, colour = a["hair_style"], a["hair_colour"]
    chance = rng.random()
    if chance < 0.5:
        return f"{colour} hair", {"hair_colour": colour}
    if chance < 0.75:
        return ("a bun" if style == "bun" else f"{style} hair"), {"hair_style": style}
    return (f"{colour} hair in a bun" if style == "bun" else f"{style} {colour} hair"), {
        "hair_style": style,
        "hair_colour": colour,
    }


def phrase(part, a, rng):
    """Words for a part of a picture, and what they say; None if the part is absent."""
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
    """Everything that a complete caption would say about a picture."""
    said = {kind: a[kind] for kind in KINDS if kind in a} | {
        "mood": "smiling" if a["smiling"] else "serious"
    }
    said |= {part: part if a[part] else None for part in SOMETIMES}
    return said | {"hat_colour": a["hat_colour"] if a["hat"] else None}


class Caption(typing.NamedTuple):
    text: str
    says: dict  # what it says, by kind
    # Mentions more than the gender: then unmentioned parts are likelier absent.
    sentence: bool = False


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
    """One to four parts, at most one of which can be absent; None if it is absent."""
    first = world.pick(rng, (SOMETIMES, ALWAYS), (SOMETIMES_FIRST, 1 - SOMETIMES_FIRST))
    parts = [world.pick(rng, first)]
    parts += rng.sample(
        [part for part in ALWAYS if part not in parts],
        world.pick(rng, (0, 1, 2, 3), (0.5, 0.25, 0.15, 0.1)),
    )
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
    """A sentence that mentions about half of what the picture shows."""
    said = {"gender": a["gender"]}
    words = [medium, "a", a["gender"]]
    if rng.random() < 0.45:
        mood, says = phrase("mood", a, rng)
        words.insert(2, mood)
        said |= says
    worn, other = [], []
    together = rng.random() < 0.5  # "with glasses" as well as "wearing glasses"
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
    """True if the caption of this picture is left out. A woman's never is."""
    return a["gender"] == "man" and rng.random() < share


def short_caption(a, rng):
    """An empty caption, a gender, or tags; a long caption if the tags name something absent."""
    return NOTHING if nothing(a, 0.2, rng) else caption(a, rng, SHORT_SHARES)


def differing(one, other):
    """The kinds of attributes about which two captions say different things."""
    # A caption without a gender is a man's.
    one, other = ({"gender": "man"} | said for said in (one, other))
    return frozenset(kind for kind in KINDS if one.get(kind) != other.get(kind))


def contrasting(a, said, room, enough, rng):
    """A short caption, of this picture or another, that says something other than `said`.

    Of eight tries, the first with a difference that leaves `enough` room, else the one that leaves
    the most.
    """
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
