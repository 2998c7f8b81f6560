"""`python -m feedbus` and the command `feedbus`. Signals are handled before anything else is imported."""

import sys

from feedbus.commands import signals


def main() -> int:
    """Run the command that the arguments of the process name, and return the exit status."""
    signals.begin()
    from feedbus import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
