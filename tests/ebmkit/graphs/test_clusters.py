"""Cluster updates on any graph: their exact transition matrices."""

import pytest
import torch
from graph_cases import bits, potts, seeded, spins

from ebmkit import enumeration, testing
from ebmkit.graphs import SwendsenWang, Wolff, swendsen_wang, wolff

KERNELS = {
    "Swendsen-Wang": lambda graph: SwendsenWang(spins(graph)),
    "Swendsen-Wang of values": lambda graph: SwendsenWang(potts(graph)),
    "Wolff": lambda graph: Wolff(spins(graph)),
}


@pytest.mark.parametrize("graph", ["edge", "triangle with a tail", "no edges"])
@pytest.mark.parametrize("name", KERNELS)
def test_clusters_leave_p_invariant_and_are_reversible(name, graph, transition_matrix):
    kernel = KERNELS[name](graph)
    assert testing.check_kernel(kernel)[-1] == "every state is reached"
    states, p = enumeration.states(kernel.model), enumeration.probabilities(kernel.model).detach()
    matrix = transition_matrix(
        lambda x, generator: kernel.step(kernel.init(x), generator=generator)[0].position, states
    )
    torch.testing.assert_close(p[:, None] * matrix, (p[:, None] * matrix).T, rtol=0, atol=1e-12)


def test_a_machine_of_bits_is_one_of_spins():
    machine = bits("triangle with a tail")
    ising = machine.as_ising()
    states = enumeration.states(machine)
    difference = machine.energy(states) - ising.energy(2 * states - 1)
    torch.testing.assert_close(difference, difference[:1].expand_as(difference))
    torch.testing.assert_close(enumeration.probabilities(machine), enumeration.probabilities(ising))


def test_models_without_clusters_are_refused():
    with pytest.raises(TypeError, match="as_ising"):
        swendsen_wang(bits("edge"), torch.zeros(2), generator=seeded())
    with pytest.raises(TypeError, match="use swendsen_wang"):
        wolff(potts("edge"), torch.zeros(2), generator=seeded())
    repelling = potts("edge")
    repelling.coupling.data.neg_()
    with pytest.raises(ValueError, match=r"couplings ≥ 0, got -1.5.*use mcmc.Gibbs"):
        swendsen_wang(repelling, torch.zeros(2), generator=seeded())
