"""What can be in a portrait: the attributes, how often each occurs, and the combinations that training never shows.

Every attribute is drawn on its own, so that taking one away says nothing about the others; men have long hair as often as
women, else pushing away from women would push towards short hair. Only facial hair depends on the gender: men alone have it.
"""
import random

SKINS = {"light": (255, 224, 194), "tan": (240, 194, 154), "brown": (206, 150, 108), "dark": (150, 100, 68)}
FACIAL_HAIR = (62, 42, 38)     # and brows: of one colour, else a mustache would tell that of the hair, and taking it away would change it
HAIR_COLOURS = {"black": (34, 30, 36), "brown": (112, 66, 36), "blond": (240, 200, 92), "red": (208, 74, 28), "gray": (170, 172, 182)}
BACKGROUNDS = {
    "blue": (112, 172, 236), "green": (128, 206, 132), "yellow": (252, 224, 112), "pink": (250, 172, 202),
    "purple": (172, 142, 222), "white": (246, 246, 244),
}
CLOTHES_COLOURS = {
    "red": (208, 48, 54), "blue": (44, 88, 180), "green": (44, 136, 80), "yellow": (242, 200, 48), "black": (46, 46, 54),
    "white": (236, 236, 240),
}
HAT_COLOURS = ("red", "blue", "yellow", "white")
HAT_SHARES = (0.2, 0.2, 0.2, 0.4)     # about as light as the backgrounds, in the mean: guidance pushes away from means first
HAIR_STYLES = ("short", "curly", "spiky", "long", "bun")
STYLE_SHARES = (0.25, 0.22, 0.17, 0.24, 0.12)
CLOTHES = ("shirt", "sweater", "suit")
MUSTACHES = ("chevron", "handlebar")
GLASSES = ("round", "square")
HATS = ("fedora", "beanie")

# How often, for attributes that are there or not.
SHARES = {"man": 0.5, "mustache": 0.62, "beard": 0.20, "glasses": 0.35, "hat": 0.30, "earrings": 0.25, "smiling": 0.5}

# Never together in a picture that is trained on; evaluation asks for them, to see whether the model composes.
HELD_OUT = (
    {"hair_colour": "blond", "background": "purple"},
    {"clothes_colour": "green", "background": "pink"},
)


def generator(*numbers):
    """Random numbers that depend on these alone. (Python's, for one at a time: numpy's take ten times as long.)"""
    return random.Random(" ".join(map(str, numbers)))


def pick(rng, options, shares=None):
    return rng.choices(options, shares)[0] if shares else rng.choice(options)


def held_out(attributes):
    return any(all(attributes[k] == v for k, v in pair.items()) for pair in HELD_OUT)


def sample(rng):
    """The attributes of one portrait."""
    while True:
        man = bool(rng.random() < SHARES["man"])
        attributes = {
            "gender": "man" if man else "woman",
            "skin": pick(rng, tuple(SKINS)),
            "face": rng.randrange(3),
            "hair_style": pick(rng, HAIR_STYLES, STYLE_SHARES),
            "hair_colour": pick(rng, tuple(HAIR_COLOURS)),
            "background": pick(rng, tuple(BACKGROUNDS)),
            "clothes": pick(rng, CLOTHES),
            "clothes_colour": pick(rng, tuple(CLOTHES_COLOURS)),
            "mustache": pick(rng, MUSTACHES) if rng.random() < SHARES["mustache"] and man else None,
            "beard": bool(rng.random() < SHARES["beard"] and man),
            "glasses": pick(rng, GLASSES) if rng.random() < SHARES["glasses"] else None,
            "hat": pick(rng, HATS) if rng.random() < SHARES["hat"] else None,
            "hat_colour": pick(rng, HAT_COLOURS, HAT_SHARES),
            "earrings": bool(rng.random() < SHARES["earrings"]),
            "smiling": bool(rng.random() < SHARES["smiling"]),
        }
        if not held_out(attributes):
            return attributes
