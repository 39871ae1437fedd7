"""Writes the CLIP vocabulary and the reference values of everything the host computes: token ids, noise, samplers.

Run by `cargo xtask golden host`. Everything comes from fixed seeds and the versions in ../requirements.txt.
"""

import noise
import sampling
import tokens

if __name__ == "__main__":
    tokens.write()
    noise.write()
    sampling.write()
