"""How much the answer owes to luck: the whole procedure again and again on resamples of one experiment.

A trial divides the customers anew, resamples both sides, refits outcome models and learners once, and measures the
profit of every rule at every cost ratio on customers that nothing was fitted to. Its number describes the whole
procedure, with its customers, folds and seeds; the intervals of ``promotions.evaluation`` take the fitted policies as
given and cover the luck of the reporting customers alone.

The spread over trials is not the standard error of a mean of independent samples. All trials draw from the same
customers, so they overlap; dividing the SD by √trials says how exactly mean and SD are known, not how well the
experiment knows the profit. A trial trains on resampled customers, of which 63 % are distinct: it learns a little less
than the procedure with all of them. With fewer customers than the experiment has (``Procedure.customers``) the spread
is the luck of an experiment of that size, which is larger. Source: Efron & Tibshirani (1993), ch. 6 and 17; clusters:
Cameron, Gelbach & Miller (2008).

Propensities are taken as given. Where they are estimates, the spread is conditional on them: no trial estimates them
anew.
"""

from promotions.stability.draws import Draw, draw_trial
from promotions.stability.procedure import Procedure, read_ratios
from promotions.stability.summary import metrics, summarise
from promotions.stability.trial import Subjects, run_trial

__all__ = ["Draw", "Procedure", "Subjects", "draw_trial", "metrics", "read_ratios", "run_trial", "summarise"]
