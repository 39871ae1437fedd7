"""What is to be predicted at high noise, exactly: the mean of all drawings that a caption and a noisy latent leave open.

A noisy latent comes from one drawing, but might as well come from others. The noise that was added is a sample of what is to be predicted,
and at high noise a poor one: what a word says is small beside it. The mean over all drawings, each by how likely it makes
the noisy latent (Bayes) and the caption, is what that sample is of (Xu, Tong and Jaakkola 2023, arXiv:2302.00670).
"""
import math

import torch

import captions
import parallel

SEEN = [(kind, value) for kind, values in captions.KINDS.items() for value in values]


def features(says):
    """Which of SEEN is so by what captions say, float32 [captions, SEEN]."""
    return torch.tensor([[float(said.get(kind) == value) for kind, value in SEEN] for said in says])


def said(told):
    """What captions say (of whom no gender is said is a man), and which are sentences: `Posterior.noise`'s."""
    return features([{"gender": "man"} | caption.says for caption in told]), torch.tensor([float(caption.sentence) for caption in told])


class Posterior:
    def __init__(self, means, attributes, noise_mean):
        """means: float32 [drawings, 4, h, w]; noise_mean: of the noise in noisy latents, float32 [4, h, w]"""
        # Sums of a thousand products, or over drawings: the rounding of bfloat16 is lost in them.
        self.means = means.flatten(1).to(torch.bfloat16 if parallel.TILES else torch.float32)
        self.noise_mean = noise_mean
        self.squares = self.means.float().square().sum(1) / 2
        self.shown = features([captions.shown(a) for a in attributes]).to(means.device)
        present = torch.tensor([[float(bool(a[part])) for part in captions.SOMETIMES] for a in attributes]).to(means.device)
        self.unmentioned = present * math.log(1 - captions.MENTIONED)
        # A sentence is what was to be one, or tags whose thing is not there.
        self.sentence = torch.log(captions.SHARES[1] + captions.SHARES[2] * captions.SOMETIMES_FIRST * (1 - present.mean(1)))

    def noise(self, noisy, kept, said, sentence):
        """The noise to be predicted, like noisy.

        noisy: float32 [n, 4, h, w]; kept: cumulated alphas [n]; said: [n, SEEN]; sentence: [n], whether the caption is a sentence, where what
        is not mentioned is likelier not there.
        """
        kept = kept[:, None]
        variance = (1 - kept) / kept
        flat = noisy.flatten(1) / kept.sqrt() - variance.sqrt() * self.noise_mean.flatten()
        likely = ((self.means @ flat.to(self.means.dtype).T).T.float() - self.squares) / variance
        fits = said @ self.shown.T > said.sum(1, keepdim=True) - 0.5
        silent = 1 - torch.stack([said[:, SEEN.index((part, part))] for part in captions.SOMETIMES], 1)
        likely = likely + sentence[:, None] * (silent @ self.unmentioned.T + self.sentence)
        picture = (torch.softmax(likely.masked_fill(~fits, -math.inf), 1).to(self.means.dtype) @ self.means).float()
        return ((noisy.flatten(1) - kept.sqrt() * picture) / (1 - kept).sqrt()).view_as(noisy)
