"""Policies: what a guest may read, write and call of what its config gives it, as a file that a person can read.

Rules of this package: a policy narrows and never widens, so everything here is a hook that refuses, or a config with
less in it. Paths are judged as the guest names them, with every link resolved; the call is then made with the path
that was judged.

    rules        `Policy`: its rules as values, and what they allow
    files        a policy from a TOML file, and to one
    needs        which paths and which of clocks, sockets ... a call needs
    places       where a path leads: links resolved, names of descriptors
    enforcing    the hook that refuses what a policy does not allow
    learning     the hook that notes what a run needs, and the policy made of it
    runs         both as options of a run
"""

from __future__ import annotations

from wasihost.policy.enforcing import Enforcer
from wasihost.policy.learning import Learner
from wasihost.policy.rules import Policy
from wasihost.stats import Refusal

__all__ = ["Enforcer", "Learner", "Policy", "Refusal"]
