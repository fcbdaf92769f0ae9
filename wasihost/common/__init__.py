"""What several rooms need and none owns.

Rules of this package: it knows neither guests nor engines, and of the rest of wasihost only `errors` and `outcomes`.

    forking       what a fork must not break
    unpatched     `select`, `threading` and `time` of Python's own, also under gevent and eventlet
    cached        `cached_property` without a lock
    cache_folder  where compiled modules are kept
    auditing      what `sys.addaudithook` is told
    logs          the log
    interrupts    where signal handlers and tracers must not raise
    names         how names that come from a module are shown
    sizes         sizes as text, such as 64MiB
"""
