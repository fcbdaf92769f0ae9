"""`python -m wasihost`."""

from wasihost.cli import main

if __name__ == "__main__":
    main(prog_name="wasihost")
