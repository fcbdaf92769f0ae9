"""From one guest to many: a module over many inputs, an export as a function, instances kept ready.

    results     what `map` returns for one input
    references  a module as a task carries it: by digest, with a path or its bytes
    threads     threads that run guests and never keep Python from ending
    tasks       one input's runs, in this process or in one of an executor
    mapping     `map`: inputs in, results out, a bounded number between them
    function    `function`: an export as a Python function
    signature   its types, as they are declared and as the export has them
    cluster     `publish`: a module on all workers of a Dask cluster
    cluster_plugin  what each of its workers runs for that
    warm        instances that are kept between its calls
    pools       `Module.pool`: instances that are ready, each for one use
    snapshot    an initialized instance's state, and new ones that begin with it
    progress    what shows how far it is: tqdm, or a function of the caller's

Rules of this room:

- Whatever crosses to another process pickles. A module travels by its digest; its bytes only where they are missing.
- An executor that was passed stays open, and is asked for nothing but `submit`.
- What ends early ends everything: waiting inputs are cancelled, and guests that run in this process are ended.
"""
