"""Exercise 5: learning the experts' weights."""

import numpy as np

from autograder.exercises.attempt import Attempt
from autograder.exercises.exercise import Exercise

from .definitions import weight_gradient_of
from .inputs import log_tables

weight_gradient = Exercise("weight_gradient", "Learning the experts' weights", weight_gradient_of)


@weight_gradient.check(9, "random experts, weights and data")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    calls = []
    for M, K, n in [(2, 3, 5), (3, 5, 20), (4, 8, 50), (2, 6, 300), (5, 4, 9)]:
        weights = rng.uniform(0.3, 2.0, M)
        calls.append((log_tables(rng, M, K), weights, rng.integers(0, K, n)))
    attempt.compare(calls)


@weight_gradient.check(5, "experts that are not normalized, with log-values that over- and underflow")
def _(attempt: Attempt) -> None:
    """The sums are of size 1e4, so correct code differs by rounding of up to 1e-8."""
    rng = attempt.rng
    calls = []
    for shift in (2000.0, -2000.0, 900.0):
        log_f = log_tables(rng, 3, 5) + shift * rng.uniform(0.7, 1.0, (3, 1))
        calls.append((log_f, rng.uniform(0.5, 1.5, 3), rng.integers(0, 5, 12)))
    attempt.compare(calls, atol=1e-6)


@weight_gradient.check(6, "one expert, one observation, weights of zero and below")
def _(attempt: Attempt) -> None:
    rng = attempt.rng
    log_p = log_tables(rng, 3, 4)
    calls = [
        (log_tables(rng, 1, 4), rng.uniform(0.5, 1.5, 1), rng.integers(0, 4, 6)),
        (log_p, np.zeros(3), rng.integers(0, 4, 6)),
        (log_p, -rng.uniform(0.5, 1.5, 3), rng.integers(0, 4, 7)),
        (log_p, np.array([0.0, 1.7, -0.6]), rng.integers(0, 4, 1)),
    ]
    attempt.compare(calls)


@weight_gradient.mistake(
    "The gradient points the wrong way: data minus model, as the log-likelihood is to rise."
)
def subtracts_the_data_from_the_model(log_p, weights, data):
    total = weights @ log_p
    log_prob = total - total.max() - np.log(np.exp(total - total.max()).sum())
    return log_prob[data].mean(), log_p @ np.exp(log_prob) - log_p[:, data].mean(1)


@weight_gradient.mistake(
    "log Z depends on the weights, too: its gradient, the mean under the model, is missing."
)
def forgets_the_gradient_of_log_z(log_p, weights, data):
    total = weights @ log_p
    log_prob = total - total.max() - np.log(np.exp(total - total.max()).sum())
    return log_prob[data].mean(), log_p[:, data].mean(1)


@weight_gradient.mistake(
    "The second mean is taken under the weighted product, with the present weights, not all 1."
)
def takes_the_model_with_all_weights_one(log_p, weights, data):
    total, plain = weights @ log_p, log_p.sum(0)
    log_prob = total - total.max() - np.log(np.exp(total - total.max()).sum())
    p = np.exp(plain - plain.max())
    return log_prob[data].mean(), log_p[:, data].mean(1) - log_p @ (p / p.sum())


@weight_gradient.mistake("The *mean* over the data is asked for, of the log-likelihood and of its gradient.")
def sums_over_the_data(log_p, weights, data):
    total = weights @ log_p
    log_prob = total - total.max() - np.log(np.exp(total - total.max()).sum())
    return log_prob[data].sum(), (log_p[:, data] - (log_p @ np.exp(log_prob))[:, None]).sum(1)


@weight_gradient.mistake("log p(x) = Σ w_m log p_m(x) - log Z: the likelihood needs log Z.")
def leaves_log_z_out_of_the_likelihood(log_p, weights, data):
    total = weights @ log_p
    p = np.exp(total - total.max())
    return total[data].mean(), log_p[:, data].mean(1) - log_p @ (p / p.sum())


@weight_gradient.mistake(
    "exp over- or underflows: subtract the largest Σ w_m log p_m(x) first, and add it to log Z."
)
def exponentiates_without_subtracting_the_largest(log_p, weights, data):
    total = weights @ log_p
    z = np.exp(total).sum()
    return total[data].mean() - np.log(z), log_p[:, data].mean(1) - log_p @ (np.exp(total) / z)


@weight_gradient.mistake("Under the model states are not equally probable: weigh them with p(x).")
def takes_all_states_for_equally_probable(log_p, weights, data):
    total = weights @ log_p
    log_prob = total - total.max() - np.log(np.exp(total - total.max()).sum())
    return log_prob[data].mean(), log_p[:, data].mean(1) - log_p.mean(1)


@weight_gradient.mistake("The derivative of w_m log p_m(x) is log p_m(x): the weight itself does not stay.")
def keeps_the_weight_in_the_derivative(log_p, weights, data):
    total = weights @ log_p
    log_prob = total - total.max() - np.log(np.exp(total - total.max()).sum())
    return log_prob[data].mean(), weights * (log_p[:, data].mean(1) - log_p @ np.exp(log_prob))


@weight_gradient.alternative
def gradient_by_autograd(log_p, weights, data):
    import torch

    w = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
    log_prob = torch.log_softmax(w @ torch.tensor(log_p, dtype=torch.float64), 0)
    value = log_prob[torch.tensor(data)].mean()
    (gradient,) = torch.autograd.grad(value, w)
    return value.item(), gradient.numpy()


@weight_gradient.alternative
def gradient_by_counting_the_data(log_p, weights, data):
    K = log_p.shape[1]
    share = np.bincount(data, minlength=K) / len(data)
    total = weights @ log_p
    log_prob = total - np.logaddexp.reduce(total)
    return share @ log_prob, log_p @ (share - np.exp(log_prob))


@weight_gradient.alternative
def gradient_by_loops(log_p, weights, data):

    import math

    M, K = log_p.shape
    total = [sum(weights[m] * log_p[m, k] for m in range(M)) for k in range(K)]
    top = max(total)
    log_z = top + math.log(sum(math.exp(t - top) for t in total))
    p = [math.exp(t - log_z) for t in total]
    value = sum(total[x] - log_z for x in data) / len(data)
    gradient = []
    for m in range(M):
        seen = sum(log_p[m, x] for x in data) / len(data)
        gradient.append(seen - sum(p[k] * log_p[m, k] for k in range(K)))
    return value, gradient
