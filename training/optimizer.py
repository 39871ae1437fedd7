"""The optimizer and its schedule. Both count steps, never time.

Muon (orthogonalized momentum) for the inner matrices and convolutions of the networks, AdamW for
the rest. Both are in one class, so that a checkpoint holds one state. The workers share the
orthogonalization, which is the expensive part.
"""

import torch
import torch.distributed as dist

import parallel

# Quintic Newton-Schulz iteration: drives the singular values towards 1.
COEFFICIENTS = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)


def cost(parameter):
    """Approximate cost of orthogonalizing a parameter."""
    rows, columns = parameter.shape[0], parameter[0].numel()
    return min(rows, columns) ** 2 * max(rows, columns)


def orthogonalized(matrices):
    """Approximately U·Vᵀ of each matrix's singular value decomposition U·S·Vᵀ.

    All factors are polynomials of the Gram matrix and commute, so only the small square matrices
    are iterated, in one batch per size.
    """
    wide = [matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T for matrix in matrices]
    wide = [x / (x.norm() * 1.01 + 1e-7) for x in wide]
    for size in sorted({len(x) for x in wide}):
        chosen = [i for i, x in enumerate(wide) if len(x) == size]
        gram = torch.stack([wide[i] @ wide[i].T for i in chosen])
        product = one = torch.eye(size, device=gram.device).expand_as(gram)
        for a, b, c in COEFFICIENTS:
            polynomial = a * one + (b * one + c * gram) @ gram
            product = polynomial @ product
            gram = polynomial @ gram @ polynomial
        for i, factor in zip(chosen, product):
            wide[i] = factor @ wide[i]
    return [x if matrix.shape[0] <= matrix.shape[1] else x.T for matrix, x in zip(matrices, wide)]


class Optimizer:
    """Muon for groups with "muon", AdamW for the others, and a moving average of all parameters.

    A group has "params", "peak" (the rate, before `factor`) and "weight_decay". Gradients keep
    their memory and are zero between steps.
    """

    BETAS = (0.9, 0.99)

    def __init__(self, groups, averaged=None):
        """`averaged` is a copy of each group's parameters, in the same order."""
        self.groups = [{"muon": False, "weight_decay": 0.0} | group for group in groups]
        self.parameters = [p for group in self.groups for p in group["params"]]
        self.averaged = averaged or []
        for p in self.parameters:
            p.grad = torch.zeros_like(p)
        self.means = [[torch.zeros_like(p) for p in group["params"]] for group in self.groups]
        self.squares = [
            [] if group["muon"] else [torch.zeros_like(p) for p in group["params"]]
            for group in self.groups
        ]
        # Numbers that change from step to step, on the parameters' device.
        self.factor, self.blend, self.steps = (
            torch.zeros((), device=self.parameters[0].device) for _ in range(3)
        )
        # No effect: factor and gradients are zero.
        self._replayed = parallel.replayed(self._update)
        self.steps.zero_()

    def step(self, factor, blend=0.0):
        """One step at this share of the rates.

        The averages move by `blend` towards the parameters.
        """
        parallel.average(self.parameters)
        self.factor.fill_(factor)
        self.blend.fill_(blend)
        self._replayed()

    @torch.no_grad()
    def _update(self):
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.steps += 1
        for group, means, squares in zip(self.groups, self.means, self.squares):
            if group["params"]:
                rate = self.factor * group["peak"]
                torch._foreach_mul_(group["params"], 1 - rate * group["weight_decay"])
                grads = [p.grad for p in group["params"]]
                if group["muon"]:
                    self._muon(group["params"], grads, means, rate)
                else:
                    self._adam(group["params"], grads, means, squares, rate)
        torch._foreach_zero_([p.grad for p in self.parameters])
        if self.averaged:
            ahead = torch._foreach_sub(self.parameters, self.averaged)
            torch._foreach_mul_(ahead, self.blend)
            torch._foreach_add_(self.averaged, ahead)

    def _adam(self, parameters, grads, means, squares, rate):
        fast, slow = self.BETAS
        torch._foreach_lerp_(means, grads, 1 - fast)
        torch._foreach_lerp_(squares, torch._foreach_mul(grads, grads), 1 - slow)
        roots = torch._foreach_sqrt(torch._foreach_mul(squares, 1 / (1 - slow**self.steps)))
        torch._foreach_add_(roots, 1e-8)
        updates = torch._foreach_div(means, roots)
        torch._foreach_mul_(updates, rate / (1 - fast**self.steps))
        torch._foreach_sub_(parameters, updates)

    def _muon(self, parameters, grads, means, rate):
        torch._foreach_lerp_(means, grads, 0.05)
        ahead = [update.flatten(1) for update in torch._foreach_lerp(grads, means, 0.95)]
        shared = dist.is_initialized()
        mine, load = [], [0] * (parallel.WORKERS if shared else 1)
        # Stable, so equal in every worker.
        for i in sorted(range(len(parameters)), key=lambda i: cost(parameters[i]), reverse=True):
            owner = load.index(min(load))
            load[owner] += cost(parameters[i])
            if owner == parallel.rank():
                mine.append(i)
        updates = dict(zip(mine, orthogonalized([ahead[i] for i in mine])))
        if shared:
            flat = torch.cat(
                [
                    (updates[i] if i in updates else torch.zeros_like(x)).reshape(-1)
                    for i, x in enumerate(ahead)
                ]
            )
            dist.all_reduce(flat)
            updates = {
                i: part.view_as(ahead[i])
                for i, part in enumerate(flat.split([x.numel() for x in ahead]))
            }
        for i, p in enumerate(parameters):
            rows, columns = updates[i].shape
            p.sub_(updates[i].reshape(p.shape) * (rate * max(1, rows / columns) ** 0.5))

    def state_dict(self):
        return {"steps": self.steps, "means": self.means, "squares": self.squares}

    def load_state_dict(self, state):
        self.steps.copy_(state["steps"])
        for ours, theirs in zip(self.means + self.squares, state["means"] + state["squares"]):
            for tensor, value in zip(ours, theirs):
                tensor.copy_(value)


def of(network, averaged, muon, lr, weight_decay=0.0):
    """The optimizer of a network and its moving average.

    Muon at the rate `muon` (0: not used) for the inner matrices, AdamW for the rest.
    """
    inner = [muon and p.ndim > 1 and min(p.shape[:2]) > 8 for p in network.parameters()]

    def chosen(parameters, which):
        return [p for p, inside in zip(parameters, inner) if bool(inside) == which]

    groups = [
        {
            "params": chosen(network.parameters(), True),
            "muon": True,
            "peak": muon,
            "weight_decay": weight_decay,
        },
        {"params": chosen(network.parameters(), False), "peak": lr},
    ]
    return Optimizer(
        groups, chosen(averaged.parameters(), True) + chosen(averaged.parameters(), False)
    )


def factor(step, steps, decay, warmup=50):
    """Share of the peak rate at a step.

    Constant after a short warm-up, falling to zero over the last `decay` steps. To train longer,
    resume from a checkpoint before the fall, with more `steps`.
    """
    return min(1.0, (step + 1) / warmup, max(0.0, (steps - step) / max(1, decay)))
