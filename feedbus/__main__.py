"""`python -m feedbus` is the command `feedbus`."""

import sys

from feedbus.cli import main

sys.exit(main())
