"""What answers are measured by, one file per family. Every metric takes weights_BN, how often each record counts in each resample of the patients
(the first row: once), and returns [B]: so each has its interval.

classification.py  decisions: F1, sensitivity and specificity, Fmax, F and G of the challenges, thresholds from validation
calibration.py     are the probabilities right? Brier score, calibration error, reliability curves
regression.py      errors, R2, correlations, the criteria for blood pressure
challenge.py       the scores that challenges ranked their entries by
events.py          marked against found beats

Ranks of scores (AUROC, average precision, Spearman) stand in clef_ray/evaluate/statistics.py.
"""
