"""What each trial repeats, read from the parameters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

from promotions.base.errors import InputError
from promotions.base.names import ENSEMBLE
from promotions.base.validation import require_choice, require_keys, require_share, require_whole
from promotions.boosting.settings import Boosting
from promotions.economics import CHARGED
from promotions.learners import Learner, count_fits, make_learner
from promotions.learners.ensemble import METHODS
from promotions.policies import CONSTANTS, POLICIES, GainFamily, read_families

KEYS = ("trials", "customers", "ratios", "train_share", "folds", "learners")
MOST_RATIOS = 10


@dataclass(frozen=True)
class Procedure:
    """What each trial repeats.

    ratios: C/R by the name under which they are reported.  learners: by name, a function from a seed to an unfitted
    learner.  ensemble: how the learners are mixed; None without a mixture.  families: by name, the rules of params.yaml
    that can be learned at many costs at once.  charged: when a contact is paid for.  customers: the most that take part
    in a trial; None: all.  max_levels: see ``fit_encoder``.
    """

    ratios: Mapping[str, float]
    learners: Mapping[str, Callable[[int], Learner]]
    ensemble: str | None
    nuisance: Boosting
    families: Mapping[str, GainFamily]
    charged: str
    customers: int | None
    train_share: float
    folds: int
    max_levels: int

    @classmethod
    def from_params(
        cls,
        stability: Mapping[str, Any],
        learners: Mapping[str, Any],
        *,
        ensemble: Mapping[str, Any],
        nuisance: Mapping[str, Any],
        policies: Mapping[str, Any],
        charged: str,
        max_levels: int,
    ) -> "Procedure":
        """Read the sections of params.yaml. Raises InputError naming the key."""
        require_keys(stability, KEYS, "stability")
        require_whole(stability["trials"], "stability.trials", 2)
        require_choice(ensemble.get("method"), METHODS, "ensemble.method")
        names, most = _chosen(stability["learners"], learners), stability["customers"]
        mixed = ENSEMBLE in names
        makers = {name: partial(make_learner, name, learners[name]) for name in names if name != ENSEMBLE}
        for make in makers.values():
            make(0)  # a wrong parameter is named before anything is fitted
        return cls(
            ratios=read_ratios(stability["ratios"]),
            learners=makers,
            ensemble=ensemble["method"] if mixed else None,
            nuisance=Boosting.from_params(nuisance, "nuisance"),
            families=_repeatable(policies),
            charged=require_choice(charged, CHARGED, "costs.charged"),
            customers=None if most is None else require_whole(most, "stability.customers", 1000),
            train_share=require_share(stability["train_share"], "stability.train_share", below_one=True),
            folds=require_whole(stability["folds"], "stability.folds", 2, 100),
            max_levels=max_levels,
        )

    @property
    def effects(self) -> list[str]:
        """Names of the learners, and of their mixture if there is one."""
        return [*self.learners, *([ENSEMBLE] if self.ensemble else [])]

    @property
    def policies(self) -> list[str]:
        """Names of the policies that are compared at each ratio."""
        return [*CONSTANTS, *(f"{family}.{name}" for name in self.effects for family in self.families)]

    @property
    def steps(self) -> int:
        """How often a trial reports progress."""
        fits = 2 * self.folds + sum(count_fits(make(0), self.folds) for make in self.learners.values())
        rules = len(self.effects) * len(self.ratios)
        return fits + sum(family.steps(rules, self.folds) for family in self.families.values())


def read_ratios(listed: object) -> dict[str, float]:
    """Cost ratios C/R by the name under which they are reported: as it was written, ``1/40`` or ``0.025``.

    listed: fractions as text or numbers, each in (0, 1].  Raises InputError.
    """
    expected = "numbers or fractions in (0, 1], such as [1/60, 1/40, 0.05]"
    if not isinstance(listed, list) or not 1 <= len(listed) <= MOST_RATIOS:
        raise InputError(f"stability.ratios: expected a list of 1 to {MOST_RATIOS} {expected}; got {listed!r}")
    ratios: dict[str, float] = {}
    for value in listed:
        try:
            if isinstance(value, bool) or not isinstance(value, (int, float, str)):
                raise ValueError
            label = "".join(value.split()) if isinstance(value, str) else f"{value:.10g}"
            ratio = float(Fraction(label) if isinstance(value, str) else value)
        except (ValueError, ZeroDivisionError, OverflowError):
            ratio = float("nan")
        if not 0 < ratio <= 1:
            raise InputError(f"stability.ratios: expected {expected}; got {value!r}")
        if label in ratios or ratio in ratios.values():
            raise InputError(f"stability.ratios: {value!r} stands there twice; list each ratio once")
        ratios[label] = ratio
    return dict(sorted(ratios.items(), key=lambda item: item[1]))


def _repeatable(policies: Mapping[str, Any]) -> dict[str, GainFamily]:
    families = read_families(policies)
    repeatable = {name: family for name, family in families.items() if isinstance(family, GainFamily)}
    if not repeatable:
        candidates = (name for name, family in POLICIES.items() if issubclass(family, GainFamily))
        raise InputError(
            f"policy: stability repeats the rules {', '.join(candidates)}; params.yaml lists none of them; add one"
        )
    return repeatable


def _chosen(listed: object, learners: Mapping[str, Any]) -> list[str]:
    names = [*learners, ENSEMBLE]
    if listed == "all":
        return names
    if not isinstance(listed, list) or not listed:
        raise InputError(f"stability.learners: expected all, or a list from {', '.join(names)}; got {listed!r}")
    for name in listed:
        if name not in names:
            raise InputError(f"stability.learners: {name!r} is unknown; it is one of {', '.join(names)}")
    chosen = [name for name in names if name in listed]
    if chosen == [ENSEMBLE]:
        raise InputError("stability.learners: ensemble is a mixture of the listed learners; list at least one of them")
    return chosen
