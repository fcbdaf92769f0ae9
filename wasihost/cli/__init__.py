"""The `wasihost` command: arguments to a run, its end to an exit status.

Rules of this package: a plain run imports `options`, `launch` and `fast_path` of it, and never click.

    options      the table of options, and a parser for a plain run
    click_app    the same table for click: help, messages, completion
    launch       from options to a config, a run, and an exit status
    fast_path    a plain run, which imports as little as it can
    progress     a word on the terminal while a large module is compiled
    stats_table  what a guest used, for people
    hints        what to say to somebody who typed what cannot work
"""
