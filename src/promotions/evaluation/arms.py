"""How well a score ranks customers, from the observed outcomes of the arms, by other packages' definitions.

These metrics serve comparison with numbers from elsewhere. They are nonlinear in the sizes of the arms and have no
intervals; the metrics that we report are in ``promotions.evaluation.ranking``. Every definition averages over ties.
``docs/reference/definitions.md`` sets them side by side.
"""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from promotions.base.errors import InputError
from promotions.inference.ties import Priority, RankGroups, find_ties


@dataclass(frozen=True)
class Arms:
    """What is observed of n customers: outcome, treatment (0/1) and P(T = 1), the design's or estimated; each (n,)."""

    outcome: NDArray[np.float64]
    treatment: NDArray[np.int8]
    propensity: NDArray[np.float64]

    @property
    def weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(1 − T)/(1 − e) and T/e, each (n,). Raises InputError if an arm is empty."""
        if not 0 < self.treatment.sum() < len(self.treatment):
            raise InputError(
                f"{self.treatment.sum()} of {len(self.treatment)} customers were treated: "
                "comparing the arms needs some in each."
            )
        return (1 - self.treatment) / (1 - self.propensity), self.treatment / self.propensity

    @property
    def binary(self) -> bool:
        """Whether outcomes are 0 and 1 only."""
        return bool(np.isin(self.outcome, (0, 1)).all())


def metrics_as_elsewhere(arms: Arms, priority: Priority, shares: tuple[int, ...]) -> dict[str, float]:
    """All metrics of this module that are defined, by name.

    A perfect order needs outcomes 0 and 1; an uplift at a share needs both arms among the best.

    shares: k of uplift@k, per cent of the customers.
    """
    priority = find_ties(priority)
    functions = [qini_raw, qini_normalised_by_ate, auuc_raw, auuc_normalised_by_ate]
    if arms.binary:
        functions += [qini_normalised_by_perfect, auuc_normalised_by_perfect]
    metrics = {function.__name__: function(arms, priority) for function in functions}
    for share in shares:
        for name, uplift in (("overall", uplift_at_overall), ("by_group", uplift_at_by_group)):
            with suppress(InputError):
                metrics[f"uplift_at_{share}_{name}"] = uplift(arms, priority, share / 100)
    return metrics


@dataclass(frozen=True)
class Curve:
    """A curve over the number of customers treated, straight between its points. position, value: (points,)."""

    position: NDArray[np.float64]
    value: NDArray[np.float64]

    @property
    def end(self) -> float:
        """Its value where everybody is treated."""
        return float(self.value[-1])

    def mean(self) -> float:
        """Mean over 0, 1, …, n customers treated."""
        return float(np.interp(np.arange(self.position[-1] + 1), self.position, self.value).mean())

    def area_above_chord(self) -> float:
        """Area between the curve and the straight line to its end."""
        return float(np.trapezoid(self.value, self.position) - self.position[-1] * self.end / 2)


def arm_gain_curve(arms: Arms, priority: Priority) -> Curve:
    """Gain i·(Ȳ₁(i) − Ȳ₀(i)) of treating the best i customers, from the means of the two arms among them.

    causalml's ``get_cumgain`` and scikit-uplift's ``uplift_curve``. Means are weighted by 1/e_T; both packages assume a
    constant propensity, which makes all weights equal. The curve has a point at the end of each tie and straight lines
    between. While an arm is empty, the uplift rises in a line from 0, as in causalml.
    """
    best = _Best.of(arms, priority)
    return best.curve(best.position * _bridged(best.position, best.treated - best.control))


def arm_qini_curve(arms: Arms, priority: Priority) -> Curve:
    """Radcliffe's Qini curve N₁(i)·(Ȳ₁(i) − Ȳ₀(i)) = ΣY₁ − ΣY₀·N₁/N₀ among the best i: gain counted on the treated.

    causalml's ``get_qini`` and scikit-uplift's ``qini_curve``. About e times ``arm_gain_curve``. It is 0 while the best
    hold no treated customer, and a line from 0 while they hold no control customer. The rest is as in
    ``arm_gain_curve``. Source: Radcliffe (2007).
    """
    best = _Best.of(arms, priority)
    gain = np.where(best.treated_count > 0, best.treated_count * (best.treated - best.control), 0)
    return best.curve(_bridged(best.position, gain))


def auuc_raw(arms: Arms, priority: Priority) -> float:
    """Mean of ``arm_gain_curve`` over 0 … n treated: causalml's ``auuc_score(normalize=False)``, in sums of outcome.

    About n times ``auuc``. A random order has half the end of the curve.
    """
    return arm_gain_curve(arms, priority).mean()


def auuc_normalised_by_ate(arms: Arms, priority: Priority) -> float:
    """``auuc_raw`` over |end of the curve| = n·|ATE|: causalml's ``auuc_score`` by default. A random order has ±½.

    0 if the effect is exactly 0. Unstable where it is near 0.
    """
    curve = arm_gain_curve(arms, priority)
    return _ratio(curve.mean(), abs(curve.end))


def auuc_normalised_by_perfect(arms: Arms, priority: Priority) -> float:
    """Area of the gain curve above its chord, over that of the perfect order: scikit-uplift's ``uplift_auc_score``.

    For outcomes 0/1. The perfect order puts treated responders and control non-responders first. Among equals it
    follows scikit-uplift: responders come first if control has more of them than the treated arm has non-responders,
    else the treated do. An empty arm counts as a mean of 0. Only that order's coarseness can lead to values above 1.
    """
    _require_binary(arms)
    outcome, treatment = arms.outcome, arms.treatment
    more_control_responders = ((outcome == 1) & (treatment == 0)).sum() > ((outcome == 0) & (treatment == 1)).sum()
    second = outcome if more_control_responders else treatment
    perfect = 2.0 * (outcome == treatment) + second
    areas = []
    for order in (priority, perfect):
        best = _Best.of(arms, order)
        areas.append(best.curve(best.position * best.uplift_with_empty_arms_at_zero).area_above_chord())
    return _ratio(areas[0], areas[1])


def qini_raw(arms: Arms, priority: Priority) -> float:
    """Mean of ``arm_qini_curve`` over 0 … n less that of its chord: causalml's ``qini_score(normalize=False)``.

    In sums of outcome on the treated: about e·n times ``qini``. Source: Radcliffe (2007).
    """
    curve = arm_qini_curve(arms, priority)
    return curve.mean() - curve.end / 2


def qini_normalised_by_ate(arms: Arms, priority: Priority) -> float:
    """``qini_raw`` over |end of the curve| = N₁·|ATE|: causalml's ``qini_score`` by default.

    0 if the effect is exactly 0. Unstable where it is near 0.
    """
    curve = arm_qini_curve(arms, priority)
    return _ratio(curve.mean() - curve.end / 2, abs(curve.end))


def qini_normalised_by_perfect(arms: Arms, priority: Priority) -> float:
    """Area of Radcliffe's curve above its chord, over that of the perfect order: scikit-uplift's ``qini_auc_score``.

    For outcomes 0/1, negative effects included (its default): the perfect order has treated responders first, control
    responders last, T·Y − (1 − T)·Y. Nobody can know that order, so values are small even for the truth. An empty arm
    counts as a mean of 0. Source: Radcliffe (2007), for the coefficient; scikit-uplift for the perfect curve.
    """
    _require_binary(arms)
    areas = []
    for order in (priority, arms.outcome * (2.0 * arms.treatment - 1)):
        best = _Best.of(arms, order)
        areas.append(best.curve(best.treated_count * best.uplift_with_empty_arms_at_zero).area_above_chord())
    return _ratio(areas[0], areas[1])


def uplift_at_overall(arms: Arms, priority: Priority, share: float) -> float:
    """uplift@k, overall: treated minus control mean outcome among the best ``share`` of all customers.

    scikit-uplift's ``uplift_at_k(strategy="overall")`` and causalml's ``get_cumlift`` at row k·n, if k·n is whole and
    there are no ties. Here a tie at the border counts in proportion. Means are weighted by 1/e_T.
    """
    best = RankGroups.between(priority, np.array([0.0, share])).above[:, 1]
    control, treated = arms.weights
    return _difference(arms.outcome, best * control, best * treated, share)


def uplift_at_by_group(arms: Arms, priority: Priority, share: float) -> float:
    """uplift@k, by group: mean outcome of the best ``share`` of the treated minus that of the best of control.

    scikit-uplift's ``uplift_at_k(strategy="by_group")``, under the same conditions. The share of an arm is a share of
    its weight 1/e_T, so that both parts represent the same customers.
    """
    ties = find_ties(priority)
    parts = []
    for arm in arms.weights:
        by_tie = np.bincount(ties.group, weights=arm)
        start = np.cumsum(by_tie) - by_tie
        within = np.clip(share * by_tie.sum() - start, 0, by_tie)
        parts.append(arm * np.divide(within, by_tie, out=np.zeros_like(by_tie), where=by_tie > 0)[ties.group])
    return _difference(arms.outcome, parts[0], parts[1], share)


@dataclass(frozen=True)
class _Best:
    """Number treated and mean outcome of each arm among the best i customers, i = 0 and the end of each tie.

    All (points,). The mean of an arm without customers is nan.
    """

    position: NDArray[np.float64]
    treated_count: NDArray[np.float64]
    treated: NDArray[np.float64]
    control: NDArray[np.float64]

    @classmethod
    def of(cls, arms: Arms, priority: Priority) -> "_Best":
        ties = find_ties(priority)

        def running(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.concatenate([[0.0], np.cumsum(np.bincount(ties.group, weights=values))])

        means = []
        for weight, members in zip(arms.weights, (1 - arms.treatment, arms.treatment), strict=True):
            anybody = running(members.astype(np.float64)) > 0
            empty = np.full(len(anybody), np.nan)
            means.append(np.divide(running(weight * arms.outcome), running(weight), out=empty, where=anybody))
        position = np.concatenate([[0], ties.stop]).astype(np.float64)
        return cls(position, running(arms.treatment.astype(np.float64)), means[1], means[0])

    @property
    def uplift_with_empty_arms_at_zero(self) -> NDArray[np.float64]:
        """scikit-uplift's rule where an arm is empty."""
        return np.nan_to_num(self.treated) - np.nan_to_num(self.control)

    def curve(self, value: NDArray[np.float64]) -> Curve:
        return Curve(self.position, value)


def _bridged(position: NDArray[np.float64], value: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values, with nan replaced by straight lines that start from 0 at position 0."""
    defined = ~np.isnan(value)
    return np.interp(position, np.append(0.0, position[defined]), np.append(0.0, value[defined]))


def _difference(
    outcome: NDArray[np.float64], control: NDArray[np.float64], treated: NDArray[np.float64], share: float
) -> float:
    if not (control.any() and treated.any()):
        arm = "treated" if control.any() else "control"
        raise InputError(f"Among the best {share:.2%} of the customers there is no {arm} one: choose a larger share.")
    return float(treated @ outcome / treated.sum() - control @ outcome / control.sum())


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator != 0 else 0.0


def _require_binary(arms: Arms) -> None:
    if not arms.binary:
        raise InputError("The perfect order is defined for outcomes 0 and 1 only: use qini or qini_normalised_by_ate.")
