"""Judging a trained encoder: frozen features in, metrics with patient-level intervals out.

    records --embedder--> features_ND --run_task(task, ...)--> TaskResult --> tracking, report
                                          |
                          kind "probe"    +-- probe.py:    linear readout; AUROC and F1 per label set
                          kind "zeroshot" +-- zeroshot.py: rank agreement with a risk score; no target label is fitted

Both modes stand on the same three files: `inputs.py` (the patient-safe split and the checks), `statistics.py` (rank statistics under
any record weights, exact with ties) and `bootstrap.py` (resampling *patients*, intervals, and the comparison of arms over seeds).
Two evaluations of the same test patients with the same seed see the same resamples, so arms are compared replicate by replicate.
Nothing here needs Ray; torch only `embedder.py`, which turns signals into features, and `monitor.py`, which watches an encoder train.
"""
