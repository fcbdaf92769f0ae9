"""The table at the end of a trace, as `strace -c` prints it: calls, errors and time of each function."""

from __future__ import annotations


class Summary:
    """Calls, errors and seconds by function."""

    def __init__(self) -> None:
        self.calls: dict[str, int] = {}
        self.errors: dict[str, int] = {}
        self.seconds: dict[str, float] = {}

    def add(self, function: str, seconds: float, failed: bool) -> None:
        """Count a call."""
        self.calls[function] = self.calls.get(function, 0) + 1
        self.seconds[function] = self.seconds.get(function, 0.0) + seconds
        if failed:
            self.errors[function] = self.errors.get(function, 0) + 1

    def table(self) -> str:
        """The table, the function that took the most time first."""
        lines = ["% time     seconds  usecs/call     calls    errors function"]
        lines.append("------ ----------- ----------- --------- --------- --------------------")
        total = sum(self.seconds.values())
        for function in sorted(self.calls, key=lambda name: (-self.seconds[name], name)):
            calls, seconds = self.calls[function], self.seconds[function]
            share = 100 * seconds / total if total else 0.0
            errors = self.errors.get(function, "")
            lines.append(f"{share:6.2f} {seconds:11.6f} {seconds * 1e6 / calls:11.1f} {calls:9} {errors:>9} {function}")
        lines.append(lines[1])
        calls, errors = sum(self.calls.values()), sum(self.errors.values()) or ""
        lines.append(f"100.00 {total:11.6f} {'':11} {calls:9} {errors:>9} total")
        return "\n".join(lines)
