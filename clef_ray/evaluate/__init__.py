"""Judging a trained encoder: frozen features in, metrics with patient-level intervals out.

    records --embedder--> features_ND --run_task(task, ...)--> TaskResult --> tracking, report
                                          |
                          kind "classes", "values"    +-- problem.py, modes/: a learner on training patients; metrics/
                          kind "zeroshot"             +-- rank agreement with a risk score; no target label is fitted
                          kind "beats"                +-- leave-record-out
                          kind "identification", "geometry", "shift"

All stand on the same three files: `inputs.py` (the patient-safe split and the checks), `statistics.py` (rank statistics under
any record weights, exact with ties) and `bootstrap.py` (resampling *patients*, intervals, and the comparison of arms over seeds).
Two evaluations of the same test patients with the same seed see the same resamples, so arms are compared replicate by replicate.
Nothing here needs Ray; torch only what runs an encoder: `embedder.py`, `features.py`, `monitor.py`, `identification.py` and fine-tuning.
"""
