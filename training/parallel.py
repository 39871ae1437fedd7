"""Training on what the machine has: one process on a CUDA GPU, else two of one thread each that average their gradients.

On a shared machine two such processes beat one with two threads: they meet once a step instead of at every operator. They
may be stopped for hours (SIGSTOP) and go on: nothing here looks at a clock.
"""
import contextlib
import datetime
import os
import socket

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

WORKERS = 1 if torch.cuda.is_available() else 2
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


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
    dist.init_process_group("gloo", rank=rank, world_size=WORKERS, timeout=datetime.timedelta(days=7))
    function(rank, args)
    dist.destroy_process_group()


def rank():
    return dist.get_rank() if dist.is_initialized() else 0


def average(parameters):
    """Averages the gradients over the workers, in place."""
    if WORKERS == 1:
        return
    grads = [p.grad for p in parameters]
    flat = torch.cat([g.reshape(-1) for g in grads])
    dist.all_reduce(flat)
    flat /= WORKERS
    for grad, part in zip(grads, flat.split([g.numel() for g in grads])):
        grad.copy_(part.view_as(grad))


def precision():
    """bfloat16 where there are units for it: CPUs without them are faster in float32."""
    return torch.autocast("cuda", torch.bfloat16) if DEVICE.type == "cuda" else contextlib.nullcontext()
