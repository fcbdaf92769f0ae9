"""What several rooms use and none owns.

Rules of this package: it knows neither guests nor engines, and of the rest of wasihost only `errors` and `outcomes`.

    forking       hooks before and after a fork
    unpatched     the original `select`, `threading` and `time`, also under gevent and eventlet
    threads       threads and waits that a raising signal handler cannot leave half done
    cached        `cached_property` without a lock
    cache_folder  where compiled modules are kept
    auditing      events for `sys.addaudithook`
    logs          warnings by `logging`
    interrupts    functions in which signal handlers and tracers must not raise
    names         how names that come from a module are displayed
    sizes         sizes as text, such as 64MiB
"""
