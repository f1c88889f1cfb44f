"""What people give: what is taken as a tensor is, and what is refused with the words that lead out."""

import functools
import math

import torch
from torch import nn

import ebmkit
from ebmkit import (
    EnergyModel,
    annealing,
    applications,
    chance,
    enumeration,
    ising,
    mcmc,
    score_matching,
    testing,
)
from ebmkit import product_of_experts as poe
from ebmkit.boltzmann_machines import DBM, RBM, GaussianRBM, inpaint
from ebmkit.contrastive_divergence import (
    cd,
    expected_cd_gradient,
    fast_pcd,
    fit,
    maximum_likelihood,
    pcd,
)
from ebmkit.exponential_families import Gamma, Gaussian, Poisson, maximum_entropy
from ebmkit.graphs import GraphIsing, belief_propagation
from ebmkit.ising import Ising
from ebmkit.normalization import (
    bernoulli_log_prob,
    exponential_log_partition,
    from_exp,
    gaussian_log_partition,
    multivariate_gaussian_log_partition,
    quadrature,
)

F64 = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def rbm():
    return RBM(3, 2, dtype=F64)


class Bowl(EnergyModel):
    """E(x) = |x|²/2 in two dimensions, with a mistake of the given kind."""

    event_shape = (2,)

    def __init__(self, kind=""):
        super().__init__()
        self.kind = kind

    def energy(self, x):
        e = (x**2).sum(-1) / 2
        return {
            "last axis": lambda: e.unsqueeze(-1),
            "sum": lambda: e.sum(),
            "complex": lambda: e + 0j,
            "float": lambda: 1.0,
            "no sum": lambda: x**2,
        }.get(self.kind, lambda: e)()


class Voters(EnergyModel):
    """Two voters, who need not be 0 or 1, and no method but an energy."""

    event_shape = (2,)

    def __init__(self, values=(0.0, 1.0, 2.0)):
        super().__init__()
        self.values = values
        self.strength = nn.Parameter(torch.tensor(0.7, dtype=F64))

    def energy(self, x):
        return self.strength * (x[..., 0] - x[..., 1]).abs()


class Shapeless(EnergyModel):
    def energy(self, x):
        return x


# --- what is taken ---------------------------------------------------------------------------------------

SPINS = [[1.0, -1.0], [1.0, 1.0]]
TAKEN = {
    "energies": lambda as_: Bowl().energy(as_([[3.0, 4.0], [0.0, 1.0]])),
    "scores": lambda as_: Bowl().score(as_([3.0, 4.0])),
    "ratios": lambda as_: Bowl().log_ratio(as_([3.0, 4.0]), as_([0.0, 0.0])),
    "energies of an RBM": lambda as_: rbm().energy(as_([1.0, 0.0, 1.0])),
    "hidden units": lambda as_: rbm().hidden_probability(as_([1.0, 0.0, 1.0])),
    "draws of hidden units": lambda as_: rbm().sample_hidden(as_([1.0, 0.0, 1.0]), generator=generator()),
    "steps of an RBM": lambda as_: rbm().gibbs_step(as_([1.0, 0.0, 1.0]), generator=generator()),
    "mean fields": lambda as_: DBM((3, 2, 2), dtype=F64).mean_field(as_([1.0, 0.0, 1.0])),
    "energies of spins": lambda as_: Ising((2, 2), 0.4).energy(as_(SPINS)),
    "sweeps": lambda as_: ising.gibbs_sweep(Ising((2, 2), 0.4), as_(SPINS), generator=generator()),
    "clusters": lambda as_: ising.swendsen_wang(Ising((2, 2), 0.4), as_(SPINS), generator=generator()),
    "couplings": lambda as_: Ising((2, 2), as_(0.4), as_([[0.1, 0.2], [0.3, 0.4]])).exact_log_partition(),
    "modes": lambda as_: ising.icm(Ising((2, 2), 0.4), as_(SPINS)),
    "noisy pictures": lambda as_: ising.denoising_model(as_([[0.0, 1.0]]), 0.1, 0.5).field,
    "chains": lambda as_: mcmc.sample(mcmc.MALA(Bowl(), 0.1), as_([[0.0, 0.0]]), 3, generator=generator()),
    "diagnostics": lambda as_: mcmc.r_hat(as_([[0.0, 1.0], [2.0, 0.5], [1.0, 1.5], [0.0, 0.7]])),
    "log densities": lambda as_: Gaussian().log_prob(as_([0.5, 1.0]), Gaussian().natural(as_(0.0), as_(2.0))),
    "divergences": lambda as_: Gamma().kl_divergence(Gamma().natural(as_(2.0), as_(1.0)), as_([0.5, -1.0])),
    "fits": lambda as_: Gaussian().maximum_likelihood(as_([1.0, 2.0, 4.0])),
    "gradients": lambda as_: cd(rbm(), as_([[1.0, 0.0, 1.0]]), generator=generator()).parameters["a"],
    "objectives": lambda as_: score_matching.explicit_score_matching(Bowl(), as_([[0.5, 1.0]])),
    "maximum entropy": lambda as_: maximum_entropy(as_([[1.0], [2.0], [3.0]]), as_([2.5])).probabilities,
    "volumes": lambda as_: gaussian_log_partition(as_([1.0, 2.0])),
    "volumes of exponentials": lambda as_: exponential_log_partition(as_([1.0, 2.0])),
    "volumes in the plane": lambda as_: multivariate_gaussian_log_partition(as_([[2.0, 0.0], [0.0, 1.0]])),
    "log probabilities of bits": lambda as_: bernoulli_log_prob(as_([1.0, 0.0]), as_([0.5, 2.0])),
    "mean weights": lambda as_: annealing.log_mean_weight(as_([0.0, 1.0, 2.0])).value,
    "numbers of weights": lambda as_: annealing.weight_ess(as_([0.0, 1.0, 2.0])),
    "areas": lambda as_: applications.auc(as_([0.1, 0.4, 0.2]), [False, True, False]),
    "curves": lambda as_: applications.roc_curve(as_([0.1, 0.4, 0.2]), [False, True, False]).thresholds,
    "weighted Gaussians": lambda as_: (
        poe.product_of_gaussians(as_([0.0, 2.0]), as_([1.0, 1.0]), as_([2.0, 1.0])).mean
    ),
    "weighted tables": lambda as_: poe.product_of_categoricals(as_(LOGS), as_([2.0, 1.0])).log_prob,
    "mixed tables": lambda as_: poe.mixture_of_categoricals(as_(LOGS), as_([2.0, 1.0])),
    "Student's experts": lambda as_: poe.StudentTExperts(as_([[1.0, 0.5]]), as_([2.0])).energy(
        as_([0.3, 1.0])
    ),
    "experts in a box": lambda as_: poe.UnigaussExperts(
        as_([[0.0]]), as_([[1.0]]), as_([0.5]), -5.0, 5.0
    ).energy(as_([0.3])),
    "classes": lambda as_: applications.QuadraticClassEnergies(
        as_([[0.0], [1.0]]), as_([[[1.0]], [[2.0]]]), as_([0.0, 0.5]), 1
    )(torch.tensor([0.3], dtype=F64)),
    "sites": lambda as_: ising.gibbs_update(
        Ising((1, 2), 9.0), as_([[1.0, 1.0]]), [0], generator=generator()
    ),
    "noise": lambda as_: chance.normal(as_([0.0, 0.0]), generator=generator()),
    "masses": lambda as_: mcmc.sample(
        mcmc.HMC(Bowl(), 0.1, 2, as_([1.0, 4.0])), as_([[0.0, 0.0]]), 3, generator=generator()
    ),
    "couplings and fields": lambda as_: (
        GraphIsing([(0, 1)]).with_numbers(as_([0.3]), as_([0.1, 0.2])).exact_log_partition()
    ),
    "pixels": lambda as_: inpaint(
        rbm(), as_([1.0, 0.0, 0.0]), torch.tensor([True, False, False]), 2, generator=generator()
    ),
}

LOGS = [[-0.5, -1.0], [-2.0, -0.1]]
PATH_LAW = GraphIsing([(0, 1)], 0.4)
KNOWN = torch.tensor([True, False, False])


def waits(model, x):
    """What has neither `init` nor `step`."""
    return x


REFUSED = {
    "a path beyond the model": (
        lambda: Ising((2, 2), 0.4).annealed(1.5),
        ValueError,
        r"beta must lie in \[0, 1\]",
    ),
    "a path before the base": (lambda: PATH_LAW.annealed(-0.1), ValueError, r"beta must lie in \[0, 1\]"),
    "a negative temperature": (
        lambda: Ising((2, 2), 0.4).tempered(-1.0),
        ValueError,
        "beta must be finite and not",
    ),
    "no temperature": (
        lambda: PATH_LAW.tempered(math.nan),
        ValueError,
        "beta must be finite and not negative",
    ),
    "a coupling too many": (
        lambda: PATH_LAW.with_numbers([0.1, 0.2], [0.0, 0.0]),
        ValueError,
        r"coupling must be one number or have shape \(1,\), got \(2,\)",
    ),
    "a field of nan": (
        lambda: PATH_LAW.with_numbers([0.1], [0.0, math.nan]),
        ValueError,
        "field must be finite",
    ),
    "weights that are no numbers": (lambda: RBM(3, 2, scale=math.nan), ValueError, "scale must be finite"),
    "weights of negative size": (
        lambda: DBM((3, 2), scale=-1.0),
        ValueError,
        "scale must be finite and not neg",
    ),
    "a leapfrog back in steps": (
        lambda: mcmc.leapfrog(Bowl(), [0.0, 1.0], [1.0, 0.0], 0.1, -1),
        ValueError,
        "n_steps must be at least 0, got -1",
    ),
    "a leapfrog without bounds": (
        lambda: mcmc.leapfrog(Bowl(), [0.0, 1.0], [1.0, 0.0], math.inf, 2),
        ValueError,
        "step_size must be finite",
    ),
    "a Metropolis that can cycle": (
        lambda: ising.Metropolis(Ising((2, 2), 0.4), 1.0),
        ValueError,
        "propose must lie strictly between 0 and 1, got 1.0",
    ),
    "layers of another machine": (
        lambda: DBM((3, 2)).join([torch.zeros(3), torch.zeros(3)]),
        ValueError,
        r"layers must have sizes \(3, 2\), got \(3, 3\)",
    ),
    "half an epoch of a PixelCNN": (
        lambda: poe.fit_pixelcnn(
            poe.PixelCNN((2, 2), generator=generator()), torch.zeros(3, 2, 2), 2.5, generator=generator()
        ),
        TypeError,
        "n_epochs must be a whole number, got 2.5",
    ),
    "a fast rate below zero": (
        lambda: fast_pcd(rbm(), [[1.0, 0.0, 0.0]], generator=generator(), fast_rate=-0.1),
        ValueError,
        "fast_rate must be finite and not negative, got -0.1",
    ),
    "chains in part": (
        lambda: pcd(rbm(), [[1.0, 0.0, 0.0]], generator=generator(), n_chains=2.5),
        TypeError,
        "n_chains must be a whole number",
    ),
    "a mean field of any precision": (
        lambda: DBM((3, 2), dtype=F64).mean_field([1.0, 0.0, 0.0], tolerance=math.nan),
        ValueError,
        "tolerance must be finite and not negative, got nan",
    ),
    "messages of any precision": (
        lambda: belief_propagation(PATH_LAW, tolerance=math.nan),
        ValueError,
        "tolerance must be finite",
    ),
    "a negative error of an integral": (
        lambda: quadrature(lambda x: x, 0.0, 1.0, rtol=-1e-3),
        ValueError,
        "rtol must be finite and not negative",
    ),
    "an integral of nothing": (
        lambda: quadrature(lambda x: x, 0.0, 1.0, max_evaluations=0),
        ValueError,
        "max_evaluations must be at least 1, got 0",
    ),
    "a mean of nan": (
        lambda: poe.product_of_gaussians([math.nan, 0.0], [1.0, 1.0]),
        ValueError,
        "means must be fin",
    ),
    "a weight of nan": (
        lambda: poe.product_of_gaussians([0.0, 0.0], [1.0, 1.0], [math.nan, 1.0]),
        ValueError,
        "weights must be finite",
    ),
    "a weight for nobody": (
        lambda: poe.product_of_gaussians([0.0, 0.0], [1.0, 1.0], [1.0] * 3),
        ValueError,
        r"weights must be \(..., 2\), one for each expert, got \(3,\)",
    ),
    "a table of nan": (
        lambda: poe.product_of_categoricals([[math.nan, 0.0]]),
        ValueError,
        "log_probs must be numbers or -inf",
    ),
    "a mixed table of nan": (
        lambda: poe.mixture_of_categoricals([[math.nan, 0.0]]),
        ValueError,
        "log_probs must be numbers or -inf",
    ),
    "a number as a generator that is not used": (
        lambda: score_matching.pseudo_likelihood(PATH_LAW, [[1.0, 1.0]], generator=5),
        TypeError,
        "generator must be a torch.Generator, got 5",
    ),
    "the likelihood of no data": (
        lambda: score_matching.pseudo_likelihood(PATH_LAW, torch.zeros(0, 2)),
        ValueError,
        r"x must hold at least one example, got shape \(0, 2\)",
    ),
    "an energy of nan": (
        lambda: testing.check_model(from_exp(lambda x: x * math.nan)),
        AssertionError,
        "energy: nan in 1 of 1 places",
    ),
    "a model as a kernel": (
        lambda: mcmc.sample(Ising((2, 2), 0.4), SPINS, 3, generator=generator()),
        TypeError,
        r"mcmc.sample needs a kernel and got the model Ising; give what moves it, such as mcmc.Gibbs\(model\)",
    ),
    "a model to check as a kernel": (
        lambda: testing.check_kernel(Bowl()),
        TypeError,
        r"such as mcmc.MALA\(model",
    ),
    "a class as a kernel": (
        lambda: mcmc.sample(mcmc.Gibbs, SPINS, 3, generator=generator()),
        TypeError,
        r"got Gibbs; make one: Gibbs\(model, ...\)",
    ),
    "a function as a kernel": (
        lambda: cd(rbm(), [[1.0, 0.0, 0.0]], kernel=waits, generator=generator()),
        TypeError,
        "a learner needs a kernel and got function; see ebmkit.kernel",
    ),
    "a sweep to warm up": (
        lambda: mcmc.warm_up(mcmc.Gibbs(Ising((2, 2), 0.4)), SPINS, 30, generator=generator()),
        TypeError,
        "warm_up tunes HMC, NUTS, and Gibbs has nothing to tune",
    ),
    "a sweep to adapt": (
        lambda: mcmc.adapt_step_size(mcmc.Gibbs(Ising((2, 2), 0.4)), SPINS, 30, generator=generator()),
        TypeError,
        "adapt_step_size tunes HMC, MALA, NUTS",
    ),
    "a mean over the wrong axis": (
        lambda: enumeration.expectation(Ising((2, 2), 0.4), lambda x: x.sum()),
        ValueError,
        r"f must return one value for each of the 16 states, shape \(16, ...\), got \(\)",
    ),
    "a mask of another machine": (
        lambda: inpaint(rbm(), [1.0, 0.0, 0.0], KNOWN[:2], 2, generator=generator()),
        ValueError,
        r"known must be one number or broadcast against \(3,\), got shape \(2,\)",
    ),
    "an image of another machine": (
        lambda: inpaint(rbm(), [1.0, 0.0], KNOWN[:2], 2, generator=generator()),
        ValueError,
        r"v must have shape \(..., 3\), got \(2,\)",
    ),
    "masses of another model": (
        lambda: mcmc.HMC(Bowl(), 0.1, 2, torch.ones(3)),
        ValueError,
        r"inverse_mass must be one number or broadcast against \(2,\), got shape \(3,\)",
    ),
    "masses of another model for NUTS": (
        lambda: mcmc.NUTS(Bowl(), 0.1, inverse_mass=[1.0] * 3),
        ValueError,
        "inverse_mass must be one number or broadcast",
    ),
    "a mean of another base": (
        lambda: annealing.GaussianBase(2, torch.zeros(3)),
        ValueError,
        r"mean must be one number or broadcast against \(2,\), got shape \(3,\)",
    ),
    "a coupling in words": (
        lambda: ising.onsager_energy("x"),
        TypeError,
        "coupling must hold numbers, got str",
    ),
    "class energies that do not fit": (
        lambda: applications.QuadraticClassEnergies([[0.0]], [[[1.0]]], [0.0], 2),
        ValueError,
        r"mean must be \(C, D\), covariance_factor \(C, D, D\) and offset \(C,\) with D = 2",
    ),
    "a module as a model": (lambda: mcmc.HMC(nn.Linear(2, 1), 0.1), TypeError, "ebmkit.from_module"),
    "a function as a model": (lambda: mcmc.MALA(lambda x: x, 0.1), TypeError, "normalization.from_exp"),
    "a class as a model": (lambda: mcmc.Gibbs(Ising), TypeError, r"make one: Ising\(\.\.\.\)"),
    "a number as a model": (lambda: ebmkit.log_partition(3), TypeError, "subclass ebmkit.EnergyModel"),
    "a module to enumerate": (lambda: enumeration.states(nn.Linear(2, 1)), TypeError, "from_module"),
    "a module to train": (
        lambda: fit(nn.Linear(2, 1), [[0.0]], generator=generator()),
        TypeError,
        "from_module",
    ),
    "a module to anneal": (
        lambda: annealing.anneal(nn.Linear(2, 1), generator=generator()),
        TypeError,
        "from_module",
    ),
    "a function as a module": (lambda: ebmkit.from_module(len, (2,)), TypeError, "normalization.from_exp"),
    "no event_shape": (lambda: Shapeless().energy([1.0]), TypeError, "set self.event_shape"),
    "no event_shape in a kernel": (lambda: mcmc.HMC(Shapeless(), 0.1), TypeError, "set self.event_shape"),
    "an energy with a last axis": (
        lambda: Bowl("last axis").energy(torch.zeros(5, 2)),
        ValueError,
        r"shape \(5,\), got \(5, 1\); a last axis of length 1 is one too many: return energy.squeeze",
    ),
    "an energy summed over the batch": (
        lambda: mcmc.HMC(Bowl("sum"), 0.1).init(torch.zeros(5, 2)),
        ValueError,
        r"one number for each x, shape \(5,\), got \(\)",
    ),
    "an energy not summed": (
        lambda: Bowl("no sum").score(torch.zeros(5, 2)),
        ValueError,
        r"got \(5, 2\); sum over",
    ),
    "a complex energy": (
        lambda: Bowl("complex").energy([1.0, 2.0]),
        TypeError,
        "must be real, got torch.complex",
    ),
    "a float for an energy": (
        lambda: Bowl("float").energy([1.0, 2.0]),
        TypeError,
        "must return a tensor, got float",
    ),
    "an x of the wrong shape": (
        lambda: Bowl().energy(torch.zeros(3)),
        ValueError,
        r"shape \(..., 2\), got \(3,\)",
    ),
    "a ragged list": (lambda: Bowl().energy([[1.0], [1.0, 2.0]]), TypeError, "make it rectangular"),
    "words": (lambda: Bowl().energy("ab"), TypeError, "must hold numbers, got str"),
    "complex draws": (lambda: mcmc.r_hat(torch.zeros(5, 2) + 1j), TypeError, "complex numbers have no order"),
    "5 in an RBM": (
        lambda: rbm().energy([5.0, 0.0, 0.0]),
        ValueError,
        r"in \[0, 1\], got values from 0 to 5",
    ),
    "nan in an RBM": (
        lambda: rbm().energy([math.nan, 0.0, 0.0]),
        ValueError,
        r"in \[0, 1\], got values from nan",
    ),
    "nan for hidden units": (
        lambda: rbm().sample_hidden([math.nan, 0.0, 0.0], generator=generator()),
        ValueError,
        "v must be finite, got nan in 1 of 3 places",
    ),
    "nan for Gaussian hidden units": (
        lambda: GaussianRBM(2, 2, dtype=F64).sample_hidden([math.nan, 0.0], generator=generator()),
        ValueError,
        "v must be finite, got nan in 1 of 2 places",
    ),
    "base rates of nan": (
        lambda: rbm().set_base_rates([[math.nan, 0.0, 0.0]]),
        ValueError,
        "data must hold bits",
    ),
    "base rates of grey levels": (
        lambda: rbm().set_base_rates([[255.0, 0.0, 0.0]]),
        ValueError,
        "divide grey levels by 255",
    ),
    "base rates of a DBM": (
        lambda: DBM((3, 2, 2), dtype=F64).set_base_rates([[0.0, -1.0, 0.0]]),
        ValueError,
        r"turn spins into \(x \+ 1\) / 2",
    ),
    "base rates of no data": (
        lambda: rbm().set_base_rates(torch.zeros(0, 3, dtype=F64)),
        ValueError,
        "one row",
    ),
    "spins that cannot be negative": (
        lambda: ising.gibbs_sweep(
            Ising((2, 2), 0.4), torch.ones(2, 2, dtype=torch.uint8), generator=generator()
        ),
        ValueError,
        "cannot hold -1; use spins.to",
    ),
    "a number as a shape": (lambda: Ising(3, 0.4), ValueError, r"\(rows, columns\), both at least 1, got 3"),
    "half a row": (lambda: Ising((2.5, 2), 0.4), TypeError, "rows must be a whole number, got 2.5"),
    "another model for spins": (
        lambda: ising.gibbs_sweep(rbm(), SPINS, generator=generator()),
        TypeError,
        "for ebmkit.ising.Ising models, got RBM",
    ),
    "half a sweep": (
        lambda: ising.simulate(Ising((2, 2), 0.4), 2.5, generator=generator()),
        TypeError,
        "n_sweeps .* got 2.5",
    ),
    "a gradient of Kaufman's": (
        lambda: ebmkit.log_partition(
            Ising((4, 4), torch.tensor(0.3, requires_grad=True), periodic=True), "kaufman"
        ),
        ValueError,
        "method='transfer_matrix', or detach",
    ),
    "a learning rate that climbs": (
        lambda: fit(rbm(), [[1.0, 0.0, 0.0]], generator=generator(), learning_rate=-1),
        ValueError,
        "learning rate must be finite and not negative, got -1.0",
    ),
    "a schedule that climbs": (
        lambda: fit(rbm(), [[1.0, 0.0, 0.0]], cd, generator=generator(), learning_rate=lambda step: -0.1),
        ValueError,
        "got -0.1 at step 0",
    ),
    "an optimizer of another model": (
        lambda: fit(
            rbm(),
            [[1.0, 0.0, 0.0]],
            generator=generator(),
            optimizer=torch.optim.SGD(rbm().parameters(), 0.1),
        ),
        ValueError,
        r"none of the parameters of this RBM; make it of model.parameters\(\)",
    ),
    "nan to match scores at": (
        lambda: score_matching.denoising_score_matching(
            Bowl(), [[math.nan, 0.0]], 0.1, generator=generator()
        ),
        ValueError,
        "x must be finite, got nan",
    ),
    "a noise density with a last axis": (
        lambda: score_matching.noise_contrastive_estimation(
            Bowl(), [[0.0, 1.0]] * 3, [[0.0, 1.0]] * 3, lambda x: x[:, :1]
        ),
        ValueError,
        r"one number for each x, \(3,\), got \(3, 1\)",
    ),
    "a step without bounds": (
        lambda: mcmc.HMC(Bowl(), math.inf),
        ValueError,
        "step_size must be positive and finite",
    ),
    "a jitter of everything": (
        lambda: mcmc.HMC(Bowl(), 0.1, jitter=1.0),
        ValueError,
        r"jitter must lie in \[0, 1\)",
    ),
    "a flat energy to adapt to": (
        lambda: mcmc.adapt_step_size(
            mcmc.HMC(from_exp(lambda x: 0 * x), 0.1, 2), torch.zeros(4, dtype=F64), 500, generator=generator()
        ),
        ValueError,
        "its energy is flat or its density not normalizable",
    ),
    "a flat energy to warm up in": (
        lambda: mcmc.warm_up(
            mcmc.HMC(from_exp(lambda x: 0 * x), 0.1), torch.zeros(4), 200, generator=generator()
        ),
        ValueError,
        "its energy is flat or its density not normalizable",
    ),
    "hard walls to integrate over temperatures": (
        lambda: annealing.thermodynamic_integration(
            from_exp(lambda x: torch.where(x > 0, -x, -math.inf)), generator=generator(), n_steps=3
        ),
        ValueError,
        "use method='ais' or 'bridge'",
    ),
    "data of other values than the model's": (
        lambda: maximum_likelihood(Voters(), [[0.0, 7.0]]),
        ValueError,
        r"the data of Voters must be one of \(0.0, 1.0, 2.0\), got 7.0",
    ),
    "half a voter": (
        lambda: fit(Voters(), [[0.0, 0.5]], generator=generator()),
        ValueError,
        "the data of Voters must be one of .* got 0.5",
    ),
    "a transition that loses chains": (
        lambda: expected_cd_gradient(Voters(), [[0.0, 1.0]], transition=torch.eye(9) / 2),
        ValueError,
        r"transition must be probabilities that sum to 1 along the last axis, got .* a sum of 0.5",
    ),
    "a transition of another model": (
        lambda: expected_cd_gradient(Voters(), [[0.0, 1.0]], transition=torch.eye(3)),
        ValueError,
        r"transition must have shape \(9, 9\), got \(3, 3\)",
    ),
    "a transition of nan": (
        lambda: expected_cd_gradient(Voters(), [[0.0, 1.0]], transition=torch.eye(9) * math.nan),
        ValueError,
        "transition must be probabilities",
    ),
    "a transition of nothing": (
        lambda: expected_cd_gradient(Voters(), [[0.0, 1.0]], transition="eye"),
        TypeError,
        "transition must hold numbers, got str",
    ),
    "weights that do not add to one": (
        lambda: expected_cd_gradient(Voters(), [[0.0, 1.0]] * 2, transition=torch.eye(9), weights=[1, 1]),
        ValueError,
        r"weights must be probabilities .* a sum of 2; use weights / weights.sum",
    ),
    "a weight below zero": (
        lambda: expected_cd_gradient(Voters(), [[0.0, 1.0]] * 2, transition=torch.eye(9), weights=[2, -1]),
        ValueError,
        "a least one of -1",
    ),
    "a weight too few": (
        lambda: expected_cd_gradient(Voters(), [[0.0, 1.0]] * 2, transition=torch.eye(9), weights=[1.0]),
        ValueError,
        r"weights must have shape \(2,\), got \(1,\)",
    ),
    "a value given twice": (
        lambda: ebmkit.log_partition(Voters((0.0, 0.0, 1.0))),
        ValueError,
        "each given once, got .* would count twice",
    ),
    "a value given twice to a kernel": (lambda: mcmc.Gibbs(Voters((1.0, 1.0))), ValueError, "count twice"),
    "a value given twice with a module": (
        lambda: ebmkit.from_module(nn.Linear(2, 1), 2, (0, 1, 1)),
        ValueError,
        "count twice",
    ),
    "a value given twice to a base": (lambda: annealing.UniformBase(2, (0, 0)), ValueError, "count twice"),
    "a value that is no number": (
        lambda: annealing.UniformBase(2, (0, math.nan)),
        ValueError,
        "finite numbers",
    ),
    "a kernel of another model": (
        lambda: cd(Voters(), [[0.0, 1.0]], kernel=mcmc.Gibbs(Voters()), generator=generator()),
        ValueError,
        r"the kernel Gibbs moves chains of another model \(Voters\) .* make it of the model: Gibbs\(model, ...\)",
    ),
    "persistent chains of another model": (
        lambda: pcd(Voters(), [[0.0, 1.0]], kernel=mcmc.Gibbs(Voters()), generator=generator()),
        ValueError,
        "another model",
    ),
    "a fit by the kernel of another model": (
        lambda: fit(
            Voters(),
            [[0.0, 1.0]],
            functools.partial(pcd, kernel=mcmc.Gibbs(Voters())),
            generator=generator(),
        ),
        ValueError,
        "another model",
    ),
    "a discrete model without a sweep": (
        lambda: cd(Voters(), [[0.0, 1.0]], generator=generator()),
        TypeError,
        r"Voters has no gibbs_step; pass kernel=mcmc.Gibbs\(model\)",
    ),
    "a continuous model without a sweep": (
        lambda: cd(ebmkit.from_module(nn.Linear(2, 1), 2), [[0.0, 1.0]], generator=generator()),
        TypeError,
        r"pass kernel=mcmc.Langevin\(model, step_size=...\)",
    ),
    "a generator for an exact method": (
        lambda: ebmkit.log_partition(Ising((2, 2), 0.4), generator=generator()),
        TypeError,
        "method 'auto' of log_partition takes no generator; it is exact and draws nothing",
    ),
    "a generator for quadrature": (
        lambda: ebmkit.log_partition(Bowl(), "quadrature", generator=generator()),
        TypeError,
        "log_quadrature takes no generator; it takes lower, upper, rtol",
    ),
    "an option of another method": (
        lambda: ebmkit.log_partition(Bowl(), "ais", generator=generator(), rtol=1e-3),
        TypeError,
        "method 'ais' of log_partition takes no rtol; it takes base, generator",
    ),
    "the name of a learner": (
        lambda: fit(Voters(), [[0.0, 1.0]], "pcd", generator=generator()),
        TypeError,
        "learner must be a function such as contrastive_divergence.pcd, got 'pcd'",
    ),
    "an infinite rate": (lambda: Poisson().energy_model([800.0]), ValueError, "the rate finite, got"),
}
