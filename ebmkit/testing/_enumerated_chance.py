"""Replays a sampler over all its random choices and returns its exact transition matrix.

P(x, y) = Σ over the branches of step(x, generator=·) that end in y of the product of their choices' probabilities.
The code that runs in production is what is enumerated: only its source of chance is replaced.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor


class Step(Protocol):
    """What is replayed: one step `(x, *, generator) -> x`."""

    def __call__(self, x: Tensor, /, *, generator: Any) -> Tensor: ...


class Branches(NamedTuple):
    """Every way a run can go: the row it began from, where it ended, and with what probability.

    >>> import torch
    >>> from ebmkit import data, testing
    >>> found = testing.branches(lambda x, generator: data.flip(x, 0.25, generator=generator), torch.zeros(1, 1))
    >>> found.outcome.tolist(), found.probability.tolist()
    ([[0.0], [1.0]], [0.75, 0.25])
    """

    origin: Tensor  # (n,) int64, index into the states given
    outcome: Tensor  # (n, *event_shape)
    probability: Tensor  # (n,) float64


class _NeedsChoice(Exception):
    """A draw nobody has answered yet: the run stops here and is replayed once per possible answer."""

    def __init__(
        self, probability: Tensor, expand: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
    ) -> None:
        super().__init__("the run met a draw that is not enumerated yet")
        self.probability, self.expand = probability, expand


class EnumeratedChance:
    """Stands in for a `torch.Generator`: answers the first draws from a script and stops at the next one.

    Every draw must carry the batch of chains as its first axis, and chains must not look at each other.

    >>> import torch
    >>> from ebmkit import chance, testing
    >>> once = lambda x, generator: chance.bernoulli(torch.full_like(x, 0.25), generator=generator).double()
    >>> testing.branches(once, torch.zeros(1, 1)).probability  # every branch of one throw
    tensor([0.7500, 0.2500], dtype=torch.float64)
    """

    def __init__(self, script: list[Tensor], rows: int) -> None:
        self._script, self._rows, self._next = script, rows, 0

    def bernoulli(self, probability: Tensor) -> Tensor:
        return self._answer(probability, _expand_bernoulli).reshape(probability.shape)

    def categorical(self, probabilities: Tensor) -> Tensor:
        return self._answer(probabilities, _expand_categorical).reshape(probabilities.shape[:-1])

    def uniform(self, like: Tensor) -> Tensor:
        raise AssertionError(
            "a uniform draw cannot be enumerated; write the choice as bernoulli or categorical"
        )

    def normal(self, like: Tensor) -> Tensor:
        raise AssertionError(
            "a normal draw cannot be enumerated; test this sampler with an exact expectation"
        )

    def _answer(
        self, probability: Tensor, expand: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
    ) -> Tensor:
        if probability.ndim == 0 or probability.shape[0] != self._rows:
            raise AssertionError(
                f"a draw of shape {tuple(probability.shape)} does not lead with the {self._rows} chains"
            )
        if self._next == len(self._script):
            raise _NeedsChoice(probability.detach(), expand)
        answer = self._script[self._next]
        self._next += 1
        return answer


def _expand_bernoulli(probability: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """All answers to a Bernoulli draw: rows, probabilities and answers, impossible ones left out."""
    p = probability.reshape(len(probability), -1).double()
    assert ((p >= 0) & (p <= 1)).all(), "a probability lies outside [0, 1]"
    row, weight = torch.arange(len(p), device=p.device), p.new_ones(len(p))
    answer = torch.zeros(len(p), 0, dtype=torch.bool, device=p.device)
    for site in p.unbind(1):
        parts = []
        for value, chance in ((False, 1 - site), (True, site)):
            keep = chance[row] > 0
            drawn = torch.full((int(keep.sum()), 1), value, device=p.device)
            parts.append((row[keep], weight[keep] * chance[row[keep]], torch.cat([answer[keep], drawn], 1)))
        row, weight, answer = (torch.cat(part) for part in zip(*parts))
    return row, weight, answer


def _expand_categorical(probabilities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """All answers to a categorical draw along the last axis, impossible ones left out."""
    p = probabilities.reshape(len(probabilities), -1, probabilities.shape[-1]).double()
    torch.testing.assert_close(p.sum(-1), torch.ones_like(p[..., 0]), rtol=0, atol=1e-6)
    row, weight = torch.arange(len(p), device=p.device), p.new_ones(len(p))
    answer = torch.zeros(len(p), 0, dtype=torch.int64, device=p.device)
    for draw in p.unbind(1):
        before, value = (draw[row] > 0).nonzero(as_tuple=True)
        weight = weight[before] * draw[row[before], value]
        row, answer = row[before], torch.cat([answer[before], value[:, None]], 1)
    return row, weight, answer


def branches(step: Step, states: Tensor, limit: int = 4_000_000) -> Branches:
    """Every branch of `step(states, generator=chance)`; `states` has shape `(n, *event_shape)`.

    >>> import torch
    >>> from ebmkit import data, testing
    >>> found = testing.branches(lambda x, generator: data.flip(x, 0.25, generator=generator), torch.zeros(1, 2))
    >>> found.probability.sum()
    tensor(1., dtype=torch.float64)
    """
    origin = torch.arange(len(states), device=states.device)
    weight = torch.ones(len(states), dtype=torch.float64, device=states.device)
    script: list[Tensor] = []
    while True:
        try:
            outcome = step(states[origin], generator=EnumeratedChance(script, len(origin)))
        except _NeedsChoice as choice:
            row, chance, answer = choice.expand(choice.probability)
            assert len(row) <= limit, (
                f"{len(row):,} branches exceed the limit of {limit:,}; take a smaller model"
            )
            origin, weight = origin[row], weight[row] * chance
            script = [*(earlier[row] for earlier in script), answer]
        else:
            return Branches(origin, outcome.detach(), weight)


def transition_matrix(step: Step, states: Tensor) -> Tensor:
    """P[i, j] = probability that `step` takes `states[i]` to `states[j]`; float64, exact up to rounding.

    The shape is `(n_states, n_states)`.

    >>> from ebmkit import boltzmann_machines, data, testing
    >>> bits = boltzmann_machines.bit_states(1)
    >>> testing.transition_matrix(lambda x, generator: data.flip(x, 0.25, generator=generator), bits)
    tensor([[0.7500, 0.2500],
            [0.2500, 0.7500]], dtype=torch.float64)
    """
    index = {key: i for i, key in enumerate(_keys(states))}
    assert len(index) == len(states), "the states must differ from one another"
    origin, outcome, probability = branches(step, states)
    target = torch.tensor([index[key] for key in _keys(outcome)], device=states.device)
    matrix = torch.zeros(len(states), len(states), dtype=torch.float64, device=states.device)
    return matrix.index_put_((origin, target), probability, accumulate=True)


def outcome_probabilities(step: Step, start: Tensor, outcomes: Tensor) -> Tensor:
    """The exact distribution of `step(start[None], ·)` over `outcomes`, `(n, *event_shape)`; shape `(n,)`.

    >>> from ebmkit import boltzmann_machines, data, testing
    >>> bits = boltzmann_machines.bit_states(1)
    >>> testing.outcome_probabilities(lambda x, generator: data.flip(x, 0.25, generator=generator), bits[0], bits)
    tensor([0.7500, 0.2500], dtype=torch.float64)
    """
    index = {key: i for i, key in enumerate(_keys(outcomes))}
    _, outcome, probability = branches(step, start[None])
    target = torch.tensor([index[key] for key in _keys(outcome)], device=start.device)
    mass = torch.zeros(len(outcomes), dtype=torch.float64, device=start.device)
    return mass.index_add_(0, target, probability)


def _keys(states: Tensor) -> list[bytes]:
    flat = states.detach().reshape(len(states), -1).double().add(0.0).cpu().numpy()
    return [row.tobytes() for row in flat]
