"""Places in a latent where each kind of attribute shows.

    python places.py               couples.pt in the work folder, report/places.png

Attributes are independent, so a word about one says nothing about the places where only others
show. There the noise predicted with and without the word must be equal, and so must the noise for a
picture with a mustache and for the same picture without. unet.py teaches both, with the places and
the pairs of pictures ("couples") from here. Places are measured: drawings that differ in one
attribute are encoded, and a place belongs to the attribute if their latents differ there.
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

COUPLES = 200  # pairs of each kind
LEAST = 0.15  # smallest root mean square of a difference that counts; latents have deviation 1
ROOM = 0.5  # least share of places that two captions must leave unchanged
OPTIONS = {
    "hair_style": world.HAIR_STYLES,
    "hair_colour": tuple(world.HAIR_COLOURS),
    "background": tuple(world.BACKGROUNDS),
    "clothes": world.CLOTHES,
    "clothes_colour": tuple(world.CLOTHES_COLOURS),
    "hat_colour": tuple(world.BACKGROUNDS),
}
WORN = {
    "mustache": world.MUSTACHES,
    "beard": (True,),
    "glasses": world.GLASSES,
    "hat": world.HATS,
    "earrings": (True,),
}


def couple(kind, rng):
    """Attributes of two portraits that differ in this kind only (and in what depends on it)."""
    while True:
        one = world.sample(rng)
        if (
            kind in ("mustache", "beard")
            and one["gender"] == "woman"
            or kind == "hat_colour"
            and not one["hat"]
        ):
            continue
        other = copy.deepcopy(one)
        if kind == "gender":
            other |= {
                "gender": "woman" if one["gender"] == "man" else "man",
                "mustache": None,
                "beard": False,
            }
        elif kind == "mood":
            other["smiling"] = not one["smiling"]
        elif kind in WORN:
            other[kind] = None if one[kind] else world.pick(rng, WORN[kind])
        else:
            taken = (
                {one["hat_colour"], one["band_colour"], one["background"]}
                if kind in ("hat_colour", "background")
                else {one[kind]}
            )
            other[kind] = world.pick(
                rng, [option for option in OPTIONS[kind] if option not in taken]
            )
        if not world.held_out(other):
            return one, other


def draw_couples(seed=7):
    """Pairs for each kind, one kind after the other: attributes, and latents for the U-Net."""
    attributes = []
    for number in range(COUPLES * len(captions.KINDS)):
        kind = list(captions.KINDS)[number // COUPLES]
        attributes.append((kind, *couple(kind, world.generator(seed, number))))
    pictures = np.stack(draw.portraits([a for _, *two in attributes for a in two]))
    return {
        "attributes": json.dumps(attributes),
        "latents": autoencoder.latents(autoencoder.load(), pictures).unflatten(0, (-1, 2)),
    }


def couples():
    """Kinds, attributes and latents of the pairs; latents: float16 [pairs, 2, 8, height, width]."""
    path = store.work() / "couples.pt"
    if not path.exists():
        store.save(path, draw_couples())
    state = store.load(path)
    return json.loads(state["attributes"]), state["latents"]


def places():
    """The places of each kind of attribute: bool [height, width]."""
    mean = couples()[1][:, :, :4].float()
    strength = (mean[:, 0] - mean[:, 1]).square().mean(1).unflatten(0, (-1, COUPLES)).mean(1).sqrt()
    found = {kind: shown > LEAST for kind, shown in zip(captions.KINDS, strength)}
    found["gender"] |= found["mustache"] | found["beard"]  # which only men have
    return found


def leaning(kind):
    """Length of the mean difference of latents with and without `kind`, as a share of the rms."""
    attributes, latents = couples()
    chosen = [number for number, (its_kind, *_) in enumerate(attributes) if its_kind == kind]
    signs = torch.tensor([1.0 if attributes[number][1][kind] else -1.0 for number in chosen])
    mean = latents[chosen, :, :4].float()
    difference = (mean[:, 0] - mean[:, 1])[:, :, places()[kind]] * signs[:, None, None]
    return float(difference.mean(0).square().mean().sqrt() / difference.square().mean().sqrt())


class Couples:
    """Pairs of latents and captions for the locality loss of unet.py."""

    def __init__(self):
        self.attributes, self.latents = couples()
        self.places = places()
        self.known = {}

    def silent(self, kinds):
        """The places where none of these kinds show, float32 [1, height, width]; their share."""
        if kinds not in self.known:
            shown = torch.zeros_like(self.places["gender"])
            for kind in kinds:
                shown |= self.places[kind]
            self.known[kinds] = (~shown).float()[None], 1 - float(shown.float().mean())
        return self.known[kinds]

    def draw(self, count, rng):
        """Indices of `count` latents, then of their partners; all captions; places that must agree.

        The partner is the same picture with another caption, or a picture that differs in one
        attribute, with any caption.
        """
        firsts, seconds, words, others, silent = [], [], [], [], []
        for _ in range(count):
            chosen, second = rng.randrange(len(self.attributes)), rng.randrange(2)
            kind, *two = self.attributes[chosen]
            text, said, _ = captions.short_caption(two[0], rng)
            (other, *_), kinds = captions.contrasting(
                two[second], said, lambda kinds: self.silent(kinds)[1], ROOM, rng
            )
            firsts.append(2 * chosen), seconds.append(2 * chosen + second)
            words.append(text), others.append(other)
            silent.append(self.silent(kinds | {kind} if second else kinds)[0])
        return firsts + seconds, words + others, silent


if __name__ == "__main__":
    found = places()
    for kind, shown in found.items():
        worn = f", leans by {leaning(kind):.2f}" if kind in WORN else ""
        print(f"{kind}: {int(shown.sum())} of {shown.numel()} places{worn}")
    tiles = [
        np.kron(np.pad(shown.numpy(), 1, constant_values=False), np.ones((6, 6)))
        for shown in found.values()
    ]
    draw.sheet(
        [np.repeat((255 * tile[..., None]).astype(np.uint8), 3, 2) for tile in tiles],
        7,
        store.REPORT / "places.png",
    )
