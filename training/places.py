"""Where in a latent each kind of attribute shows.

    python places.py               couples.pt in the work folder, report/places.png

Attributes are independent, so that a word about one of them says nothing about the places where only others show: there, the
noise predicted with the word and without it has to be the same; and so it has with a mustache in the picture and without one.
unet.py teaches both, and takes the places and the couples of pictures from here. Places are measured: drawings that
differ in one attribute are encoded, and a place belongs to the attribute if they differ there.
"""
import copy
import json

import numpy as np
import torch

import captions
import draw
import store
import vae as autoencoder
import world

COUPLES = 200      # of each kind
LEAST = 0.15       # root mean square of a difference that counts; latents have a deviation of 1
ROOM = 0.5         # share of the places where two captions must be silent; the more of it, the fewer kinds of attributes they would differ in
OPTIONS = {
    "hair_style": world.HAIR_STYLES, "hair_colour": tuple(world.HAIR_COLOURS), "background": tuple(world.BACKGROUNDS), "clothes": world.CLOTHES,
    "clothes_colour": tuple(world.CLOTHES_COLOURS), "hat_colour": tuple(world.BACKGROUNDS),
}
WORN = {"mustache": world.MUSTACHES, "beard": (True,), "glasses": world.GLASSES, "hat": world.HATS, "earrings": (True,)}


def couple(kind, rng):
    """Attributes of a portrait as it may be drawn, and of one that differs in this kind alone (and in what hangs on the gender)."""
    while True:
        one = world.sample(rng)
        if kind in ("mustache", "beard") and one["gender"] == "woman" or kind == "hat_colour" and not one["hat"]:
            continue
        other = copy.deepcopy(one)
        if kind == "gender":
            other |= {"gender": "woman" if one["gender"] == "man" else "man", "mustache": None, "beard": False}
        elif kind == "mood":
            other["smiling"] = not one["smiling"]
        elif kind in WORN:
            other[kind] = None if one[kind] else world.pick(rng, WORN[kind])
        else:
            taken = {one["hat_colour"], one["band_colour"], one["background"]} if kind in ("hat_colour", "background") else {one[kind]}
            other[kind] = world.pick(rng, [option for option in OPTIONS[kind] if option not in taken])
        if not world.held_out(other):
            return one, other


def draw_couples(seed=7):
    """Couples for each kind, one kind after the other: their attributes, and their latents as the U-Net learns from them."""
    attributes = []
    for number in range(COUPLES * len(captions.KINDS)):
        kind = list(captions.KINDS)[number // COUPLES]
        attributes.append((kind, *couple(kind, world.generator(seed, number))))
    pictures = np.stack(draw.portraits([a for _, *two in attributes for a in two]))
    return {"attributes": json.dumps(attributes), "latents": autoencoder.latents(autoencoder.load(), pictures).unflatten(0, (-1, 2))}


def couples():
    """Kinds and attributes of the couples, and their latents: float16 [couples, 2, 8, height, width]."""
    path = store.work() / "couples.pt"
    if not path.exists():
        store.save(path, draw_couples())
    state = store.load(path)
    return json.loads(state["attributes"]), state["latents"]


def places():
    """For each kind of attribute, where it shows: bool [height, width]."""
    mean = couples()[1][:, :, :4].float()
    strength = (mean[:, 0] - mean[:, 1]).square().mean(1).unflatten(0, (-1, COUPLES)).mean(1).sqrt()
    found = {kind: shown > LEAST for kind, shown in zip(captions.KINDS, strength)}
    found["gender"] |= found["mustache"] | found["beard"]      # which men alone have
    return found


def leaning(kind):
    """How far latents lean one way with what is worn: their mean difference, as a share of the root mean square, where it shows."""
    attributes, latents = couples()
    chosen = [number for number, (its_kind, *_) in enumerate(attributes) if its_kind == kind]
    signs = torch.tensor([1.0 if attributes[number][1][kind] else -1.0 for number in chosen])
    mean = latents[chosen, :, :4].float()
    difference = (mean[:, 0] - mean[:, 1])[:, :, places()[kind]] * signs[:, None, None]
    return float(difference.mean(0).square().mean().sqrt() / difference.square().mean().sqrt())


class Couples:
    """What the U-Net learns silence from."""

    def __init__(self):
        self.attributes, self.latents = couples()
        self.places = places()
        self.known = {}

    def silent(self, kinds):
        """Where nothing of these kinds shows, float32 [1, height, width], and the share of those places."""
        if kinds not in self.known:
            shown = torch.zeros_like(self.places["gender"])
            for kind in kinds:
                shown |= self.places[kind]
            self.known[kinds] = (~shown).float()[None], 1 - float(shown.float().mean())
        return self.known[kinds]

    def draw(self, count, rng):
        """Numbers of `count` latents (two for each couple), then of their seconds; captions of all; and where both must be predicted the same.

        The second is the same picture with another caption, or one that differs in an attribute, with any caption.
        """
        firsts, seconds, words, others, silent = [], [], [], [], []
        for _ in range(count):
            chosen, second = rng.randrange(len(self.attributes)), rng.randrange(2)
            kind, *two = self.attributes[chosen]
            text, said, _ = captions.short_caption(two[0], rng)
            (other, *_), kinds = captions.contrasting(two[second], said, lambda kinds: self.silent(kinds)[1], ROOM, rng)
            firsts.append(2 * chosen), seconds.append(2 * chosen + second)
            words.append(text), others.append(other)
            silent.append(self.silent(kinds | {kind} if second else kinds)[0])
        return firsts + seconds, words + others, silent


if __name__ == "__main__":
    found = places()
    for kind, shown in found.items():
        worn = f", leans by {leaning(kind):.2f}" if kind in WORN else ""
        print(f"{kind}: {int(shown.sum())} of {shown.numel()} places{worn}")
    tiles = [np.kron(np.pad(shown.numpy(), 1, constant_values=False), np.ones((6, 6))) for shown in found.values()]
    draw.sheet([np.repeat((255 * tile[..., None]).astype(np.uint8), 3, 2) for tile in tiles], 7, store.REPORT / "places.png")
