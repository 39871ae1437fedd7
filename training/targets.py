"""Exact targets at high noise: the mean of all drawings that fit a caption and a noisy latent.

A noisy latent comes from one drawing but could come from many. The noise that was added is a sample
of the target, and at high noise a poor one: the effect of a word is small beside it. The target
itself is the mean over all drawings, each weighted by how likely it makes the noisy latent (Bayes)
and the caption (Xu, Tong and Jaakkola 2023, arXiv:2302.00670).
"""

import math

import torch

import captions
import parallel

SEEN = [(kind, value) for kind, values in captions.KINDS.items() for value in values]


def features(says):
    """The entries of SEEN that captions state, float32 [captions, SEEN]."""
    return torch.tensor([[float(said.get(kind) == value) for kind, value in SEEN] for said in says])


def said(told):
    """Two inputs of `Posterior.noise`: what captions say, and which of them are sentences.

    A caption without a gender is a man's.
    """
    return features([{"gender": "man"} | caption.says for caption in told]), torch.tensor(
        [float(caption.sentence) for caption in told]
    )


class Posterior:
    def __init__(self, means, attributes, noise_mean):
        """Prepares the sums over all drawings.

        means: float32 [drawings, 4, h, w]; noise_mean: mean of the added noise, float32 [4, h, w].
        """
        # Sums over a thousand products or over drawings: bfloat16's rounding averages out.
        self.means = means.flatten(1).to(torch.bfloat16 if parallel.TILES else torch.float32)
        self.noise_mean = noise_mean
        self.squares = self.means.float().square().sum(1) / 2
        self.shown = features([captions.shown(a) for a in attributes]).to(means.device)
        present = torch.tensor(
            [[float(bool(a[part])) for part in captions.SOMETIMES] for a in attributes]
        ).to(means.device)
        self.unmentioned = present * math.log(1 - captions.MENTIONED)
        # A sentence was planned as one, or replaces tags that name something absent.
        self.sentence = torch.log(
            captions.SHARES[1]
            + captions.SHARES[2] * captions.SOMETIMES_FIRST * (1 - present.mean(1))
        )

    def noise(self, noisy, kept, said, sentence):
        """The noise to predict, shaped like `noisy`.

        noisy: float32 [n, 4, h, w]; kept: cumulative alphas [n]; said: [n, SEEN]; sentence: [n], 1
        for captions that are sentences, in which unmentioned parts are likelier absent.
        """
        kept = kept[:, None]
        variance = (1 - kept) / kept
        flat = noisy.flatten(1) / kept.sqrt() - variance.sqrt() * self.noise_mean.flatten()
        likely = ((self.means @ flat.to(self.means.dtype).T).T.float() - self.squares) / variance
        fits = said @ self.shown.T > said.sum(1, keepdim=True) - 0.5
        silent = 1 - torch.stack(
            [said[:, SEEN.index((part, part))] for part in captions.SOMETIMES], 1
        )
        likely = likely + sentence[:, None] * (silent @ self.unmentioned.T + self.sentence)
        picture = (
            torch.softmax(likely.masked_fill(~fits, -math.inf), 1).to(self.means.dtype) @ self.means
        ).float()
        return ((noisy.flatten(1) - kept.sqrt() * picture) / (1 - kept).sqrt()).view_as(noisy)
