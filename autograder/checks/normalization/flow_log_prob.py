"""Exercise 4: the change of variables of a flow."""

import math

import numpy as np
import torch

from autograder.exercises.attempt import Attempt
from autograder.exercises.draws import uniform
from autograder.exercises.exercise import Exercise
from autograder.sandbox.worker.codec import Source, Tensor

from .definitions import Call, flow_log_prob_of

flow_log_prob = Exercise("flow_log_prob", "The change of variables of a flow", flow_log_prob_of)


def batch(rng: np.random.Generator, n: int, d: int, dtype: type = np.float64) -> Tensor:
    return Tensor(rng.normal(0, 1, (n, d)).astype(dtype))


def affine(rng: np.random.Generator, d: int, orientation: float, dtype: type = np.float64) -> Source:
    """z = A x + b with a full matrix whose determinant has the sign asked for and is not near 1."""
    matrix = rng.normal(0, 0.4, (d, d)) + 1.8 * np.eye(d)
    while abs(abs(np.linalg.det(matrix)) - 1) < 0.3:
        matrix *= 1.3
    if np.sign(np.linalg.det(matrix)) != orientation:
        matrix[0] *= -1
    return Source(
        "lambda x: x @ A.T + b", A=Tensor(matrix.astype(dtype)), b=Tensor(rng.normal(0, 0.5, d).astype(dtype))
    )


def coupling(rng: np.random.Generator, d: int, split: int, dtype: type = np.float64) -> Source:
    """The first coordinates pass unchanged and steer the scale and shift of the others; then all mix."""
    rest = d - split
    while abs(np.linalg.det(mix := rng.normal(0, 1.0, (d, d)))) < 0.3:
        pass
    return Source(
        "lambda x: torch.cat([x[..., :k], x[..., k:] * torch.exp(torch.tanh(x[..., :k] @ W) + s)"
        " + x[..., :k] @ V], -1) @ mix.T",
        k=split,
        W=Tensor(rng.normal(0, 0.8, (split, rest)).astype(dtype)),
        V=Tensor(rng.normal(0, 0.8, (split, rest)).astype(dtype)),
        s=uniform(rng, 0.3, 0.8),
        mix=Tensor(mix.astype(dtype)),
    )


def bend(rng: np.random.Generator, d: int) -> Source:
    """Each coordinate by itself, with a slope that is never 1."""
    slope = rng.uniform(1.3, 2.5, d) * rng.choice([-1.0, 1.0], d)
    return Source("lambda x: torch.sinh(x) * a + b", a=Tensor(slope), b=Tensor(rng.normal(0, 1, d)))


@flow_log_prob.check(7, "affine flows, with full matrices of either orientation")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    cases = [(2, 1.0), (3, -1.0), (4, 1.0)]
    attempt.compare([(affine(rng, d, side), batch(rng, 4, d)) for d, side in cases])


@flow_log_prob.check(7, "coupling flows, where every row has a Jacobian of its own")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    attempt.compare([(coupling(rng, d, k), batch(rng, 5, d)) for d, k in [(2, 1), (4, 2)]])


@flow_log_prob.check(3, "one row, one dimension, and float32")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    attempt.compare([(bend(rng, 1), batch(rng, n, 1)) for n in (1, 4)] + [(bend(rng, 3), batch(rng, 1, 3))])
    single: list[Call] = [
        (affine(rng, 3, side, np.float32), batch(rng, 4, 3, np.float32)) for side in (-1.0,)
    ]
    single.append((coupling(rng, 4, 2, np.float32), batch(rng, 3, 4, np.float32)))
    attempt.compare(single, rtol=1e-4, atol=1e-3)


@flow_log_prob.check(3, "twenty dimensions, where the determinant itself overflows or underflows")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls: list[Call] = []
    for power in (17.0, -17.0):
        scale = 10.0 ** rng.uniform(power - 0.5, power + 0.5, 20)
        shrunk = Tensor(rng.normal(0, 1, (2, 20)) / scale)
        calls.append((Source("lambda x: (x * a).flip(-1)", a=Tensor(scale)), shrunk))
    attempt.compare(calls)


@flow_log_prob.mistake("The log-determinant is missing: it pays for the stretching of space.")
def forgets_the_determinant(to_latent, x):
    z = to_latent(x)
    return -0.5 * (z**2).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi)


@flow_log_prob.mistake(
    "The sign: where T stretches space, x is packed more densely than z. Add log |det ∂T/∂x|."
)
def subtracts_the_log_determinant(to_latent, x):
    x = x.detach().requires_grad_(True)
    z = to_latent(x)
    rows = [torch.autograd.grad(c.sum(), x, retain_graph=True)[0] for c in z.unbind(1)]
    log_det = torch.linalg.slogdet(torch.stack(rows, 1)).logabsdet
    return -0.5 * (z**2).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi) - log_det


@flow_log_prob.mistake("The Gaussian is evaluated at x; it is z = T(x) that is Gaussian.")
def evaluates_the_gaussian_at_x(to_latent, x):
    x = x.detach().requires_grad_(True)
    rows = [torch.autograd.grad(c.sum(), x, retain_graph=True)[0] for c in to_latent(x).unbind(1)]
    log_det = torch.linalg.slogdet(torch.stack(rows, 1)).logabsdet
    return -0.5 * (x**2).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi) + log_det


@flow_log_prob.mistake(
    "The Gaussian's own normalizer, D/2 log 2π, is missing or counted for one dimension only."
)
def leaves_out_the_gaussian_normalizer(to_latent, x):
    x = x.detach().requires_grad_(True)
    z = to_latent(x)
    rows = [torch.autograd.grad(c.sum(), x, retain_graph=True)[0] for c in z.unbind(1)]
    return -0.5 * (z**2).sum(1) + torch.linalg.slogdet(torch.stack(rows, 1)).logabsdet


@flow_log_prob.mistake("A determinant can be negative and its log NaN: take the absolute value first.")
def takes_the_log_of_a_signed_determinant(to_latent, x):
    x = x.detach().requires_grad_(True)
    z = to_latent(x)
    rows = [torch.autograd.grad(c.sum(), x, retain_graph=True)[0] for c in z.unbind(1)]
    sign, log_abs = torch.linalg.slogdet(torch.stack(rows, 1))
    log_det = torch.where(sign > 0, log_abs, float("nan"))
    return -0.5 * (z**2).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi) + log_det


@flow_log_prob.mistake(
    "The product of the diagonal is the determinant of triangular matrices only. Take the whole Jacobian."
)
def uses_the_diagonal_of_the_jacobian(to_latent, x):
    x = x.detach().requires_grad_(True)
    z = to_latent(x)
    rows = [torch.autograd.grad(c.sum(), x, retain_graph=True)[0] for c in z.unbind(1)]
    diagonal = torch.stack(rows, 1).diagonal(dim1=1, dim2=2)
    log_det = diagonal.abs().log().sum(1)
    return -0.5 * (z**2).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi) + log_det


@flow_log_prob.mistake(
    "The gradient of the sum of all outputs adds up the rows of each Jacobian; take one output at a time."
)
def differentiates_the_sum_of_all_outputs(to_latent, x):
    x = x.detach().requires_grad_(True)
    z = to_latent(x)
    (slope,) = torch.autograd.grad(z.sum(), x)
    log_det = slope.abs().log().sum(1)
    return (-0.5 * (z**2).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi) + log_det).detach()


@flow_log_prob.mistake("A product of many slopes overflows. Take its log at once: `torch.linalg.slogdet`.")
def takes_the_log_after_the_determinant(to_latent, x):
    x = x.detach().requires_grad_(True)
    z = to_latent(x)
    rows = [torch.autograd.grad(c.sum(), x, retain_graph=True)[0] for c in z.unbind(1)]
    log_det = torch.stack(rows, 1).det().abs().log()
    return -0.5 * (z**2).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi) + log_det


@flow_log_prob.mistake("Each row has a Jacobian of its own: the first row's does not serve for all.")
def uses_the_jacobian_of_the_first_row_for_all(to_latent, x):
    x = x.detach().requires_grad_(True)
    z = to_latent(x)
    rows = [torch.autograd.grad(z[0, i], x, retain_graph=True)[0][0] for i in range(x.shape[1])]
    log_det = torch.linalg.slogdet(torch.stack(rows)).logabsdet
    return -0.5 * (z**2).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi) + log_det


@flow_log_prob.alternative
def flow_row_by_row(to_latent, x):
    results = []
    for row in x:
        jacobian = torch.autograd.functional.jacobian(lambda r: to_latent(r[None])[0], row)
        normal = torch.distributions.Normal(0.0, 1.0)
        z = to_latent(row[None])[0]
        results.append(normal.log_prob(z).sum() + torch.linalg.slogdet(jacobian)[1])
    return torch.stack(results)


@flow_log_prob.alternative
def flow_by_the_jacobian_of_the_whole_batch(to_latent, x):
    n, d = x.shape
    full = torch.autograd.functional.jacobian(to_latent, x)
    each = full[torch.arange(n), :, torch.arange(n), :]
    z = to_latent(x)
    singular = torch.linalg.svdvals(each)
    return singular.log().sum(-1) - (z.pow(2).sum(-1) + d * math.log(2 * math.pi)) / 2


@flow_log_prob.alternative
def flow_by_triangular_factors(to_latent, x):
    x = x.clone().requires_grad_(True)
    z = to_latent(x)
    jacobian = torch.zeros(x.shape[0], x.shape[1], x.shape[1], dtype=x.dtype)
    for i in range(x.shape[1]):
        jacobian[:, i] = torch.autograd.grad(z[:, i].sum(), x, retain_graph=True)[0]
    factor = torch.linalg.qr(jacobian).R
    log_det = factor.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)
    normalizer = x.shape[1] / 2 * np.log(2 * np.pi)
    return (log_det - normalizer - 0.5 * torch.einsum("bd,bd->b", z, z)).detach()


@flow_log_prob.alternative
def flow_by_all_gradients_at_once(to_latent, x):
    x = x.clone().requires_grad_()
    z = to_latent(x)
    directions = torch.eye(x.shape[1], dtype=z.dtype)[:, None, :].expand(-1, len(x), -1)
    (rows,) = torch.autograd.grad(z, x, directions, retain_graph=True, is_grads_batched=True)
    log_det = torch.linalg.slogdet(rows.permute(1, 0, 2))[1]
    return log_det - 0.5 * (z * z + math.log(2 * math.pi)).sum(1)
