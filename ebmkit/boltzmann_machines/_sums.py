"""Sums over all states of some bits: exact log Z in constant memory, with its gradient."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ebmkit._checks import check_count
from ebmkit._threads import as_many_threads_as_torch

MOST_SUMMED_UNITS = 25

_STATES_AT_ONCE = 2**12

_WORTH_COMPILING = 2**24
_FEW_ELEMENTS = 2**16


def bit_states(n: int, device: torch.device | None = None) -> Tensor:
    """All 2^n vectors of n bits in counting order, the last unit fastest; `(2^n, n)`, float64.

    >>> from ebmkit import boltzmann_machines
    >>> boltzmann_machines.bit_states(2)
    tensor([[0., 0.],
            [0., 1.],
            [1., 0.],
            [1., 1.]], dtype=torch.float64)
    """
    check_count("n", n, 0)
    return _bits(torch.arange(2**n, device=device), n)


def softplus(x: Tensor) -> Tensor:
    """log(1 + e^x) to full precision; torch's default turns linear at 20, where e^-20 is still 2e-9."""
    return functional.softplus(x, threshold=40.0)


def _bits(index: Tensor, n: int) -> Tensor:
    return (index[:, None] >> torch.arange(n - 1, -1, -1, device=index.device) & 1).double()


def product_of_bits(field: Tensor, states: Tensor) -> Tensor:
    """p(x) = Π_i σ(field_i)^{x_i} σ(-field_i)^{1-x_i} for all rows of `field` and all rows x of `states`."""
    on, off = functional.logsigmoid(field), functional.logsigmoid(-field)
    return (on @ states.T + off @ (1 - states).T).exp()


def bipartite_log_partition(a: Tensor, W: Tensor, b: Tensor) -> Tensor:
    """log Σ_{v,h} exp(a·v + b·h + v·W h), the smaller side enumerated, the larger in closed form."""
    if W.shape[1] > W.shape[0]:
        a, W, b = b, W.T, a
    n = W.shape[1]
    if n > MOST_SUMMED_UNITS:
        raise ValueError(
            f"the exact log Z enumerates the smaller side, at most {MOST_SUMMED_UNITS} units, got {n};"
            ' use log_partition(model, method="ais")'
        )
    a, W, b = a.double(), W.double(), b.double()
    return log_sum_over_bits(_closed_form_term, n, a, W, b, value=_log_sum_by_products(a, W, b))


def _closed_form_term(h: Tensor, a: Tensor, W: Tensor, b: Tensor) -> Tensor:
    return h @ b + softplus(functional.linear(h, W, a)).sum(-1)


def _log_sum_by_products(a: Tensor, W: Tensor, b: Tensor) -> float | None:
    """The compiled sum where it pays and can be had; None leaves it to torch."""
    if a.device.type != "cpu" or len(a) << W.shape[1] < _WORTH_COMPILING:
        return None
    try:
        from ebmkit.boltzmann_machines._product_expansion import log_sum
    except ImportError:
        return None
    with as_many_threads_as_torch():
        try:
            return log_sum(*(p.detach().numpy() for p in (a, W, b)))
        except RuntimeError:  # inside torch.func, whose tensors have no memory of their own
            return None


def log_sum_over_bits(
    term: Callable[..., Tensor], n: int, *parameters: Tensor, value: float | None = None
) -> Tensor:
    """log Σ_h exp(term(h, *parameters)) over all h of n bits, in constant memory; `value` if known."""
    if (
        value is None and parameters[0].numel() << n <= _FEW_ELEMENTS
    ):  # a plain sum, for any kind of derivative
        return torch.logsumexp(
            term(_bits(torch.arange(2**n, device=parameters[0].device), n), *parameters), 0
        )
    return torch.as_tensor(_LogSumOverBits.apply(term, n, value, *parameters))  # type: ignore[no-untyped-call]


class _LogSumOverBits(torch.autograd.Function):
    """Its gradient is the mean of the term's gradient under p(h) ∝ exp(term), streamed as the sum is.

    The gradient can be differentiated again, which keeps the graph of every block.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(term: Callable[..., Tensor], n: int, value: float | None, *parameters: Tensor) -> Tensor:
        if value is not None:
            return parameters[0].new_tensor(value)
        sums = [torch.logsumexp(term(h, *parameters), 0) for h in _bit_blocks(n, parameters[0].device)]
        return torch.logsumexp(torch.stack(sums), 0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.term, ctx.n, _, *parameters = inputs
        ctx.save_for_backward(output, *parameters)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        total, *parameters = ctx.saved_tensors
        gradients = [torch.zeros_like(p) for p in parameters]
        for h in _bit_blocks(ctx.n, total.device):
            terms, pull = torch.func.vjp(functools.partial(ctx.term, h), *parameters)[:2]
            gradients = [g + part for g, part in zip(gradients, pull((terms - total).exp()))]
        return (None, None, None, *(gradient * upstream[0] for gradient in gradients))


def _bit_blocks(n: int, device: torch.device) -> Iterator[Tensor]:
    for start in range(0, 2**n, _STATES_AT_ONCE):
        yield _bits(torch.arange(start, min(start + _STATES_AT_ONCE, 2**n), device=device), n)
