"""`python -m minidl` is the same as `minidl`."""

import sys

from .cli import main

sys.exit(main())
