"""A small network that reads a portrait's attributes, trained on drawings with exact labels.

    python detector.py

Four 3×3 convolutions of stride 2 with ReLU, then one linear layer over all 8×8×32 values for each
attribute. Half of the training pictures went through the autoencoder, and all are shifted, blurred
or noisy, because generated pictures are softer than drawings.

detector.safetensors holds `conv.N.weight` [out, in, 3, 3], `conv.N.bias`, `linear.weight`
[classes, 32·8·8] (channel, row, column) and `linear.bias` in f32. Its metadata `heads` names every
head and its classes, in order. The input is the picture in −1…1, [3, 128, 128], padding 1.
"""

import argparse
import json

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import optimizer
import parallel
import store
import vae as autoencoder
import world

PATH = store.HERE / "detector.safetensors"
NO_YES = ("no", "yes")
HEADS = {
    "gender": ("man", "woman"),
    "mustache": NO_YES,
    "beard": NO_YES,
    "glasses": NO_YES,
    "hat": NO_YES,
    "earrings": NO_YES,
    "smiling": NO_YES,
    "hair_style": world.HAIR_STYLES,
    "hair_colour": tuple(world.HAIR_COLOURS),
    "background": tuple(world.BACKGROUNDS),
    "clothes": world.CLOTHES,
    "clothes_colour": tuple(world.CLOTHES_COLOURS),
    "skin": tuple(world.SKINS),
}


def described():
    """The heads as they are written in the file."""
    return [[head, list(classes)] for head, classes in HEADS.items()]


def labels(a):
    """The index of the right class in each head."""
    return [
        int(bool(a[head])) if classes is NO_YES else classes.index(a[head])
        for head, classes in HEADS.items()
    ]


class Detector(torch.nn.Module):
    def __init__(self):
        super().__init__()
        widths = (3, 16, 32, 48, 32)
        self.conv = torch.nn.ModuleList(
            torch.nn.Conv2d(i, o, 3, 2, 1) for i, o in zip(widths, widths[1:])
        )
        self.linear = torch.nn.Linear(32 * 8 * 8, sum(map(len, HEADS.values())))
        for conv in self.conv:
            torch.nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            torch.nn.init.zeros_(conv.bias)

    def forward(self, x):
        for conv in self.conv:
            x = F.relu(conv(x))
        x = F.dropout(x.contiguous().flatten(1), 0.2, self.training)
        return self.linear(x).split([len(classes) for classes in HEADS.values()], 1)


def load():
    with safe_open(PATH, "pt") as file:
        heads = json.loads(file.metadata()["heads"])
    if heads != described():
        raise SystemExit(
            f"{PATH} reads {heads}; these programs need {described()}: train it (python detector.py)"
        )
    detector = Detector()
    detector.load_state_dict(load_file(PATH))
    return detector.eval().requires_grad_(False).to(parallel.DEVICE)


@torch.no_grad()
def read(detector, images):
    """Class indices [pictures, heads] of pictures uint8 [n, 128, 128, 3]."""
    return (
        torch.cat(
            [
                torch.stack(
                    [
                        head.argmax(1)
                        for head in detector(autoencoder.to_tensor(images[i : i + 64]))
                    ],
                    1,
                )
                for i in range(0, len(images), 64)
            ]
        )
        .cpu()
        .numpy()
    )


def softened(x):
    if torch.rand(()) < 0.5:
        factor = int(torch.randint(2, 4, ()))
        x = F.interpolate(F.avg_pool2d(x, factor), size=x.shape[-1], mode="bilinear")
    dy, dx = (int(v) for v in torch.randint(-4, 5, (2,)))
    return torch.roll(x, (dy, dx), (2, 3)) + 0.08 * float(torch.rand(())) * torch.randn_like(x)


def loss_of(outputs, targets):
    return sum(F.cross_entropy(output, target) for output, target in zip(outputs, targets.T))


def accuracy(detector, images, targets):
    found = read(detector, images)
    return {
        head: round(float((found[:, k] == targets[:, k]).mean()), 4) for k, head in enumerate(HEADS)
    }


def through_vae(images):
    """The pictures after the autoencoder, uint8."""
    model = autoencoder.load()
    parts = [
        autoencoder.reconstructed(model, autoencoder.to_tensor(images[i : i + 16]))
        for i in range(0, len(images), 16)
    ]
    return ((torch.cat(parts) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=parallel.sized(1200, 3000))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument(
        "--decoded",
        type=int,
        default=parallel.sized(1000, 8000),
        help="training pictures that go through the autoencoder",
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    images = autoencoder.pictures()
    targets = np.array(
        [
            labels(a)
            for a in json.loads((store.work() / "attributes.json").read_text())["attributes"]
        ]
    )
    count, held_out = (
        len(images) - autoencoder.HELD_OUT,
        slice(len(images) - autoencoder.HELD_OUT, len(images)),
    )
    soft = through_vae(images[: args.decoded])
    detector = Detector().to(parallel.DEVICE).train()
    optimizer_ = optimizer.Optimizer(
        [{"params": list(detector.parameters()), "peak": 2e-3, "weight_decay": 0.02}]
    )

    def batch_of(step):
        rng = np.random.default_rng([args.seed, step])
        i, j = (
            np.sort(rng.integers(0, count, args.batch // 2)),
            rng.integers(0, args.decoded, args.batch // 2),
        )
        return torch.from_numpy(np.concatenate([images[i], soft[j]])), torch.from_numpy(
            targets[np.concatenate([i, j])]
        )

    for step, (batch, wanted) in zip(range(args.steps), parallel.batches(batch_of, 0, args.steps)):
        loss = loss_of(detector(softened(autoencoder.to_tensor(batch))), wanted.to(parallel.DEVICE))
        loss.backward()
        optimizer_.step(optimizer.factor(step, args.steps, args.steps // 2))
        if (step + 1) % 50 == 0:
            print(f"step {step + 1} loss {loss.item():.3f}", flush=True)
    detector.eval()
    save_file(
        {name: value.cpu().contiguous() for name, value in detector.state_dict().items()},
        PATH,
        {"heads": json.dumps(described())},
    )
    report = {
        "steps": args.steps,
        "arguments": vars(args),
        "held_out_pictures": autoencoder.HELD_OUT,
        "drawn": accuracy(detector, images[held_out], targets[held_out]),
        "decoded": accuracy(detector, through_vae(images[held_out]), targets[held_out]),
    }
    (store.REPORT / "detector.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
