"""Object recognition: the joint energy of a class and an image."""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn

from ebmkit import chance
from ebmkit._checks import SampleShape, as_shape, as_tensor, check_event, check_kind
from ebmkit.applications._shared import check_labels, minimize
from ebmkit.energy import EnergyModel


class JointEnergy(EnergyModel):
    """E(y, x) of a class y and an image x; as an energy of x alone it sums the classes out.

        E(x) = -log Σ_y exp(-E(y, x)),   p(y | x) = exp(-E(y, x) + E(x))

    Parameters
    ----------
    class_energies:
        Maps x, `(..., *event_shape)`, to E(0, x) … E(C-1, x), `(..., C)`: any network (its outputs are -logits),
        `LinearClassEnergies` or `QuadraticClassEnergies`.
    n_classes:
        C.
    event_shape, values:
        Of x, as in `EnergyModel`.

    Source: LeCun et al. (2006), "A tutorial on energy-based learning"; Grathwohl et al. (2020), JEM.

    >>> import torch
    >>> from ebmkit import applications
    >>> table = torch.tensor([[0.0, 1.0], [1.0, 0.0]])  # E(y, x) of two classes and one bit
    >>> joint = applications.JointEnergy(lambda x: table[x[..., 0].long()], 2, (1,), values=(0.0, 1.0))
    >>> joint.class_log_prob(torch.tensor([0.0])).exp()
    tensor([0.7311, 0.2689])
    """

    def __init__(
        self,
        class_energies: Callable[[Tensor], Tensor],
        n_classes: int,
        event_shape: SampleShape,
        values: tuple[float, ...] | None = None,
    ) -> None:
        super().__init__()
        self.class_energies = class_energies
        self.n_classes = n_classes
        self.event_shape = as_shape(event_shape, "event_shape")
        self.values = values

    def joint_energies(self, x: Tensor) -> Tensor:
        """E(y, x) for every class y, `(..., *event_shape)` to `(..., C)`.

        Raises `ValueError` where the class energies have another shape.
        """
        check_event(x, self.event_shape)
        energies = self.class_energies(x)
        expected = (*x.shape[: x.dim() - len(self.event_shape)], self.n_classes)
        if energies.shape != expected:
            raise ValueError(f"class_energies must give shape {expected}, got {tuple(energies.shape)}")
        return energies

    def joint_energy(self, y: Tensor, x: Tensor) -> Tensor:
        """E(y, x) with classes y, int64 `(...)`, and x `(..., *event_shape)`; returns `(...)`."""
        check_labels(y, self.n_classes)
        energies = self.joint_energies(x)
        return energies.gather(-1, y.long().expand(energies.shape[:-1]).unsqueeze(-1)).squeeze(-1)

    def energy(self, x: Tensor) -> Tensor:
        """-log Σ_y exp(-E(y, x)): low where x looks like any class; `(..., *event_shape)` to `(...)`."""
        return -(-self.joint_energies(x)).logsumexp(-1)

    def class_log_prob(self, x: Tensor) -> Tensor:
        """log p(y | x) for every y, `(..., C)`; the sum over classes is the only normalizer it needs."""
        return (-self.joint_energies(x)).log_softmax(-1)

    def classify(self, x: Tensor) -> Tensor:
        """argmin_y E(y, x), int64 `(...)`: no normalizer at all."""
        return self.joint_energies(x).argmin(-1)

    def conditional(self, y: int) -> "ClassConditional":
        """p(x | y) ∝ exp(-E(y, x)) as an energy of x: give it to any sampler to draw images of class y."""
        return ClassConditional(self, y)


class ClassConditional(EnergyModel):
    """One class of a joint energy, E(x) = E(y, x) with y fixed.

    Raises `ValueError` where y is no class.

    >>> import torch
    >>> from ebmkit import applications, enumeration
    >>> table = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> joint = applications.JointEnergy(lambda x: table[x[..., 0].long()], 2, (1,), values=(0.0, 1.0))
    >>> enumeration.probabilities(joint.conditional(0))
    tensor([0.7311, 0.2689], dtype=torch.float64)
    """

    def __init__(self, joint: JointEnergy, y: int) -> None:
        super().__init__()
        if not 0 <= y < joint.n_classes:
            raise ValueError(f"y must be one of 0 … {joint.n_classes - 1}, got {y}")
        self.joint = joint
        self.y = y
        self.event_shape, self.values = joint.event_shape, joint.values

    def energy(self, x: Tensor) -> Tensor:
        """E(y, x), `(..., *event_shape)` to `(...)`."""
        return self.joint.joint_energies(x)[..., self.y]


class LinearClassEnergies(nn.Module):
    """E(y, x) = -(w_y·x + b_y), starting from zero: with `fit_classifier`, logistic regression.

    >>> import torch
    >>> from ebmkit import applications
    >>> applications.LinearClassEnergies(3, (4,))(torch.zeros(2, 4, dtype=torch.float64)).shape
    torch.Size([2, 3])
    """

    def __init__(self, n_classes: int, event_shape: SampleShape, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        shape = as_shape(event_shape, "event_shape")
        self.n_axes = len(shape)
        self.weight = nn.Parameter(torch.zeros(n_classes, math.prod(shape), dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(n_classes, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """`(..., *event_shape)` to `(..., C)`."""
        check_kind(x, self.weight)
        return -(_flat(x, self.n_axes) @ self.weight.T + self.bias)


class QuadraticClassEnergies(nn.Module):
    """E(y, x) = b_y + ½ |L_y⁻¹ (x - μ_y)|²: a Gaussian for each class, where Σ_y = L_y L_yᵀ.

    With b_y = ½ log det 2πΣ_y - log π_y, as `fit` sets it, exp(-E(y, x)) is the normalized joint density.

    Parameters
    ----------
    mean, covariance_factor, offset:
        μ `(C, D)`, the lower triangular L `(C, D, D)` and b `(C,)`.
    event_shape:
        The shape of one x, with D entries.

    Raises `ValueError` where the shapes of `mean`, `covariance_factor` and `offset` do not fit.

    >>> import torch
    >>> from ebmkit import applications
    >>> generator = torch.Generator().manual_seed(0)
    >>> energies = applications.QuadraticClassEnergies(torch.zeros(2, 1), torch.ones(2, 1, 1), torch.zeros(2), (1,))
    >>> energies(torch.tensor([[2.0]])).detach()
    tensor([[2., 2.]])
    >>> energies.sample(0, 5, generator=generator).shape
    torch.Size([5, 1])
    """

    def __init__(
        self, mean: Tensor, covariance_factor: Tensor, offset: Tensor, event_shape: SampleShape
    ) -> None:
        super().__init__()
        self.event_shape = as_shape(event_shape, "event_shape")
        mean, covariance_factor, offset = (
            as_tensor(x, name=name)
            for name, x in (("mean", mean), ("covariance_factor", covariance_factor), ("offset", offset))
        )
        c, d = len(offset) if offset.dim() else 0, math.prod(self.event_shape)
        if not (tuple(mean.shape), tuple(covariance_factor.shape), tuple(offset.shape)) == (
            (c, d),
            (c, d, d),
            (c,),
        ):
            raise ValueError(
                f"mean must be (C, D), covariance_factor (C, D, D) and offset (C,) with D = {d}, got "
                f"{tuple(mean.shape)}, {tuple(covariance_factor.shape)} and {tuple(offset.shape)}"
            )
        self.mean = nn.Parameter(mean)
        self.covariance_factor = nn.Parameter(covariance_factor)
        self.offset = nn.Parameter(offset)

    @staticmethod
    def fit(
        images: Tensor, labels: Tensor, n_classes: int, shrinkage: float = 0.1
    ) -> "QuadraticClassEnergies":
        """The Gaussians of largest likelihood, each covariance pulled to a multiple of the identity.

        Σ_y = (1 - s) S_y + s (tr S_y / D) I. `images` `(n, *event_shape)`, `labels` int `(n,)`. Raises
        `ValueError` where a class has no images, or where one does not vary at all.
        """
        _check_data(images, labels, n_classes)
        if not 0 <= shrinkage <= 1:
            raise ValueError(f"shrinkage must be in [0, 1], got {shrinkage}")
        x = images.flatten(1)
        groups = [x[labels == y] for y in range(n_classes)]
        covariances = [_shrunk_covariance(group, shrinkage, y) for y, group in enumerate(groups)]
        factor = torch.linalg.cholesky(torch.stack(covariances))
        half_log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        shares = torch.tensor([len(group) / len(x) for group in groups]).to(x)
        offset = half_log_det + 0.5 * x.shape[1] * math.log(2 * math.pi) - shares.log()
        return QuadraticClassEnergies(
            torch.stack([g.mean(0) for g in groups]), factor, offset, images.shape[1:]
        )

    def forward(self, x: Tensor) -> Tensor:
        """`(..., *event_shape)` to `(..., C)`."""
        difference = _flat(x, len(self.event_shape)).unsqueeze(-2) - self.mean
        solved: Tensor = torch.linalg.solve_triangular(
            self.covariance_factor, difference.unsqueeze(-1), upper=False
        )
        return self.offset + 0.5 * (solved.squeeze(-1) ** 2).sum(-1)

    @torch.no_grad()
    def sample(self, y: int, sample_shape: SampleShape, *, generator: Generator) -> Tensor:
        """Exact samples of class y, `(*sample_shape, *event_shape)`."""
        shape = as_shape(sample_shape)
        noise = chance.normal(self.mean[y].expand(*shape, -1).contiguous(), generator=generator)
        return (self.mean[y] + noise @ self.covariance_factor[y].T).reshape(*shape, *self.event_shape)


def _shrunk_covariance(group: Tensor, shrinkage: float, y: int) -> Tensor:
    centred = group - group.mean(0)
    covariance = centred.T @ centred / len(group)
    scale = covariance.diagonal().mean()
    shrunk = (1 - shrinkage) * covariance + shrinkage * scale * torch.eye(len(covariance)).to(group)
    if int(torch.linalg.cholesky_ex(shrunk)[1]) != 0:
        raise ValueError(
            f"class {y} has too few or too equal images ({len(group)}) for a covariance with shrinkage "
            f"{shrinkage}; raise shrinkage"
        )
    return shrunk


def fit_classifier(
    joint: JointEnergy, images: Tensor, labels: Tensor, l2: float = 1e-3, max_iterations: int = 200
) -> dict[str, list[float]]:
    """Train E(y, x) to predict y: minimize mean -log p(y | x) + ½ l2 |parameters|² by L-BFGS.

    `images` `(n, *event_shape)`, `labels` int `(n,)`. Returns the history: `loss`, the objective at each
    evaluation.

    >>> import torch
    >>> from ebmkit import applications
    >>> joint = applications.JointEnergy(applications.LinearClassEnergies(2, (1,)), 2, (1,))
    >>> x, y = torch.tensor([[-1.0], [1.0]], dtype=torch.float64), torch.tensor([0, 1])
    >>> history = applications.fit_classifier(joint, x, y)
    >>> joint.classify(x).tolist(), history["loss"][-1] < history["loss"][0]
    ([0, 1], True)
    """
    _check_data(images, labels, joint.n_classes)

    def loss() -> Tensor:
        return -joint.class_log_prob(images).gather(-1, labels.long()[:, None]).mean()

    return {"loss": minimize(joint, loss, l2, max_iterations)}


def _flat(x: Tensor, n_axes: int) -> Tensor:
    """x with its last `n_axes` axes made one."""
    return x.flatten(x.dim() - n_axes) if n_axes else x.unsqueeze(-1)


def _check_data(images: Tensor, labels: Tensor, n_classes: int) -> None:
    if len(images) == 0 or labels.shape != images.shape[:1]:
        raise ValueError(
            "images (n, ...) and labels (n,) must be as many and at least one, "
            f"got {tuple(images.shape)} and {tuple(labels.shape)}"
        )
    if not images.is_floating_point() or not bool(images.isfinite().all()):
        raise ValueError(f"images must be finite floating-point numbers, got {images.dtype}")
    check_labels(labels, n_classes)
    missing = sorted(set(range(n_classes)) - set(labels.tolist()))
    if missing:
        raise ValueError(f"every class needs at least one image, got none of {missing}")
