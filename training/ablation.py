"""Counts in the folder of `darkroom generate … --ablate`: which term removed a mustache.

    python ablation.py FOLDER

A mustache is at stake for a seed if the detector sees one in the picture without the term
“mustache”. The table has the seeds by the term that changed most, at stake and not.
"""

import argparse
import json
import pathlib

import numpy as np
from PIL import Image

import detector as detectors

TERM = "mustache"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    report = json.loads((folder / "ablation.json").read_text())
    terms = [change["term"] for change in report["changes"]]
    number = terms.index(TERM) + 1
    seeds = range(report["first_seed"], report["first_seed"] + report["seeds"])

    def pictures(ending):
        paths = [folder / f"{seed}-{ending}.png" for seed in seeds]
        return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])

    detector = detectors.load()
    head = list(detectors.HEADS).index(TERM)

    def mustaches(ending):
        return detectors.read(detector, pictures(ending))[:, head] == 1

    with_all, without = mustaches("all"), mustaches(f"{number}-{TERM}-without")
    changes = np.array([[c["rms"] for c in change["by_seed"]] for change in report["changes"]])
    largest = changes.argmax(0)
    for name, chosen in (("at stake", without), ("not at stake", ~without)):
        first = {term: int((largest[chosen] == i).sum()) for i, term in enumerate(terms)}
        print(f"{name}: {chosen.sum()} of {len(seeds)} seeds; the term that changed most: {first}")
        means = {term: round(float(changes[i][chosen].mean()), 1) for i, term in enumerate(terms)}
        print(f"  mean change: {means}")
    print(f"a mustache with all terms: {with_all.sum()}")


if __name__ == "__main__":
    main()
