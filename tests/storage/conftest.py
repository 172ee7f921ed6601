"""The toys of the trackers' and the studies' tests."""

import sys
from pathlib import Path

for folder in ("tracking", "studies"):
    sys.path.append(str(Path(__file__).parent.parent / folder))
