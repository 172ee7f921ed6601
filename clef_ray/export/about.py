"""What an exported file says of itself: plain text under the names below, JSON where it is a list or a mapping."""

import json
from importlib.metadata import version

from clef_ray.config import to_dict
from clef_ray.export.programme import INPUT, OUTPUT, leads_of, samples_of
from clef_ray.weights import Weights

#: In a .pt2 file the metadata are one extra file of this name, in an .onnx file its metadata_props.
NAME = "clef_ray.json"


def about(weights: Weights, **more: str) -> dict[str, str]:
    """The metadata: rate fs [Hz], seconds, samples and band [Hz] of training, leads in the input's order, and where the weights are from."""
    low, high = weights.signals.band
    leads = leads_of(weights)
    return {
        "input": (
            f"{INPUT}: float32 [batch, {leads}, samples], one window, band-passed, in mV or any other linear unit; the z-score of every "
            "record and lead is inside"
        ),
        "output": f"{OUTPUT}: float32 [batch, {weights.encoder.dim}]",
        "band_pass": (
            f"Butterworth of order 5, {low:g} to {high:g} Hz, forwards and backwards, the ends continued by odd reflection of 2 s; in SciPy "
            f'sosfiltfilt(butter(5, ({low:g}, {high:g}), "bandpass", fs={weights.signals.fs:g}, output="sos"), x, '
            f"padlen={round(2 * weights.signals.fs)})"
        ),
        "fs": f"{weights.signals.fs:g}",
        "seconds": f"{weights.signals.seconds:g}",
        "samples": str(samples_of(weights)),
        "band": json.dumps(list(weights.signals.band)),
        "leads": json.dumps(list(weights.leads)),
        "leads_at_once": str(leads),
        "encoder": json.dumps(to_dict(weights.spec)),
        "source": weights.source,
        "sha256": weights.sha256 or "",
        "clef_ray": version("clef-ray"),
        **more,
    }
