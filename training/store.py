"""Paths: checkpoints and data in the build cache, sheets and figures in report/."""

import os
import pathlib

import torch

HERE = pathlib.Path(__file__).resolve().parent
REPORT = HERE / "report"
SHIPPED = HERE.parent / "www" / "models" / "portraits"


def work(*parts):
    """A folder in $DARKROOM_TRAINING (default ~/.cache/darkroom/training), created if missing."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    base = pathlib.Path(os.environ.get("DARKROOM_TRAINING") or cache / "darkroom" / "training")
    folder = base.joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def save(path, state):
    """Writes a checkpoint atomically: an interruption leaves either the old one or the new one."""
    torch.save(state, f"{path}.new")
    os.replace(f"{path}.new", path)


def load(path):
    return torch.load(path, map_location="cpu", weights_only=True)
