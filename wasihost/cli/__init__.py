"""The `wasihost` command: from arguments to a run, from how it ended to an exit status.

Rules of this package: a plain run imports only `options`, `readers`, `launch` and `fast_path` of it, and never click.
Every option of `run` stands in one table (`options.OPTIONS`), which both parsers read.

    bytecode      the bytecode of what a run imports, in one file
    options       the table of options, and a parser that is enough for a correct command line
    readers       text to the values of options
    click_app     the same table for click: help, messages about mistakes, completion
    click_options the options that several commands have, for click
    launch        from options to a config, a run, and an exit status
    fast_path     a plain run, which imports as little as it can
    shipping      the commands that make what is shipped: `compile`, `build`, `wheel`
    map_command   the command that runs a program for many files: `map`
    batch         its runs: a file in, a file out
    records       what it has done in a folder, for the next one
    progress      a message on the terminal while a large module is compiled
    calls         handlers, hooks and traces that a command line names
    overlays      directories that a guest changes on trial
    stats_table   what a guest used, as a table
    hints         messages for a command line that cannot work
"""
