"""The rows of the speed table: what each measures, its bar, and what it came to."""

import collections

# `measure(bench, outcome)` does the work; `seconds` is what it takes, about, on a quiet machine.
Row = collections.namedtuple("Row", "name work bar seconds measure")


class Outcome:
    """What one row came to: numbers held against the bar, and notes."""

    def __init__(self):
        self.checks = []
        self.notes = []
        self.numbers = {}

    def at_least(self, case, what, value, limit, unit="x"):
        self._check(case, what, value, ">=", limit, unit, value >= limit)

    def above(self, case, what, value, limit, unit="x"):
        self._check(case, what, value, ">", limit, unit, value > limit)

    def at_most(self, case, what, value, limit, unit="x"):
        self._check(case, what, value, "<=", limit, unit, value <= limit)

    def told(self, case, what, value, unit):
        """A number without a bar."""
        self._check(case, what, value, None, None, unit, None)

    def note(self, text):
        """What is measured, exactly, or what limits it."""
        self.notes.append(text)

    def keep(self, case, runs):
        """The numbers behind the ratios."""
        self.numbers[case] = runs.medians()

    def _check(self, case, what, value, sense, limit, unit, met):
        self.checks.append({
            "case": case, "what": what, "value": round(value, 4), "sense": sense,
            "limit": limit, "unit": unit, "met": met})
