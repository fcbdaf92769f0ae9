"""What a guest used, as the table that `--stats` prints."""

from __future__ import annotations

from wasihost.outcomes import printable
from wasihost.stats import Stats


def table(stats: Stats) -> str:
    """Returns the table as text of several lines, without a newline at the end."""
    lines = [
        f"wall time    {stats.wall:.3f} s",
        f"CPU time     {stats.cpu:.3f} s",
        f"peak memory  {stats.peak_memory / (1 << 20):.1f} MiB",
    ]
    if stats.fuel is not None:
        lines.append(f"fuel         {stats.fuel:,}")
    if stats.limits:
        lines.append(f"limits met   {', '.join(stats.limits)}")
    if stats.isolation:
        lines.append(f"held by      {', '.join(stats.isolation)}")
    if stats.calls:
        lines += ["", f"{'function':28} {'calls':>12} {'bytes':>16}"]
        for name, calls in sorted(stats.calls.items(), key=lambda item: -item[1]):
            moved = stats.bytes.get(name)
            lines.append(f"{name:28} {calls:>12,}" + (f" {moved:>16,}" if moved else ""))
    if stats.paths:
        lines += ["", "paths", *(f"  {printable(path)}" for path in sorted(stats.paths))]
        if stats.paths_omitted:
            lines.append(f"  and others, named {stats.paths_omitted:,} times")
    return "\n".join(lines)
