"""The optimizer and its schedule, which count steps and never time.

Muon for the matrices and convolutions of the networks' inside: the momentum, orthogonalized. AdamW for the rest. Both in one
class, so that a checkpoint holds one state. The workers share the orthogonalizing, which is the costly part.
"""
import torch
import torch.distributed as dist

import parallel

# Quintic Newton-Schulz iteration: drives the singular values towards 1.
COEFFICIENTS = ((4.0848, -6.8946, 2.9270), (3.9505, -6.3029, 2.6377), (3.7418, -5.5913, 2.3037), (2.8769, -3.1427, 1.2046), (2.8366, -3.0525, 1.2012))


def cost(parameter):
    """Of orthogonalizing it, about."""
    rows, columns = parameter.shape[0], parameter[0].numel()
    return min(rows, columns) ** 2 * max(rows, columns)


def orthogonalized(matrix):
    """U·Vᵀ of the singular value decomposition U·S·Vᵀ, about.

    All factors are polynomials of the Gram matrix and commute, so that only the small square matrices are iterated.
    """
    x = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = x / (x.norm() * 1.01 + 1e-7)
    gram = x @ x.T
    product = one = torch.eye(len(gram), device=gram.device)
    for a, b, c in COEFFICIENTS:
        polynomial = a * one + (b * one + c * gram) @ gram
        product = polynomial @ product
        gram = polynomial @ gram @ polynomial
    x = product @ x
    return x if matrix.shape[0] <= matrix.shape[1] else x.T


class Optimizer(torch.optim.Optimizer):
    """Muon for parameters in groups with "muon", AdamW for the others."""

    def __init__(self, groups):
        super().__init__(groups, {"lr": 0.0, "peak": 1e-3, "muon": False, "betas": (0.9, 0.99), "weight_decay": 0.0})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["step"], state["mean"] = 0, torch.zeros_like(p)
                    if not group["muon"]:
                        state["square"] = torch.zeros_like(p)
                state["step"] += 1
                p.mul_(1 - group["lr"] * group["weight_decay"])
            (self._muon if group["muon"] else self._adam)(group)

    def _adam(self, group):
        fast, slow = group["betas"]
        for p in group["params"]:
            state = self.state[p]
            state["mean"].lerp_(p.grad, 1 - fast)
            state["square"].lerp_(p.grad.square(), 1 - slow)
            root = (state["square"] / (1 - slow ** state["step"])).sqrt_().add_(1e-8)
            p.addcdiv_(state["mean"], root, value=-group["lr"] / (1 - fast ** state["step"]))

    def _muon(self, group):
        updates, load = [], [0] * parallel.WORKERS
        for p in sorted(group["params"], key=cost, reverse=True):     # (a stable order: the same in every worker)
            mean = self.state[p]["mean"]
            mean.lerp_(p.grad, 0.05)
            owner = load.index(min(load))
            load[owner] += cost(p)
            mine = parallel.rank() == owner
            updates.append((p, orthogonalized(p.grad.lerp(mean, 0.95).flatten(1)) if mine else torch.zeros_like(p).flatten(1)))
        if parallel.WORKERS > 1:
            flat = torch.cat([update.reshape(-1) for _, update in updates])
            dist.all_reduce(flat)
            parts = flat.split([p.numel() for p, _ in updates])
            updates = [(p, part.view_as(update)) for (p, update), part in zip(updates, parts)]
        for p, update in updates:
            p.add_(update.reshape(p.shape), alpha=-group["lr"] * max(1, update.shape[0] / update.shape[1]) ** 0.5)

    def schedule(self, factor):
        for group in self.param_groups:
            group["lr"] = group["peak"] * factor


def factor(step, steps, decay, warmup=50):
    """Share of the peak rate at a step: constant after a short warm-up, and falling to zero over the last `decay` steps.

    Training in pieces goes on from a checkpoint taken before the fall with more `steps`.
    """
    return min(1.0, (step + 1) / warmup, max(0.0, (steps - step) / max(1, decay)))
