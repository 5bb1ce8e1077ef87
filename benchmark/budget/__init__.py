"""The error budget: what each step from decoding to the mean can move, measured on items of a release."""

from mitds.benchmark.budget.measuring import measure_budget
from mitds.benchmark.budget.page import write_budget
from mitds.benchmark.budget.steps import DEFAULT_METRICS, BudgetRow

__all__ = ["DEFAULT_METRICS", "BudgetRow", "measure_budget", "write_budget"]
