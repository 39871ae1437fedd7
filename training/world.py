"""The attributes of a portrait, their frequencies, and the combinations that training never shows.

Every attribute is drawn independently (but a hat never has the background's colour), so that
removing one says nothing about the others. Men have long hair as often as women; otherwise pushing
away from women would push towards short hair. Only facial hair depends on the gender: only men have
it.
"""

import random

SKINS = {"light": (254, 220, 192), "brown": (202, 144, 102), "dark": (122, 78, 54)}
# Guidance first removes the mean of what the negative prompt says. So whatever can be removed has,
# on average, about the colour of what replaces it: frames that of skin, facial hair nearly so (with
# an exact match a negative prompt left too many), hats exactly the colours of backgrounds. The
# shares are chosen for that; `python places.py` measures it. These colours say nothing about
# others: brows have one of their own.
FACIAL_HAIR_COLOURS = {"black": (36, 26, 30), "ginger": (236, 102, 12), "white": (252, 250, 248)}
FACIAL_HAIR_SHARES = (0.36, 0.3, 0.34)
BROWS = (62, 42, 38)
FRAME_COLOURS = {
    "black": (30, 28, 36),
    "sky": (176, 230, 255),
    "gold": (255, 206, 50),
    "crimson": (224, 50, 60),
}
FRAME_SHARES = (0.2, 0.3, 0.34, 0.16)
HAIR_COLOURS = {
    "black": (30, 26, 34),
    "brown": (122, 70, 38),
    "blond": (250, 216, 108),
    "red": (222, 76, 24),
    "gray": (176, 180, 192),
}
BACKGROUNDS = {
    "blue": (92, 176, 248),
    "green": (118, 206, 122),
    "yellow": (254, 224, 96),
    "pink": (252, 156, 194),
    "purple": (152, 106, 216),
    "white": (248, 248, 246),
}
CLOTHES_COLOURS = {
    "red": (208, 48, 54),
    "blue": (44, 88, 180),
    "green": (44, 136, 80),
    "yellow": (242, 200, 48),
    "black": (46, 46, 54),
    "white": (236, 236, 240),
}
HAIR_STYLES = ("short", "curly", "spiky", "long", "bun")
STYLE_SHARES = (0.25, 0.22, 0.17, 0.24, 0.12)
CLOTHES = ("shirt", "sweater", "suit")
MUSTACHES = ("chevron", "handlebar")
GLASSES = ("round", "square")
HATS = ("top", "party")

# Frequencies of attributes that are present or absent.
SHARES = {
    "man": 0.5,
    "mustache": 0.36,
    "beard": 0.20,
    "glasses": 0.35,
    "hat": 0.30,
    "earrings": 0.25,
    "smiling": 0.5,
}

# Never together in a training picture. Evaluation asks for them, to see whether the model composes.
HELD_OUT = (
    {"hair_colour": "blond", "background": "purple"},
    {"clothes_colour": "green", "background": "pink"},
)


def generator(*numbers):
    """A generator seeded by these numbers.

    It is Python's: for one number at a time numpy's takes ten times as long.
    """
    return random.Random(" ".join(map(str, numbers)))


def pick(rng, options, shares=None):
    return rng.choices(options, shares)[0] if shares else rng.choice(options)


def held_out(attributes):
    return any(all(attributes[k] == v for k, v in pair.items()) for pair in HELD_OUT)


def sample(rng):
    """The attributes of one portrait."""
    while True:
        man = bool(rng.random() < SHARES["man"])
        background, hat_colour, band_colour = rng.sample(tuple(BACKGROUNDS), 3)
        attributes = {
            "gender": "man" if man else "woman",
            "skin": pick(rng, tuple(SKINS)),
            "face": rng.randrange(3),
            "hair_style": pick(rng, HAIR_STYLES, STYLE_SHARES),
            "hair_colour": pick(rng, tuple(HAIR_COLOURS)),
            "background": background,
            "clothes": pick(rng, CLOTHES),
            "clothes_colour": pick(rng, tuple(CLOTHES_COLOURS)),
            "mustache": pick(rng, MUSTACHES) if rng.random() < SHARES["mustache"] and man else None,
            "beard": bool(rng.random() < SHARES["beard"] and man),
            "glasses": pick(rng, GLASSES) if rng.random() < SHARES["glasses"] else None,
            "hat": pick(rng, HATS) if rng.random() < SHARES["hat"] else None,
            "hat_colour": hat_colour,
            "band_colour": band_colour,
            "facial_hair_colour": pick(rng, tuple(FACIAL_HAIR_COLOURS), FACIAL_HAIR_SHARES),
            "frame_colour": pick(rng, tuple(FRAME_COLOURS), FRAME_SHARES),
            "earrings": bool(rng.random() < SHARES["earrings"]),
            "smiling": bool(rng.random() < SHARES["smiling"]),
        }
        if not held_out(attributes):
            return attributes
