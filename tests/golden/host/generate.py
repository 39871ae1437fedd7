"""Writes the CLIP vocabulary and the reference values of host code: token ids, noise, samplers.

Run by `cargo xtask golden host`. Seeds are fixed; versions are in ../requirements.txt.
"""

import noise
import sampling
import schedules
import seeds
import tokens

if __name__ == "__main__":
    tokens.write()
    noise.write()
    sampling.write()
    schedules.write()
    seeds.write()
