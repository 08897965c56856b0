"""The command line: ``python -m kdcourse doctor``."""

import sys

from . import doctor

USAGE = "usage: python -m kdcourse doctor"


def main(arguments: list[str]) -> int:
    """Run the command line; return the exit code: 0, or 2 for a wrong call."""
    if arguments != ["doctor"]:
        print(USAGE, file=sys.stderr)
        return 2
    doctor.examine()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
