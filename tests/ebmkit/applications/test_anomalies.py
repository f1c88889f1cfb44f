"""Anomaly scores and ROC curves against counting and scikit-learn."""

import itertools
import math

import pytest
import torch
from application_cases import randn
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from ebmkit import EnergyModel
from ebmkit import applications as app


class Quadratic(EnergyModel):
    event_shape = (2,)

    def energy(self, x):
        return (x**2).sum(-1)


# Few distinct scores, so that ties are common; ±inf are scores like any other.
scored = st.lists(
    st.tuples(st.sampled_from([-math.inf, -1.0, 0.0, 0.5, 2.0, math.inf]), st.booleans()),
    min_size=2,
    max_size=30,
).filter(lambda pairs: 0 < sum(a for _, a in pairs) < len(pairs))


@given(scored)
def test_auc_is_the_share_of_pairs_in_the_right_order_with_ties_counted_half(pairs):
    bad = [s for s, anomalous in pairs if anomalous]
    good = [s for s, anomalous in pairs if not anomalous]
    wins = sum(1.0 if b > g else 0.5 if b == g else 0.0 for b, g in itertools.product(bad, good))
    scores, anomalous = torch.tensor([s for s, _ in pairs]), torch.tensor([a for _, a in pairs])
    assert app.auc(scores, anomalous).item() == wins / (len(bad) * len(good))


@given(scored)
def test_area_under_the_roc_curve_is_the_auc(pairs):
    scores, anomalous = torch.tensor([s for s, _ in pairs]), torch.tensor([a for _, a in pairs])
    curve = app.roc_curve(scores, anomalous)
    area = torch.trapezoid(curve.true_positive_rate, curve.false_positive_rate)
    assert area.item() == pytest.approx(app.auc(scores, anomalous).item(), abs=1e-12)
    for rate, kind in ((curve.false_positive_rate, ~anomalous), (curve.true_positive_rate, anomalous)):
        for r, threshold in list(zip(rate, curve.thresholds))[1:]:
            assert r.item() == pytest.approx((scores[kind] >= threshold).double().mean().item())


def test_scores_may_be_whole_numbers():
    curve = app.roc_curve(torch.tensor([1, 2, 2]), torch.tensor([False, True, False]))
    assert curve.thresholds.tolist() == [math.inf, 2, 1]
    assert app.auc(torch.tensor([1, 2, 2]), torch.tensor([False, True, False])).item() == 0.75


def test_roc_and_auc_agree_with_scikit_learn():
    scores = randn(500).round(decimals=1)
    anomalous = randn(500, seed=1) > 0.5
    curve = app.roc_curve(scores, anomalous)
    flagged, found, _ = metrics.roc_curve(anomalous, scores, drop_intermediate=False)
    torch.testing.assert_close(curve.false_positive_rate, torch.from_numpy(flagged))
    torch.testing.assert_close(curve.true_positive_rate, torch.from_numpy(found))
    assert app.auc(scores, anomalous).item() == pytest.approx(metrics.roc_auc_score(anomalous, scores))


def test_the_ranking_of_anomaly_scores_does_not_depend_on_the_reference():
    x, anomalous = randn(50, 2), torch.arange(50) % 2 == 0
    curves = [app.roc_curve(app.anomaly_scores(Quadratic(), x, r), anomalous) for r in randn(2, 2, seed=1)]
    assert torch.equal(curves[0].true_positive_rate, curves[1].true_positive_rate)
    assert app.anomaly_scores(Quadratic(), x, x[0])[0] == 0


@pytest.mark.parametrize(
    ("scores", "anomalous", "message"),
    [
        (torch.zeros(3), torch.tensor([True, True, True]), "3 anomalous of 3"),
        (torch.zeros(0), torch.zeros(0, dtype=torch.bool), "0 anomalous of 0"),
        (torch.tensor([0.0, math.nan]), torch.tensor([True, False]), "got nan"),
        (torch.zeros(3), torch.tensor([1, 0, 0]), "anomalous bool"),
    ],
)
def test_detection_refuses_what_has_no_roc_curve(scores, anomalous, message):
    for function in (app.roc_curve, app.auc):
        with pytest.raises(ValueError, match=message):
            function(scores, anomalous)
    with pytest.raises(ValueError, match="1 anomaly scores are nan"):
        app.anomaly_scores(Quadratic(), torch.tensor([[math.nan, 0.0]]), torch.zeros(2))
