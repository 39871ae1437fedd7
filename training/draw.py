"""Draws portraits: attributes (world.py) to a picture of 128×128.

    python draw.py             images.npy (uint8, [count, 128, 128, 3]), attributes.json: work folder
    python draw.py --sheet     report/drawn.png

A picture is a pure function of the seed and its number. It is drawn four times as large and then
averaged down. Colours are flat and no detail is below two pixels, so that an autoencoder of factor
8 can represent all of it.
"""

import argparse
import json
import math
import multiprocessing
import time

import numpy as np
from PIL import Image, ImageDraw

import parallel
import store
import world

SIZE = 128
OVERSAMPLE = 4
FACES = ((0.0, 0.0), (1.6, -1.4), (-1.4, 1.4))  # added to the radii of the head


def mix(colour, other, amount):
    return tuple(int(round(c + (o - c) * amount)) for c, o in zip(colour, other))


def darker(colour, amount):
    return mix(colour, (24, 10, 16), amount)


def smooth(points, steps=8):
    """Closed Catmull-Rom curve through the points."""
    p1 = np.asarray(points, float)[:, None]
    p0, p2, p3 = np.roll(p1, 1, 0), np.roll(p1, -1, 0), np.roll(p1, -2, 0)
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    curve = (
        2 * p1
        + (p2 - p0) * t
        + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
        + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )
    return 0.5 * curve.reshape(-1, 2)


def arc(cx, cy, rx, ry, start, end, count=24):
    t = np.radians(np.linspace(start, end, count))
    return np.stack([cx + rx * np.cos(t), cy + ry * np.sin(t)], 1)


def mirrored(cx, right):
    """A closed outline from its right half, given relative to the axis from top to bottom."""
    left = [(-x, y) for x, y in right[::-1] if x]
    return [(cx + x, y) for x, y in right + left]


class Pen:
    """Draws in the picture's pixels on the enlarged canvas."""

    def __init__(self, image):
        self.draw = ImageDraw.Draw(image)

    def polygon(self, points, colour):
        self.draw.polygon((np.asarray(points) * OVERSAMPLE).ravel().tolist(), fill=colour)

    def blob(self, points, colour):
        self.polygon(smooth(points), colour)

    def ellipse(self, cx, cy, rx, ry, colour=None, outline=None, width=0):
        box = [v * OVERSAMPLE for v in (cx - rx, cy - ry, cx + rx, cy + ry)]
        self.draw.ellipse(box, fill=colour, outline=outline, width=round(width * OVERSAMPLE))

    def stroke(self, points, colour, width):
        points, w = np.asarray(points, float) * OVERSAMPLE, width * OVERSAMPLE
        self.draw.line(points.ravel().tolist(), fill=colour, width=round(w), joint="curve")
        for x, y in (points[0], points[-1]):
            self.draw.ellipse([x - w / 2, y - w / 2, x + w / 2, y + w / 2], fill=colour)

    def box(self, x0, y0, x1, y1, radius, colour=None, outline=None, width=0):
        box = [v * OVERSAMPLE for v in (x0, y0, x1, y1)]
        self.draw.rounded_rectangle(
            box, radius * OVERSAMPLE, fill=colour, outline=outline, width=round(width * OVERSAMPLE)
        )


# Squareness of the outline below the eyes, and the share by which its sides narrow towards the
# chin. The same for both genders: when men's jaws were wider, guidance towards women painted the
# opposite of skin beside women's jaws.
JAW, TAPER = 2.3, 0.1


class Head:
    """Positions and colours in one face.

    Men and women differ in lips, lashes and brows only. Hair, hats and shoulders have the same
    shapes and say nothing about the gender, so guidance on the gender leaves them unchanged.
    """

    def __init__(self, a):
        self.man = a["gender"] == "man"
        dx, dy = FACES[a["face"]]
        self.cx, self.cy = 64.0, 66.0
        self.rx, self.ry = 27.5 + dx, 33.5 + dy
        self.top, self.chin = self.cy - self.ry, self.cy + self.ry
        self.eyes, self.nose, self.mouth = self.cy + 1, self.cy + 9, self.cy + 23
        t = np.linspace(0, 2 * math.pi, 96, endpoint=False)
        cos, sin = np.cos(t), np.sin(t)
        squareness = np.where(sin > 0, JAW, 2.3)
        self.unit = np.stack(
            [
                np.sign(cos)
                * np.abs(cos) ** (2 / squareness)
                * (1 - TAPER * np.clip(sin, 0, 1) ** 1.5),
                np.sign(sin) * np.abs(sin) ** (2 / squareness),
            ],
            1,
        )
        self.skin = world.SKINS[a["skin"]]
        self.shade = mix(darker(self.skin, 0.17), (200, 60, 40), 0.06)
        self.hair = world.HAIR_COLOURS[a["hair_colour"]]
        self.back_hair = darker(self.hair, 0.28)
        self.facial_hair = world.FACIAL_HAIR_COLOURS[a["facial_hair_colour"]]

    def outline(self, grow=0.0):
        return np.array([self.cx, self.cy]) + self.unit * np.array([self.rx + grow, self.ry + grow])


def portrait(a):
    """The picture, uint8 [128, 128, 3]."""
    image = Image.new(
        "RGB", (SIZE * OVERSAMPLE, SIZE * OVERSAMPLE), world.BACKGROUNDS[a["background"]]
    )
    pen, head = Pen(image), Head(a)
    if a["hat"]:
        draw_hat(pen, a, head)
    draw_back_hair(pen, a, head)
    draw_body(pen, a, head)
    for side in (-1, 1):
        pen.ellipse(head.cx + side * (head.rx + 1), head.cy + 3, 5, 7.5, head.shade)
    pen.polygon(head.outline(), head.skin)
    if a["beard"]:
        draw_beard(pen, head)
    draw_mouth(pen, a, head)
    pen.blob(
        [
            (head.cx - 4.2, head.nose + 2),
            (head.cx, head.nose - 4),
            (head.cx + 4.2, head.nose + 2),
            (head.cx, head.nose + 4.2),
        ],
        head.shade,
    )
    if a["mustache"]:
        draw_mustache(pen, a["mustache"], head)
    draw_eyes(pen, head)
    if a["glasses"]:
        draw_glasses(pen, a, head)
    draw_front_hair(pen, a, head)
    if a["earrings"]:
        for side in (-1, 1):
            pen.ellipse(
                head.cx + side * (head.rx + 2.5),
                head.cy + 14,
                3.8,
                3.8,
                (255, 204, 40),
                (150, 96, 10),
                1,
            )
    return np.asarray(image.reduce(OVERSAMPLE))


def draw_back_hair(pen, a, h):
    style = a["hair_style"]
    if style == "long":
        w = h.rx + 9
        pen.blob(
            mirrored(
                h.cx,
                [
                    (0, h.top - 7),
                    (w * 0.7, h.top - 3),
                    (w, h.cy - 6),
                    (w + 2, h.cy + 26),
                    (w - 2, h.cy + 46),
                    (10, h.cy + 48),
                ],
            ),
            h.back_hair,
        )
    elif style == "bun":  # low on one side, away from hats and glasses
        pen.ellipse(h.cx + h.rx - 1, h.cy + 21, 12, 11, h.back_hair)
    elif style == "curly":
        for angle in range(150, 391, 20):
            x, y = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            pen.ellipse(h.cx + x * (h.rx + 3), h.cy - 4 + y * (h.ry - 8), 9.5, 9.5, h.back_hair)


def draw_body(pen, a, h):
    cloth = world.CLOTHES_COLOURS[a["clothes_colour"]]
    dark, base = darker(cloth, 0.24), h.chin + 8
    neck, shoulder = 12, 50
    pen.blob(
        mirrored(
            h.cx,
            [
                (neck + 2, base - 2),
                (shoulder * 0.6, base + 4),
                (shoulder, base + 14),
                (shoulder + 8, 150),
            ],
        ),
        cloth,
    )
    pen.polygon(
        [
            (h.cx - neck, h.chin - 16),
            (h.cx + neck, h.chin - 16),
            (h.cx + neck, base + 2),
            (h.cx - neck, base + 2),
        ],
        h.shade,
    )
    if a["clothes"] == "shirt":
        pen.ellipse(h.cx, base + 1, neck + 4.5, 8.5, dark)
        pen.ellipse(h.cx, base - 1, neck + 1, 6, h.shade)
    elif a["clothes"] == "sweater":
        pen.polygon(
            [(h.cx - neck - 5, base - 4), (h.cx + neck + 5, base - 4), (h.cx, base + 20)], dark
        )
        pen.polygon([(h.cx - neck, base - 4), (h.cx + neck, base - 4), (h.cx, base + 13)], h.shade)
        for side in (-1, 1):  # a stripe across the chest
            pen.polygon(
                [
                    (h.cx + side * x, base + y)
                    for x, y in ((14, 11), (44, 11), (49, 16.5), (14, 16.5))
                ],
                dark,
            )
    else:
        pen.polygon(
            [
                (h.cx - neck - 3, base - 4),
                (h.cx + neck + 3, base - 4),
                (h.cx + 2, 136),
                (h.cx - 2, 136),
            ],
            (246, 246, 248),
        )
        tie = (190, 36, 44) if a["clothes_colour"] != "red" else (40, 60, 130)
        pen.polygon(
            [
                (h.cx - 5, base + 1),
                (h.cx + 5, base + 1),
                (h.cx + 3, base + 8),
                (h.cx + 5, 136),
                (h.cx - 5, 136),
                (h.cx - 3, base + 8),
            ],
            tie,
        )
        for side in (-1, 1):
            lapel = [(neck + 1, base - 5), (neck + 11, base + 2), (18, base + 14), (4, 138)]
            pen.polygon([(h.cx + side * x, y) for x, y in lapel], dark)


def draw_beard(pen, h):
    """A beard along jaw and chin. The upper lip stays free for the mustache."""
    jaw = h.unit[:, 1] > 0.14
    outer = h.outline()[jaw]
    inner = h.outline(-7.5)[jaw][::-1].copy()
    inner[:, 1] = np.minimum(inner[:, 1], h.mouth + 6)
    pen.polygon(np.concatenate([outer, inner]), h.facial_hair)


def draw_mouth(pen, a, h):
    lip = mix(h.shade, (176, 44, 54), 0.55) if h.man else (212, 36, 66)
    if a["smiling"]:
        pen.polygon(
            np.concatenate(
                [
                    arc(h.cx, h.mouth - 1, 10.5, 8.5, 0, 180),
                    [(h.cx - 10.5, h.mouth - 2.4), (h.cx + 10.5, h.mouth - 2.4)],
                ]
            ),
            darker(lip, 0.1),
        )
        pen.polygon(arc(h.cx, h.mouth - 0.4, 8, 4.8, 0, 180), (252, 250, 248))
    elif h.man:
        pen.stroke([(h.cx - 7.5, h.mouth + 1), (h.cx + 7.5, h.mouth + 1)], darker(lip, 0.2), 2.8)
    else:
        pen.blob(
            [
                (h.cx - 8.5, h.mouth),
                (h.cx - 3, h.mouth - 3.2),
                (h.cx + 3, h.mouth - 3.2),
                (h.cx + 8.5, h.mouth),
                (h.cx, h.mouth + 4.6),
            ],
            lip,
        )


def draw_mustache(pen, style, h):
    y = h.mouth - 8
    right = {
        "chevron": [
            (0, y - 3),
            (6, y - 3.4),
            (14, y + 0.5),
            (17, y + 5),
            (10, y + 4.4),
            (4, y + 3.2),
            (0, y + 2.6),
        ],
        "handlebar": [
            (0, y - 2.4),
            (5, y - 3.4),
            (12, y + 1),
            (17, y - 1.5),
            (20, y - 6),
            (20, y + 0.5),
            (15, y + 5),
            (7, y + 4),
            (0, y + 2.4),
        ],
    }[style]
    pen.blob(mirrored(h.cx, right), h.facial_hair)


def draw_eyes(pen, h):
    for side in (-1, 1):
        x, y = h.cx + side * h.rx * 0.45, h.eyes
        pen.ellipse(x, y, 6, 4.6 if h.man else 5.4, (253, 253, 253))
        pen.ellipse(x, y + 0.2, 3.4, 3.8, (44, 32, 34))
        pen.ellipse(x + 1.3, y - 1.2, 1.3, 1.3, (253, 253, 253))
        lid = arc(x, y + 0.3, 6.2, 5 if h.man else 5.9, 195, 345, 10)
        pen.stroke(lid, (40, 26, 30), 1.4 if h.man else 2.4)
        if not h.man:
            outer = lid[-1] if side > 0 else lid[0]
            pen.stroke([outer, outer + np.array([side * 2.8, -2.4])], (40, 26, 30), 2)
        height = 9.6 if h.man else 10.6
        pen.stroke(
            [
                (x - side * 5.5, y - height + 0.8),
                (x + side, y - height - 1),
                (x + side * 6.5, y - height + 1),
            ],
            world.BROWS,
            3.4 if h.man else 2,
        )


def draw_front_hair(pen, a, h):
    style, line = a["hair_style"], h.top + 14
    if style == "curly":
        for angle in range(180, 361, 20):
            x, y = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            pen.ellipse(h.cx + x * (h.rx - 1), h.cy - 8 + y * (h.ry - 12), 9, 9, h.hair)
        return
    out = h.rx + 2.5
    if style == "spiky":
        crown = []
        for i, angle in enumerate(np.radians(np.linspace(180, 360, 13))):
            reach = 9 if i % 2 else 0
            crown.append(
                (
                    h.cx + math.cos(angle) * (out + reach * 0.35),
                    h.cy - 5 + math.sin(angle) * (h.ry - 5 + reach),
                )
            )
        inner = [
            (h.rx * 0.92, h.cy - 2),
            (h.rx * 0.7, line + 4),
            (h.rx * 0.3, line + 7),
            (0, line + 2),
            (-h.rx * 0.3, line + 7),
            (-h.rx * 0.7, line + 4),
            (-h.rx * 0.92, h.cy - 2),
        ]
    else:
        lift = 5 if style == "long" else 2.5
        crown = arc(h.cx, h.cy - 5, out + (2 if style == "long" else 0), h.ry - 5 + lift, 180, 360)
        inner = {
            "short": [
                (h.rx * 0.92, h.cy + 2),
                (h.rx * 0.78, line + 5),
                (h.rx * 0.2, line + 3),
                (-h.rx * 0.4, line + 7),
                (-h.rx * 0.78, line + 6),
                (-h.rx * 0.92, h.cy + 2),
            ],
            "bun": [
                (h.rx * 0.93, h.cy - 2),
                (h.rx * 0.7, line + 4),
                (0, line),
                (-h.rx * 0.7, line + 4),
                (-h.rx * 0.93, h.cy - 2),
            ],
            "long": [
                (h.rx + 1, h.cy + 26),
                (h.rx * 0.8, h.cy - 6),
                (h.rx * 0.5, line + 2),
                (0, h.top + 10),
                (-h.rx * 0.5, line + 2),
                (-h.rx * 0.8, h.cy - 6),
                (-h.rx - 1, h.cy + 26),
            ],
        }[style]
    if style == "long":
        w = out + 3
        crown = np.concatenate([[(h.cx - w, h.cy + 30)], crown, [(h.cx + w, h.cy + 30)]])
    pen.polygon(np.concatenate([crown, [(h.cx + x, y) for x, y in inner]]), h.hair)


def draw_hat(pen, a, h):
    """A small hat on top of the head, behind the hair. It hides background only."""
    colour, band = (world.BACKGROUNDS[name] for name in (a["hat_colour"], a["band_colour"]))
    if a["hat"] == "party":
        pen.polygon([(h.cx, h.top - 30), (h.cx + 17, h.top + 6), (h.cx - 17, h.top + 6)], colour)
        pen.polygon(
            [
                (h.cx - 6.6, h.top - 16.5),
                (h.cx + 6.6, h.top - 16.5),
                (h.cx + 10, h.top - 9.5),
                (h.cx - 10, h.top - 9.5),
            ],
            band,
        )
        pen.ellipse(h.cx, h.top - 27, 4, 4, band)
    else:
        pen.box(h.cx - 13, h.top - 28, h.cx + 13, h.top + 6, 3, colour)
        pen.polygon(
            [
                (h.cx - 13, h.top - 16),
                (h.cx + 13, h.top - 16),
                (h.cx + 13, h.top - 9),
                (h.cx - 13, h.top - 9),
            ],
            band,
        )
        pen.box(h.cx - 21, h.top - 9, h.cx + 21, h.top - 3, 2.5, colour)


def draw_glasses(pen, a, h):
    frame = world.FRAME_COLOURS[a["frame_colour"]]
    for side in (-1, 1):
        x = h.cx + side * h.rx * 0.45
        pen.stroke([(x + side * 10, h.eyes), (h.cx + side * (h.rx - 1), h.eyes - 1)], frame, 2.4)
        if a["glasses"] == "round":
            pen.ellipse(x, h.eyes + 0.5, 11, 10.5, None, frame, 2.6)
        else:
            pen.box(x - 11, h.eyes - 8, x + 11, h.eyes + 9, 3, None, frame, 2.6)
    pen.stroke(
        [(h.cx - h.rx * 0.45 + 10.5, h.eyes - 1), (h.cx + h.rx * 0.45 - 10.5, h.eyes - 1)],
        frame,
        2.6,
    )


def portraits(attributes):
    """Pictures of these attributes, drawn by one process per core."""
    with multiprocessing.Pool(parallel.PROCESSES) as pool:
        return pool.map(portrait, attributes, chunksize=50)


def attributes_of(seed, number):
    return world.sample(world.generator(seed, number))


def _render(job):
    path, seed, first, last = job
    images = np.lib.format.open_memmap(path, mode="r+")
    labels = []
    for number in range(first, last):
        labels.append(attributes_of(seed, number))
        images[number] = portrait(labels[-1])
    return first, labels


def render(folder, count, seed):
    """Draws the whole set.

    The attributes are written last: the file means that the set is complete.
    """
    path = folder / "images.new.npy"
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, SIZE, SIZE, 3)).flush()
    jobs = [(path, seed, i, min(i + 250, count)) for i in range(0, count, 250)]
    with multiprocessing.Pool(parallel.PROCESSES) as pool:
        parts = dict(pool.imap_unordered(_render, jobs))
    labels = [a for first in sorted(parts) for a in parts[first]]
    path.rename(folder / "images.npy")
    (folder / "attributes.json").write_text(json.dumps({"seed": seed, "attributes": labels}))


def sheet(images, columns, path):
    """A contact sheet of pictures, uint8 [n, height, width, 3]."""
    height, width = images[0].shape[:2]
    rows = -(-len(images) // columns)
    page = Image.new("RGB", (columns * width, rows * height), "white")
    for i, pixels in enumerate(images):
        page.paste(
            Image.fromarray(np.asarray(pixels)), ((i % columns) * width, (i // columns) * height)
        )
    page.save(path, optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=parallel.sized(36000, 48000))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sheet", action="store_true", help="only report/drawn.png")
    args = parser.parse_args()
    if args.sheet:
        sheet(
            [portrait(attributes_of(args.seed, i)) for i in range(64)],
            8,
            store.REPORT / "drawn.png",
        )
    else:
        began = time.time()
        render(store.work(), args.count, args.seed)
        print(f"{args.count} pictures in {time.time() - began:.0f} s")
