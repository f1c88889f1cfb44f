"""Whether a model is what it says it is."""

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Generator, Tensor

from ebmkit import chance, enumeration, normalization
from ebmkit._checks import floating_tensor
from ebmkit._models import check_is_model
from ebmkit.conditioning import condition
from ebmkit.energy import EnergyModel
from ebmkit.product_of_experts import Mixture
from ebmkit.testing._enumerated_chance import Step, transition_matrix

FEW_STATES = 2**8
"""So many states are enumerated, and their transition matrices built."""


def check_model(model: EnergyModel, x: Tensor | None = None, seed: int = 0) -> tuple[str, ...]:
    """Hold a model to what the library relies on; returns the names of the checks that applied.

    Whatever the model offers beyond an energy is compared with exact answers where they can be had: a discrete
    model of few states by enumeration, a continuous one of one coordinate by quadrature.

    Parameters
    ----------
    model:
        Any `EnergyModel`. Make it float64 and small: exact answers are compared to 1e-9.
    x:
        Where to try it, `(n, *event_shape)` with n at least 2; random values, or standard normal, if not given.
        Give one where the density is not positive everywhere.
    seed:
        Of all that is drawn. The checks of `sample` fail by chance with probability below 1e-6.

    Raises `AssertionError`, saying what is wrong, at the first check that fails.

    >>> import torch
    >>> from ebmkit.ising import Ising
    >>> "gibbs_step leaves p invariant" in check_model(Ising((2, 2), 0.3))
    True
    """
    check_is_model(model, "check_model")
    generator = torch.Generator(floating_tensor(model).device).manual_seed(seed)
    x = _points(model, generator) if x is None else x
    done = []
    for name, check in _CHECKS:
        with torch.random.fork_rng(devices=[]):
            if check(model, x, generator) is not NotImplemented:
                done.append(name)
    return tuple(done)


def _points(model: EnergyModel, generator: Generator) -> Tensor:
    like = floating_tensor(model).new_empty(6, *model.event_shape)
    if model.values is None:
        return chance.normal(like, generator=generator)
    values = torch.tensor(model.values, dtype=like.dtype, device=like.device)
    p = torch.full((*like.shape, len(values)), 1 / len(values), dtype=torch.float64, device=like.device)
    return values[chance.categorical(p, generator=generator)]


def _close(found: Tensor, wanted: Tensor, what: str, tolerance: float = 1e-9) -> None:
    found, wanted = found.detach(), wanted.detach().to(found)
    assert found.shape == wanted.shape, f"{what}: shape {tuple(found.shape)}, not {tuple(wanted.shape)}"
    assert bool((found.isfinite() == wanted.isfinite()).all()), f"{what}: {found} where {wanted} is expected"
    off = torch.where(wanted.isfinite(), (found - wanted).abs() / (1 + wanted.abs()), 0.0)
    worst = float(off.max()) if off.numel() else 0.0
    assert worst <= tolerance, f"{what}: off by {worst:.3g} (relative to 1 + the right value)"


def _states(model: EnergyModel) -> Tensor | None:
    """All states, if they are few."""
    if model.values is None or model.batch_shape or enumeration.n_states(model) > FEW_STATES:
        return None
    return enumeration.states(model)


def _log_partition(model: EnergyModel) -> tuple[Tensor, float] | None:
    """log Z by enumeration or quadrature, and how far it may be off."""
    if _states(model) is not None:
        return enumeration.log_partition(model), 1e-9
    continuous = model.values is None and not getattr(model, "discrete", False)
    if continuous and tuple(model.event_shape) in ((), (1,)) and not model.batch_shape:
        value, error, _ = normalization.log_quadrature(model)
        return value, 1e-7 + 10 * float(error)
    return None


# --- the checks: each returns NotImplemented where the model does not offer what it is about


def _energies_have_the_shape_of_the_batch(model: EnergyModel, x: Tensor, _: Generator) -> Any:
    for batch in (x[0], x, x[None], x[:0]):
        shape = tuple(batch.shape[: batch.dim() - len(model.event_shape)])
        wanted = tuple(torch.broadcast_shapes(shape, model.batch_shape))  # type: ignore[no-untyped-call]
        found = model.energy(batch)
        assert tuple(found.shape) == wanted, f"energy: shape {tuple(found.shape)} for a batch {shape}"
        assert found.is_floating_point(), f"energy: {found.dtype} is not floating point"
        assert not bool(found.isnan().any()), (
            f"energy: nan in {int(found.isnan().sum())} of {found.numel()} places; check the parameters, or give x "
            "where the energy is a number"
        )


def _each_x_has_its_own_energy(model: EnergyModel, x: Tensor, _: Generator) -> Any:
    if model.batch_shape:
        return NotImplemented
    alone = torch.stack([model.energy(one) for one in x])
    _close(model.energy(x), alone, "the energies of a batch are not those of its members", 1e-6)
    return None


def _energies_repeat_and_leave_x_alone(model: EnergyModel, x: Tensor, _: Generator) -> Any:
    before, first = x.clone(), model.energy(x).detach().clone()
    assert torch.equal(model.energy(x), first), "energy: another value for the same x"
    assert torch.equal(x, before), "energy has changed the x it was given"


def _energies_take_arrays(model: EnergyModel, x: Tensor, _: Generator) -> Any:
    _close(model.energy(x.tolist()), model.energy(x), "energy of a list", 1e-6)  # type: ignore[arg-type]


def _energies_in_single_precision(model: EnergyModel, x: Tensor, _: Generator) -> Any:
    narrow = copy.deepcopy(model).float()
    _close(narrow.energy(x.float()).double(), model.energy(x).double(), "energy in float32", 1e-3)


def _state_is_saved(model: EnergyModel, x: Tensor, _: Generator) -> Any:
    other = copy.deepcopy(model)
    with torch.no_grad():
        for tensor in other.parameters():
            tensor.add_(1)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.energy(x), model.energy(x)), "a model that was loaded has other energies"


def _score_is_the_slope(model: EnergyModel, x: Tensor, generator: Generator) -> Any:
    if model.values is not None or x.dtype != torch.float64 or getattr(model, "discrete", False):
        return NotImplemented
    score = model.score(x)
    direction, h = chance.normal(x, generator=generator), 1e-5
    slope = (model.energy(x - h * direction) - model.energy(x + h * direction)) / (2 * h)
    axes = tuple(range(1, x.dim()))
    found = (score * direction).sum(axes) if axes else score * direction
    _close(found, slope.reshape(found.shape), "score is not -dE/dx", 1e-4)
    return None


def _exact_log_partition_is_log_z(model: EnergyModel, _: Tensor, __: Generator) -> Any:
    known = _log_partition(model) if _serves(model) else None
    if known is None:
        return NotImplemented
    _close(_exact(model), known[0], "exact_log_partition", known[1])
    return None


def _exact(model: EnergyModel) -> Tensor:
    exact: Callable[[], Tensor] = model.exact_log_partition  # type: ignore[assignment]
    return exact().double()


def _refuses(call: Callable[[], Any], model: EnergyModel) -> bool:
    """Whether a mixture says, by a TypeError, that its components lack what a method of it needs."""
    if not isinstance(model, Mixture):
        return False
    try:
        call()
    except TypeError:
        return True
    return False


def _serves(model: EnergyModel) -> bool:
    """Whether the model has an exact log Z, and does not refuse to give it."""
    try:
        return hasattr(model, "exact_log_partition") and _exact(model) is not None
    except ValueError:
        return False


def _exact_log_partition_has_two_derivatives(model: EnergyModel, x: Tensor, generator: Generator) -> Any:
    parameters = [p for p in model.parameters() if p.requires_grad and p.dtype == torch.float64]
    if not parameters or not _serves(model) or not _exact(model).requires_grad:
        return NotImplemented
    directions = [chance.normal(p.detach(), generator=generator) for p in parameters]

    def move(shift: float) -> None:
        with torch.no_grad():
            for p, d in zip(parameters, directions):
                p.add_(d, alpha=shift)

    def slope(shift: float, create_graph: bool = False) -> Tensor:
        """The derivative of log Z along the directions, the parameters shifted along them."""
        if shift:
            move(shift)
        gradients = torch.autograd.grad(
            _exact(model), parameters, create_graph=create_graph, materialize_grads=True
        )
        if shift:
            move(-shift)
        return sum(((g * d).sum() for g, d in zip(gradients, directions)), torch.zeros((), device=x.device))

    def value(shift: float) -> Tensor:
        move(shift)
        found = _exact(model).detach()
        move(-shift)
        return found

    first = slope(0.0, create_graph=True)
    curvature = torch.zeros((), device=x.device)
    if first.requires_grad:
        second = torch.autograd.grad(first, parameters, materialize_grads=True)
        curvature = sum(((g * d).sum() for g, d in zip(second, directions)), torch.zeros((), device=x.device))
    h = 1e-4
    _close(first, (value(h) - value(-h)) / (2 * h), "the gradient of exact_log_partition", 1e-5)
    change = (slope(h) - slope(-h)) / (2 * h)
    _close(curvature, change, "the second derivative of exact_log_partition", 1e-5)
    return None


def _log_prob_is_normalized(model: EnergyModel, x: Tensor, _: Generator) -> Any:
    log_prob: Any = getattr(model, "log_prob", None)
    known = None if log_prob is None or _refuses(lambda: log_prob(x), model) else _log_partition(model)
    if known is None:
        return NotImplemented
    _close(log_prob(x), -model.energy(x) - known[0], "log_prob is not -E - log Z", known[1])
    return None


def _gibbs_step_leaves_p_invariant(model: EnergyModel, _: Tensor, __: Generator) -> Any:
    states = _states(model) if hasattr(model, "gibbs_step") else None
    if states is None:
        return NotImplemented
    p = enumeration.probabilities(model).detach()
    step: Step = model.gibbs_step  # type: ignore[assignment]
    _close(p @ transition_matrix(step, states), p, "gibbs_step does not leave p invariant", 1e-6)
    return None


def _gibbs_step_given_leaves_the_conditional_invariant(
    model: EnergyModel, x: Tensor, generator: Generator
) -> Any:
    states = _states(model) if hasattr(model, "gibbs_step_given") else None
    if states is None or math.prod(model.event_shape) < 2:
        return NotImplemented
    known = chance.bernoulli(
        torch.full(model.event_shape, 0.4, dtype=torch.float64, device=x.device), generator=generator
    )
    known.view(-1)[0], known.view(-1)[-1] = True, False
    _gibbs_step_leaves_p_invariant(condition(model, x[0], known), x, generator)
    return None


def _samples_follow_p(model: EnergyModel, _: Tensor, generator: Generator) -> Any:
    states = _states(model) if hasattr(model, "sample") else None
    sample: Any = getattr(model, "sample", None)
    if states is None or _refuses(lambda: sample((1,), generator=generator), model):
        return NotImplemented
    n, p = 20_000, enumeration.probabilities(model).detach()
    drawn = sample((n,), generator=generator).to(states)
    number = (drawn.reshape(n, 1, -1) == states.reshape(1, len(states), -1)).all(-1).long()
    assert bool((number.sum(1) == 1).all()), "sample has drawn what is no state of the model"
    share = number.double().mean(0)
    # Bernstein: a share is further off than this with probability below 2 e^-20 = 4e-9, below 1e-6 for 256 states.
    bound = (2 * 20 * p * (1 - p) / n).sqrt() + 2 * 20 / (3 * n)
    worst = int(((share - p).abs() - bound).argmax())
    assert bool(((share - p).abs() <= bound).all()), (
        f"sample draws state {worst} with frequency {float(share[worst]):.4g}, p is {float(p[worst]):.4g}"
    )
    return None


def _annealing_ends_at_the_model(model: EnergyModel, x: Tensor, _: Generator) -> Any:
    annealed: Callable[[float], EnergyModel] | None = getattr(model, "annealed", None)
    if annealed is None:
        return NotImplemented
    first, last = annealed(0.0), annealed(1.0)
    if tuple(last.event_shape) == tuple(model.event_shape):
        change = last.energy(x) - model.energy(x)
        _close(change, change[:1].expand_as(change), "annealed(1) is another model", 1e-9)
    known = _log_partition(first)
    if known is not None:
        base: Callable[[], Tensor] = model.base_log_partition  # type: ignore[assignment]
        _close(base().double(), known[0], "base_log_partition is not log Z of annealed(0)", known[1])
    return None


def _tempered_scales_the_energy(model: EnergyModel, x: Tensor, _: Generator) -> Any:
    tempered: Callable[[float], EnergyModel] | None = getattr(model, "tempered", None)
    if tempered is None:
        return NotImplemented
    for beta in (0.0, 0.3, 2.0):
        _close(tempered(beta).energy(x), beta * model.energy(x), f"tempered({beta}) is not {beta} E")
    return None


_CHECKS: tuple[tuple[str, Callable[[EnergyModel, Tensor, Generator], Any]], ...] = (
    ("energies have the shape of the batch", _energies_have_the_shape_of_the_batch),
    ("each x has its own energy", _each_x_has_its_own_energy),
    ("energies repeat and leave x alone", _energies_repeat_and_leave_x_alone),
    ("energies take arrays", _energies_take_arrays),
    ("energies in single precision", _energies_in_single_precision),
    ("state is saved", _state_is_saved),
    ("score is the slope", _score_is_the_slope),
    ("exact_log_partition is log Z", _exact_log_partition_is_log_z),
    ("exact_log_partition has two derivatives", _exact_log_partition_has_two_derivatives),
    ("log_prob is normalized", _log_prob_is_normalized),
    ("gibbs_step leaves p invariant", _gibbs_step_leaves_p_invariant),
    ("gibbs_step_given leaves the conditional invariant", _gibbs_step_given_leaves_the_conditional_invariant),
    ("samples follow p", _samples_follow_p),
    ("annealing ends at the model", _annealing_ends_at_the_model),
    ("tempered scales the energy", _tempered_scales_the_energy),
)


def checks() -> Iterator[str]:
    """The names of all checks."""
    return (name for name, _ in _CHECKS)
