"""The figures in words: a table for each row, whether the targets are met, and how to read it."""

from statistics import median

from measure import FIGURES
from rows import PEERS

WORDS = {"wall": "wall time", "cpu": "CPU time", "peak": "peak memory"}

LEGEND = """\
How to read it. Each figure is the median of the rounds; in brackets the lowest and the highest. CPU is user and system
time of the program and all that it starts; peak memory is that of its largest process. The ratios are mailferry's
figure divided by the other program's in the same round, and of these the median: below 1 mailferry needs less. They say
more than the figures themselves, because whatever else the machine does slows down both. Syncs are the calls of fsync
and its kind, counted in a run of its own. A program that did not deliver every message has FAILED and has no figure.
"""


def ratios(result, figure, names, of=min):
    """mailferry's figure divided by the lowest, or with max the highest, of other programs', round by round."""
    there = [result.runs[name] for name in names if name in result.runs]
    rounds = zip(result.runs.get("mailferry", []), *there)
    return [
        getattr(own, figure) / max(of(getattr(other, figure) for other in others if other), 1e-6)
        for own, *others in rounds if own and any(others)
    ]


def spread(values, digits):
    if not values:
        return "FAILED"
    middle, least, most = (f"{value:.{digits}f}" for value in (median(values), min(values), max(values)))
    return middle if least == most else f"{middle} ({least} to {most})"


def digits(figure):
    return {"wall": 3, "cpu": 3, "peak": 1}[figure]


def best(result, figure):
    """The peer with the lowest figure."""
    of = {
        name: median(getattr(used, figure) for used in result.used(name))
        for name in result.runs if name != "mailferry" and result.used(name)
    }
    return min(of, key=of.get) if of else None


def judged(result):
    """Each target with what was reached: (target, value or None, whether it is met)."""
    for target in result.row.targets:
        if target.against:
            values = ratios(result, target.figure, target.against, max if target.floors else min)
        else:
            values = [getattr(used, target.figure) for used in result.used("mailferry")]
        value = median(values) if values else None
        yield target, value, value is not None and value <= target.limit


def describe(target, value, met):
    """One line about a target."""
    what = WORDS[target.figure]
    if target.against:
        which = target.against[0] + "'s" if len(target.against) == 1 else "the higher floor's" if target.floors else (
            "the lowest peer's")
        wanted, reached = f"at most {target.limit:g} of {which}", f"{value:.2f}" if value is not None else ""
    else:
        unit = FIGURES[target.figure]
        wanted = f"at most {target.limit:g} {unit}"
        reached = f"{value:.{digits(target.figure)}f} {unit}" if value is not None else ""
    verdict = f"{reached}: {'met' if met else 'NOT MET'}" if reached else "no figure"
    return f"target: {what} {wanted}: {verdict}"


def show(result):
    """A row's table, as Markdown."""
    row = result.row
    lines = [f"### {row.name}: {row.title}", "", f"{result.storage}; load average {result.load[0]:.1f} before, "
             f"{result.load[1]:.1f} after", ""]
    titles = ["program", "wall s", "CPU s", "peak MiB", *(["syncs"] if result.syncs else []), "wall ratio", "CPU ratio"]
    lines += ["| " + " | ".join(titles) + " |", "|---" + "|---:" * (len(titles) - 1) + "|"]
    for name in result.runs:
        cells = [name]
        for figure in FIGURES:
            cells.append(spread([getattr(used, figure) for used in result.used(name)], digits(figure)))
        if result.syncs:
            cells.append(f"{result.syncs[name]:,}" if name in result.syncs else "")
        for figure in ("wall", "cpu"):
            values = ratios(result, figure, [name]) if name != "mailferry" else []
            cells.append(f"{median(values):.2f}" if values else "")
        lines.append("| " + " | ".join(cells) + " |")
    lines.append("")
    for name, reasons in result.failures.items():
        lines.append(f"FAILED: {name}, {len(reasons)} of its runs: {reasons[0]}")
    first = best(result, "wall")
    if first and row.others == PEERS:
        values = ratios(result, "wall", [first])
        reached = f"; mailferry takes {median(values):.2f} of its wall time" if values else ""
        lines.append(f"fastest peer: {first}{reached}")
    lines += [describe(*judgement) for judgement in judged(result)]
    return "\n".join(lines) + "\n"


def raw(result):
    """A row's figures for a program to read."""
    runs = [
        dict(program=name, round=number, wall_s=used.wall, user_s=used.user, system_s=used.system, peak_mib=used.peak)
        for name, all_used in result.runs.items() for number, used in enumerate(all_used, 1) if used
    ]
    targets = [
        dict(figure=target.figure, limit=target.limit, against=list(target.against), value=value, met=met)
        for target, value, met in judged(result)
    ]
    return dict(name=result.row.name, title=result.row.title, storage=result.storage, load=result.load, runs=runs,
                syncs=result.syncs, failures=result.failures, targets=targets)
