"""The table of benches/README.md, made from the results; held to them by `report --check`."""

import json
import os
import re

from . import machine
from .process import ROOT, Fault

README = os.path.join(ROOT, "benches/README.md")
RESULTS = os.path.join(ROOT, "benches/results/report.json")
BEGIN, END = "<!-- begin: benches/report -->", "<!-- end: benches/report -->"


def shown(value, unit):
    """A number with its unit, in as many digits as are worth reading."""
    digits = 0 if abs(value) >= 100 else 2 if unit == "x" or abs(value) < 1 else 1
    return "%.*f%s%s" % (digits, value, " " if unit not in ("", "%") else "", unit)


def cell(outcome):
    """What a row came to, a line for each case."""
    cases = {}
    for check in outcome["checks"]:
        text = "%s %s" % (shown(check["value"], check["unit"]), check["what"])
        if check["met"] is False:
            limit = shown(check["limit"], check["unit"])
            text = "**%s** (bar: %s %s)" % (text, check["sense"].replace("<=", "≤").replace(
                ">=", "≥"), limit)
        cases.setdefault(check["case"], []).append(text)
    lines = ["%s: %s" % (case, ", ".join(texts)) for case, texts in cases.items()]
    if outcome.get("error"):
        lines.append("failed: " + outcome["error"].splitlines()[0].replace("|", "/"))
    return "<br>".join(lines)


def verdict(outcome):
    """met, NOT met, or how many of the row's numbers are."""
    held = [check["met"] for check in outcome["checks"] if check["met"] is not None]
    if outcome.get("error"):
        return "failed"
    return "yes" if held and all(held) else "**no** (%d of %d)" % (sum(held), len(held))


def section(results, rows):
    """The part of the README between the marks."""
    lines = ["| row | work | bar | measured | met |", "|---|---|---|---|---|"]
    notes, stamps = [], {}
    for row in rows:
        outcome = results["rows"].get(row.name)
        if outcome is None:
            lines.append("| `%s` | %s | %s | not measured yet | |" % (row.name, row.work, row.bar))
            continue
        lines.append("| `%s` | %s | %s | %s | %s |" % (
            row.name, row.work, row.bar, cell(outcome), verdict(outcome)))
        notes += ["- `%s`: %s" % (row.name, note) for note in outcome["notes"]]
        stamp = (outcome["date"][:10], outcome["revision"], outcome["repeats"],
                 outcome["seconds"], outcome["busy_percent"])
        stamps.setdefault(stamp[:4], []).append((row.name, stamp[4]))
    lines += [""]
    if results["rows"]:
        lines += [provenance(results, stamps, len(rows)), ""]
    return "\n".join(lines + notes) + "\n"


def provenance(results, stamps, count):
    """Machine, versions, and what was measured when; `count` is that of all rows."""
    lines = ["Machine: %s. Versions: %s." % (
        machine.describe(results["machine"]),
        ", ".join("%s %s" % (name, version)
                  for name, version in sorted(results["versions"].items())))]
    for (date, revision, repeats, seconds), rows in stamps.items():
        busy = [percent for _, percent in rows]
        names = ", ".join("`%s`" % name for name, _ in rows)
        if len(rows) == count:
            names = "all rows"
        lines.append("Measured %s at %s (%s): medians of %d round(s) of %g s; in the second before a "
                     "row, others took %.0f to %.0f%% of the cores." % (
                         date, revision, names, repeats, seconds, min(busy), max(busy)))
    return " ".join(lines)


def load_results(path=RESULTS):
    """The results kept, or none."""
    if not os.path.exists(path):
        return {"machine": {}, "versions": {}, "rows": {}}
    with open(path) as kept:
        return json.load(kept)


def keep_results(results, path=RESULTS):
    with open(path, "w") as out:
        json.dump(results, out, indent=1)
        out.write("\n")


def rewritten(results, rows):
    """The README as it should be."""
    with open(README) as readme:
        text = readme.read()
    marked = re.compile("(?<=%s\n).*(?=%s)" % (re.escape(BEGIN), re.escape(END)), re.S)
    if not marked.search(text):
        raise Fault("%s lacks the marks %s and %s" % (README, BEGIN, END))
    return text, marked.sub(lambda _: "\n" + section(results, rows) + "\n", text)


def write(results, rows):
    """Puts the table into the README."""
    _, new = rewritten(results, rows)
    with open(README, "w") as out:
        out.write(new)


def check(rows):
    """What is wrong with the README's table, or None."""
    old, new = rewritten(load_results(), rows)
    if old == new:
        return None
    return "the table of benches/README.md is not what benches/results/report.json says: " \
        "run benches/report --table"
