"""Training on the available hardware.

One process on a CUDA GPU; otherwise two processes of one thread each, which average their
gradients. On a shared machine two such processes are faster than one with two threads: they
synchronize once a step instead of at every operator. They may be stopped for hours (SIGSTOP) and
continued; nothing here reads a clock.

On a GPU networks as small as these wait for the host. So other processes prepare the batches, and
kernels are launched as graphs. Products use TF32 there and not bfloat16: its rounding would be as
large as the differences between two predictions that unet.py compares.

CPUs with tiles for bfloat16 (AMX) multiply much faster in it, and multiplication is more than half
of a step. So they use it, except for predictions that are compared and for the last steps of the
autoencoder.
"""

import contextlib
import datetime
import os
import socket

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

GPU = torch.cuda.is_available()
WORKERS = 1 if GPU else 2
DEVICE = torch.device("cuda" if GPU else "cpu")
PROCESSES = max(2, os.cpu_count() or 2)  # for work without a neural network
TILES = not GPU and torch.cpu._is_amx_tile_supported()
torch.backends.cuda.matmul.fp32_precision = "tf32"
torch.backends.cudnn.benchmark = True


def sized(cpu, gpu):
    """A default amount of training. A GPU does more in the same time."""
    return gpu if GPU else cpu


def launch(function, args):
    """Calls function(rank, args) in every worker."""
    if WORKERS == 1:
        function(0, args)
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(_worker, (function, args, port), nprocs=WORKERS)


def _worker(rank, function, args, port):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", rank=rank, world_size=WORKERS, timeout=datetime.timedelta(days=7)
    )
    function(rank, args)
    dist.destroy_process_group()


def rank():
    return dist.get_rank() if dist.is_initialized() else 0


class _Made(torch.utils.data.Dataset):
    def __init__(self, make):
        self.make = make

    def __getitem__(self, step):
        return self.make(step)


def batches(make, first, steps):
    """make(step) for every step, in order. It must depend on the step only, and use the CPU only.

    With a GPU, $DARKROOM_LOADERS processes make the batches (default: two fewer than cores), so
    that two trainings can share a machine.
    """
    if not GPU:
        return map(make, range(first, steps))
    workers = int(os.environ.get("DARKROOM_LOADERS") or PROCESSES - 2)
    return iter(
        torch.utils.data.DataLoader(
            _Made(make),
            batch_size=None,
            sampler=range(first, steps),
            num_workers=workers,
            prefetch_factor=4,
        )
    )


def rough(module):
    """Prepares the module for `roughly`: group norms stay in float32, where they are faster."""
    for part in module.modules():
        if isinstance(part, torch.nn.GroupNorm):
            part.register_forward_pre_hook(_in_float32)
    return module


def _in_float32(_, inputs):
    return tuple(x.float() for x in inputs)


def roughly(enabled):
    """A context in which products use bfloat16, if that is faster on this machine."""
    return torch.autocast("cpu", torch.bfloat16) if enabled and TILES else contextlib.nullcontext()


def graphed(module, *inputs):
    """The module with forward and backward pass as one launch each on a GPU, for these shapes."""
    return torch.cuda.make_graphed_callables(module, inputs) if GPU else module


def replayed(work):
    """work() as one launch on a GPU.

    It must change tensors in place; recording calls it a few times.
    """
    if not GPU:
        return work
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


def average(parameters):
    """Averages the gradients over the workers, in place."""
    if not dist.is_initialized():
        return
    grads = [p.grad for p in parameters]
    flat = torch.cat([g.reshape(-1) for g in grads])
    dist.all_reduce(flat)
    flat /= WORKERS
    for grad, part in zip(grads, flat.split([g.numel() for g in grads])):
        grad.copy_(part.view_as(grad))
