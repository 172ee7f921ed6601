"""The model card of a registered encoder: what it is for, what it has seen, how good it is, where it ends (Mitchell et al. 2019)."""

from collections.abc import Mapping
from typing import Any

from clef_ray.ablation import Trial
from clef_ray.evaluate.bootstrap import Estimate
from clef_ray.shards import Manifest

_CARD = """\
# {arm}, seed {seed}

An encoder of one-lead ECGs: {seconds:g} s at {fs:g} Hz, in mV, become a vector. Made by clef_ray; run `{fingerprint}`.

## Intended use

Research: features for probes, retrieval and comparison of pretraining methods. **No medical device;** no decision about a patient may rest
on it. It was pretrained on lead {lead}; other leads, devices and populations were not tried unless a metric below says so.

## Use

```python
from clef_ray.tracking.registry import load_registered
z = load_registered(tracking_uri, name, version).embed(signal, fs=500, lead="I")  # mV
```

`embed` takes any recording of 2 s or more and resamples it; the signature is that of `features`: windows of {seconds:g} s at {fs:g} Hz.

## Training data

{dataset}: {records} records of {patients} patients (digest `{digest}`); {excluded} patients were held out of pretraining.
Licence of the data: {data_licence}. {citation}

Method `{method}`, {score}, {epochs} epochs.

## Metrics

{metrics}

The intervals are 95 % over the patients judged on; another seed would differ as well, which they do not show.

## Limits

- Trained with one seed on one corpus; a risk score that guided it is an equation with its own population, and not the patient's outcome.
- Sex, age and ethnicity groups: no claim of equal performance is made. Judge it on your own patients before you rely on a comparison.

## Licence

Code: BSD-3-Clause. The weights derive from data under the licence above; its terms bind whoever passes them on.

## Origin

code {commit}; data `{digest}`; the whole configuration is `config.json`.{command}
"""


def model_card(
    trial: Trial,
    facts: Mapping[str, Any],
    manifest: Manifest,
    metrics: Mapping[str, Estimate],
    lineage: Mapping[str, str],
) -> str:
    """The card as Markdown. facts: the run's record (pretrain.json); metrics: those to show, with their interval over patients."""
    run = trial.run.canonical()
    rows = [f"| {name} | {e.value:.3f} | {e.low:.3f} to {e.high:.3f} |" for name, e in metrics.items()]
    table = "\n".join(["| metric | value | 95 % interval |", "|---|---:|---|", *rows])
    command = lineage.get("command")
    return _CARD.format(
        arm=trial.arm.name,
        seed=trial.seed,
        seconds=run.signals.seconds,
        fs=run.signals.fs,
        fingerprint=run.fingerprint(),
        lead=run.views.lead,
        dataset=manifest.dataset,
        records=facts["records"],
        patients=facts["patients"],
        excluded=facts["patients_excluded"],
        digest=run.data,
        data_licence=manifest.licence,
        citation=manifest.citation,
        method=run.method.name,
        score=f"guided by the score `{run.score.name}`" if run.score else "guided by no risk score",
        epochs=run.epochs,
        metrics=table if rows else "None of the headline metrics could be computed.",
        commit=lineage.get("git_commit", "unknown"),
        command=f"\n\n```\n{command}\n```" if command else "",
    )
