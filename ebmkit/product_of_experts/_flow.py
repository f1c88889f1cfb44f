"""A normalizing flow: a Gaussian seen through layers that can be inverted."""

import math

import torch
from torch import Generator, Tensor, nn

from ebmkit import chance
from ebmkit._checks import (
    SampleShape,
    as_shape,
    check_event,
    check_kind,
)
from ebmkit.energy import EnergyModel


class AffineCouplingFlow(EnergyModel):
    """A Gaussian seen through invertible layers, normalized for any parameters by the change of variables.

        log p(x) = log N(z(x); 0, I) + log |det ∂z/∂x|,   each layer: z_b = x_b exp s(x_a) + t(x_a), z_a = x_a

    The coordinates x_a of a layer's mask pass unchanged and steer the others; s is bounded by ±2, so no layer
    explodes. A first elementwise layer centres and scales. Masks alternate between the even and the odd
    coordinates (for an image of two dimensions, the two colours of a checkerboard).
    Source: Dinh, Sohl-Dickstein & Bengio (2017), "Density estimation using Real NVP".

    Raises `ValueError` for the event shape `()`.

    >>> import torch
    >>> from ebmkit import product_of_experts
    >>> generator = torch.Generator().manual_seed(0)
    >>> flow = product_of_experts.AffineCouplingFlow((2,), generator=generator)
    >>> z, log_det = flow.to_latent(flow.sample(5, generator=generator))
    >>> z.shape, log_det.shape
    (torch.Size([5, 2]), torch.Size([5]))
    """

    def __init__(
        self,
        event_shape: SampleShape,
        n_layers: int = 4,
        n_hidden: int = 32,
        dtype: torch.dtype = torch.float64,
        *,
        generator: Generator,
    ) -> None:
        super().__init__()
        self.event_shape = as_shape(event_shape, "event_shape")
        if not self.event_shape:
            raise ValueError("a flow needs at least one axis, got event_shape (); use (1,)")
        n = math.prod(self.event_shape)
        parity = torch.stack(torch.meshgrid(*map(torch.arange, self.event_shape), indexing="ij")).sum(0) % 2
        even = (parity.reshape(-1) == 0).to(dtype)
        self.masks: Tensor
        self.register_buffer(
            "masks", torch.stack([even if k % 2 == 0 else 1 - even for k in range(n_layers)])
        )
        self.shift = nn.Parameter(torch.zeros(n, dtype=dtype))
        self.log_scale = nn.Parameter(torch.zeros(n, dtype=dtype))
        self.networks = nn.ModuleList(_coupling_network(n, n_hidden, dtype) for _ in range(n_layers))
        initialize(self.networks, generator=generator)

    def to_latent(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z(x), `(..., n)`, and log |det ∂z/∂x|, `(...)`."""
        check_event(x, self.event_shape)
        z = x.flatten(x.dim() - len(self.event_shape))
        z = (z - self.shift) * (-self.log_scale).exp()
        check_kind(z, self.shift)  # a narrower x has been widened; a wider one would meet narrower weights
        log_det = -self.log_scale.sum().expand(z.shape[:-1])
        for mask, network in zip(self.masks, self.networks):
            s, t = _scale_and_shift(network, mask, z)
            z = z * s.exp() + t
            log_det = log_det + s.sum(-1)
        return z, log_det

    def from_latent(self, z: Tensor) -> Tensor:
        """The x with z(x) = z; `(..., n)` to `(..., *event_shape)`."""
        for mask, network in zip(self.masks.flip(0), reversed(list(self.networks))):
            s, t = _scale_and_shift(network, mask, z)
            z = (z - t) * (-s).exp()
        x = z * self.log_scale.exp() + self.shift
        return x.reshape(*z.shape[:-1], *self.event_shape)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), exact; `(..., *event_shape)` to `(...)`."""
        z, log_det = self.to_latent(x)
        return log_det - 0.5 * (z**2).sum(-1) - 0.5 * z.shape[-1] * math.log(2 * math.pi)

    def energy(self, x: Tensor) -> Tensor:
        """-log p(x): a normalized model is an energy with Z = 1. `(..., *event_shape)` to `(...)`."""
        return -self.log_prob(x)

    def exact_log_partition(self) -> Tensor:
        """log Z = 0, whatever the parameters; shape `()`."""
        return torch.zeros((), dtype=self.shift.dtype, device=self.shift.device)

    @torch.no_grad()
    def sample(self, sample_shape: SampleShape, *, generator: Generator) -> Tensor:
        """Exact, independent samples `(*sample_shape, *event_shape)`."""
        return self.from_latent(
            chance.normal(self.shift.expand(*as_shape(sample_shape), -1).contiguous(), generator=generator)
        )


def _coupling_network(n: int, n_hidden: int, dtype: torch.dtype) -> nn.Module:
    # skip_init: the weights are drawn from the caller's generator, never from torch's global one.
    first: nn.Module = nn.utils.skip_init(nn.Linear, n, n_hidden, dtype=dtype)  # type: ignore[no-untyped-call]
    second: nn.Module = nn.utils.skip_init(nn.Linear, n_hidden, 2 * n, dtype=dtype)  # type: ignore[no-untyped-call]
    return nn.Sequential(first, nn.Tanh(), second)


def _scale_and_shift(network: nn.Module, mask: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    s, t = network(z * mask).chunk(2, -1)
    return 2 * torch.tanh(s / 2) * (1 - mask), t * (1 - mask)


@torch.no_grad()
def initialize(module: nn.Module, *, generator: Generator) -> None:
    """Draw every matrix or filter from N(0, 1 / fan-in) with `generator`, and set every vector to zero."""
    for parameter in module.parameters():
        if parameter.dim() > 1:
            fan_in = parameter[0].numel()
            parameter.copy_(chance.normal(parameter.detach(), generator=generator) / math.sqrt(fan_in))
        else:
            parameter.zero_()
