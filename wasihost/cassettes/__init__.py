"""Record the results of a guest's calls and return them again, without files, clock, network or randomness.

    run("tool.wasm", record="tool.cassette", dirs={"/": "data"})
    run("tool.wasm", replay="tool.cassette")                            # no folder is needed

Rules of this package: a cassette is a hook, inside all others, so it sees what the host does and nothing of other
hooks. What is read from a file is checked before it is used: a damaged cassette is a `CassetteError`.

    cassette    `Cassette`: a file with episodes, one for each guest; modes
    store       the file: how it is read, checked and replaced
    values      values of a spec as JSON, and back
    memory      what a call reads and writes in the guest's memory
    recorder    the hook that records
    player      the hook that replays
    choice      the options of a run
    errors      `CassetteError` and `ReplayError`
"""

from wasihost.cassettes.cassette import Cassette
from wasihost.cassettes.errors import CassetteError, ReplayError

__all__ = ["Cassette", "CassetteError", "ReplayError"]
