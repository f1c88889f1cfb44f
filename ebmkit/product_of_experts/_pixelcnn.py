"""Experts on binary images: a PixelCNN, and densities read at the centre of a pixel's cell."""

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ebmkit import chance
from ebmkit._checks import SampleShape, as_shape, check_bits, check_event
from ebmkit.energy import EnergyModel
from ebmkit.normalization import bernoulli_log_prob
from ebmkit.product_of_experts._flow import initialize


class PixelCNN(EnergyModel):
    """An autoregressive model of binary images, normalized for any parameters (Z = 1).

        p(x) = Π_i p(x_i | x_1 … x_{i-1}) in raster order, by convolutions masked to see only the past

    x has shape `(..., height, width)` with values 0 and 1. A first 5×5 layer that leaves out its centre, then
    `n_blocks` residual 3×3 blocks. Pixels far to the upper right are in its blind spot: conditionals do not see
    them, but remain a probability. Source: van den Oord, Kalchbrenner & Kavukcuoglu (2016).

    >>> import torch
    >>> from ebmkit import product_of_experts
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = product_of_experts.PixelCNN((2, 2), generator=generator, n_channels=4, n_blocks=1)
    >>> model.sample(3, generator=generator).shape
    torch.Size([3, 2, 2])
    """

    values = (0.0, 1.0)

    def __init__(
        self,
        event_shape: tuple[int, int],
        n_channels: int = 24,
        n_blocks: int = 3,
        dtype: torch.dtype = torch.float32,
        *,
        generator: Generator,
    ) -> None:
        super().__init__()
        self.event_shape = event_shape
        self.first = nn.Parameter(torch.empty(n_channels, 1, 5, 5, dtype=dtype))
        self.blocks = nn.ParameterList(
            torch.empty(n_channels, n_channels, 3, 3, dtype=dtype) for _ in range(n_blocks)
        )
        self.block_biases = nn.ParameterList(torch.empty(n_channels, dtype=dtype) for _ in range(n_blocks))
        self.last = nn.Parameter(torch.empty(1, n_channels, 1, 1, dtype=dtype))
        # Where a pixel is matters as much as what is around it: a bias for each pixel of the first layer.
        self.place = nn.Parameter(torch.empty(n_channels * event_shape[0] * event_shape[1], dtype=dtype))
        initialize(self, generator=generator)

    def logits(self, x: Tensor) -> Tensor:
        """log p(x_i = 1 | past) - log p(x_i = 0 | past) for every pixel, the shape of x."""
        check_event(x, self.event_shape)
        images = x.to(self.first).reshape(-1, 1, *self.event_shape)
        h = functional.conv2d(images, self.first * _past(self.first, centre=False), padding=2)
        h = h + self.place.reshape(h.shape[1:])
        for weight, bias in zip(self.blocks, self.block_biases):
            h = h + functional.conv2d(
                functional.relu(h), weight * _past(weight, centre=True), bias, padding=1
            )
        return functional.conv2d(functional.relu(h), self.last).reshape(x.shape)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), exact; `(..., height, width)` to `(...)`. Raises `ValueError` where x is not bits."""
        check_bits(x)
        return bernoulli_log_prob(x, self.logits(x)).sum((-1, -2))

    def energy(self, x: Tensor) -> Tensor:
        """-log p(x): a normalized model is an energy with Z = 1, ready for Gibbs and for products.

        `(..., *event_shape)` to `(...)`.
        """
        return -self.log_prob(x)

    def exact_log_partition(self) -> Tensor:
        """log Z = 0, whatever the parameters; shape `()`."""
        return self.first.new_zeros(())

    @torch.no_grad()
    def sample(self, sample_shape: SampleShape, *, generator: Generator) -> Tensor:
        """Exact, independent samples `(*sample_shape, height, width)`, pixel by pixel."""
        shape = as_shape(sample_shape)
        x = self.first.new_zeros(math.prod(shape), *self.event_shape)
        for row in range(self.event_shape[0]):
            for column in range(self.event_shape[1]):
                probability = torch.sigmoid(self.logits(x)[:, row, column])
                x[:, row, column] = chance.bernoulli(probability, generator=generator).to(x)
        return x.reshape(*shape, *self.event_shape)


def _past(weight: Tensor, centre: bool) -> Tensor:
    """The mask of a filter `(…, k, k)`: 1 before the centre in raster order, and at it if `centre`."""
    k = weight.shape[-1]
    index = torch.arange(k * k, device=weight.device).reshape(k, k)
    middle = (k * k) // 2
    return (index <= middle if centre else index < middle).to(weight.dtype)


class AtCellCentres(EnergyModel):
    """A density of dequantized images (bits plus uniform noise) read at the bits: E(x) = E_density(x + ½).

    It makes a continuous expert, such as a flow, an energy over binary images: Z is no longer one, and as an
    expert in a product it does not have to be.

    >>> import torch
    >>> from ebmkit import annealing, product_of_experts
    >>> cells = product_of_experts.AtCellCentres(annealing.GaussianBase((1,), mean=0.5))
    >>> cells.energy(torch.zeros(1, dtype=torch.float64))
    tensor(0., dtype=torch.float64)
    """

    values = (0.0, 1.0)

    def __init__(self, density: EnergyModel) -> None:
        super().__init__()
        self.density = density
        self.event_shape = density.event_shape

    def energy(self, x: Tensor) -> Tensor:
        """E_density at the centre of the cell [x, x + 1], `(..., *event_shape)` to `(...)`."""
        return self.density.energy(x + 0.5)
