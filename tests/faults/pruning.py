"""A sweep whose every configuration but the first one is stopped early: no embedding has a thousand dimensions to fill."""

from dataclasses import replace

import searching

from clef_ray.search import Stopping

SEARCH = replace(
    searching.SEARCH,
    name="pruning",
    configurations=3,
    stopping=Stopping(rule="none", collapse=1000.0),
)
