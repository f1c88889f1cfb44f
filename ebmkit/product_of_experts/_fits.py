"""Maximum likelihood for the two experts that know their log-probability."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit._checks import as_tensor, check_bits, check_count, check_event, check_positive
from ebmkit._models import check_is_one_of
from ebmkit.product_of_experts._flow import AffineCouplingFlow
from ebmkit.product_of_experts._pixelcnn import PixelCNN


def fit_pixelcnn(
    model: PixelCNN,
    images: Tensor,
    n_epochs: int = 20,
    batch_size: int = 64,
    learning_rate: float = 0.003,
    *,
    generator: Generator,
) -> dict[str, list[float]]:
    """Maximum likelihood by Adam on binary images `(n, height, width)`.

    Returns the history: `loss`, the mean of -log p(x) in each epoch.
    1,797 digits of 8×8 take half a second an epoch on one core. Raises `ValueError` where `images` are empty or
    not bits.

    >>> import torch
    >>> from ebmkit import product_of_experts
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = product_of_experts.PixelCNN((2, 2), generator=generator, n_channels=4, n_blocks=1)
    >>> history = product_of_experts.fit_pixelcnn(model, torch.zeros(20, 2, 2), generator=generator, n_epochs=2)
    >>> len(history["loss"])
    2
    """
    check_is_one_of(model, (PixelCNN,), "fit_pixelcnn")
    images = as_tensor(images, name="images")
    check_bits(images)

    def draw(batch: Tensor) -> Tensor:
        return batch

    return _maximize_log_prob(
        model, images.to(model.first), draw, generator, n_epochs, batch_size, learning_rate
    )


def fit_flow(
    model: AffineCouplingFlow,
    images: Tensor,
    n_epochs: int = 40,
    batch_size: int = 64,
    learning_rate: float = 0.002,
    *,
    generator: Generator,
) -> dict[str, list[float]]:
    """Maximum likelihood by Adam on dequantized binary images, x + u with fresh u ~ U[0, 1) for each batch.

    `images` `(n, *event_shape)`, 0 or 1. Returns the history: `loss`, the mean of -log p(x + u) in each epoch,
    which bounds the best code length of the bits from above. The flow's first layer starts at the mean and
    spread of the data. Raises `ValueError` where `images` are empty or not bits.
    Source: Uria, Murray & Larochelle (2013).

    >>> import torch
    >>> from ebmkit import product_of_experts
    >>> generator = torch.Generator().manual_seed(0)
    >>> flow = product_of_experts.AffineCouplingFlow((2,), generator=generator, n_layers=2)
    >>> history = product_of_experts.fit_flow(flow, torch.zeros(20, 2).double(), generator=generator, n_epochs=2)
    >>> len(history["loss"])
    2
    """
    check_is_one_of(model, (AffineCouplingFlow,), "fit_flow")
    images = as_tensor(images, name="images")
    check_bits(images)
    images = images.to(model.shift)

    def draw(batch: Tensor) -> Tensor:
        return batch + chance.uniform(batch, generator=generator)

    if len(images) > 0:
        flat = images.flatten(1)
        with torch.no_grad():
            model.shift.copy_(flat.mean(0) + 0.5)
            model.log_scale.copy_(0.5 * (flat.var(0, correction=0) + 1 / 12).log())
    return _maximize_log_prob(model, images, draw, generator, n_epochs, batch_size, learning_rate)


def _maximize_log_prob(
    model: PixelCNN | AffineCouplingFlow,
    images: Tensor,
    draw: Callable[[Tensor], Tensor],
    generator: Generator,
    n_epochs: int,
    batch_size: int,
    learning_rate: float,
) -> dict[str, list[float]]:
    """Adam with a learning rate that falls to zero along a cosine."""
    check_event(images, model.event_shape)
    check_positive("learning_rate", learning_rate)
    check_count("batch_size", batch_size, 1)
    if check_count("n_epochs", n_epochs, 0) == 0:
        return {"loss": []}
    if len(images) == 0 or images.dim() != 1 + len(model.event_shape):
        raise ValueError(f"images must be (n, *{model.event_shape}) with n ≥ 1, got {tuple(images.shape)}")
    optimizer = torch.optim.Adam(model.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_epochs)
    history = []
    for _ in range(n_epochs):
        order = chance.uniform(images.new_empty(len(images)), generator=generator).argsort()
        total = 0.0
        for index in torch.split(order, batch_size):
            loss = -model.log_prob(draw(images[index])).mean()
            if not bool(loss.isfinite()):
                raise ArithmeticError(
                    f"the loss became {loss.item()}; lower the learning rate {learning_rate}"
                )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(index)
        schedule.step()
        history.append(total / len(images))
    return {"loss": history}
