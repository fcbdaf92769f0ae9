"""What embedders call: `run`, `run_async`, `start` and `instantiate`, as `wasihost` exports them.

Rules of this package: each module is one way to have a guest run; what a guest is stands in `guest`.

    run          as `subprocess.run`
    run_async    the same for asyncio
    start        a guest in a thread of its own, with pipes to talk with it
    process      what `start` returns, as a `subprocess.Popen`
    pipes        the caller's ends of its pipes
    background   the thread
    instantiate  a guest that stays, to be called
    signatures   the options that they share, for `help()` and type checkers
"""
