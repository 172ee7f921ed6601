"""The settings that experiments start from."""

from collections.abc import Mapping
from typing import Any

#: Minutes on two cores. The ablations of guidance share it, so that an arm that several of them have is trained once: whole windows, since `RECIPE` lowers
#: the agreement with the risk score that they are about.
EMBEDDED_BUDGET: Mapping[str, Any] = {
    "signals.fs": 100,
    "signals.seconds": 5,  # half the published window: twice the training steps in the same time
    "views.lead": "I",
    "optimiser.batch": 128,
    "optimiser.epochs": 8,
    "optimiser.lr": 1e-3,
}

#: The recipe with which CLEF, SimCLR and MoCo (and BYOL with settings of its own) beat the encoder they start from on 1,987 recordings of PTB-XL
#: (README, "A real bar"): at 100 Hz, two views of a lead, each cut from the window by itself. Where methods are compared, it is the default.
RECIPE: Mapping[str, Any] = {
    "signals.fs": 100,
    "signals.seconds": 10,
    "views.lead": "I",
    "views.seconds": 2.5,
    "optimiser.batch": 64,
    "optimiser.epochs": 10,
    "optimiser.lr": 3e-3,
}

#: On top of either, with --smoke.
SMOKE_BUDGET: Mapping[str, Any] = {"optimiser.epochs": 2}

#: What the report proposes after the embedded budget.
LARGER_BUDGET = "--data synthetic:patients=20000 --seeds 5 --set signals.seconds=10 --set optimiser.epochs=50"
