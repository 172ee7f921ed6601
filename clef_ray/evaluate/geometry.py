"""What an embedding looks like as a cloud of points: one record per patient, all embeddings brought to length 1. (method.md §8, geometry)

    uniformity         log of the mean of exp(-2 |u - v|^2) over pairs of patients (Wang & Isola 2020, arXiv 2005.10242); 0: all in one
                       point; about -4 (less in few dimensions): spread evenly over the sphere
    mean_cosine        mean cosine of two patients
    alignment          mean |u - v|^2 over positive pairs (the same paper), 0..4. The pairs are two records of one patient; each patient with
                       several counts once
    cosine_drop        mean cosine of the tenth of all pairs of patients whose risks are nearest, less that of the tenth furthest apart; all
                       ten are the curve cosine_by_risk
    class_ratio        mean cosine distance of two patients of a class over that of one with and one without it; below 1: a cluster
    silhouette         mean over a class's patients of (b - a) / max(a, b), a and b the mean distances to those with and without it, -1..1
                       (Rousseeuw 1987, J Comput Appl Math 20:53, with everyone else as the other cluster)
    alignment_lead, cka_lead    with other_lead: `alignment` and linear CKA (kernels.py) of two leads of one record

These are means over pairs and have intervals over resampled patients. A spectrum has none: a resample holds 63 % of the patients, so it
has fewer directions than the sample, and its percentiles need not hold the sample's own rank. Hence as extras, compared over seeds:

    effective_rank       as in monitor.py
    participation_ratio  (sum of the variances along the principal axes)^2 / sum of their squares, 1..D; NaN where all are equal
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform

from clef_ray.evaluate.bootstrap import Estimate, sample_and_resamples
from clef_ray.evaluate.cloud import (
    alignment,
    cloud,
    cluster,
    means_by_tenth,
    participation_ratio,
    tenths,
    unit,
)
from clef_ray.evaluate.inputs import LEAST_PATIENTS, check_features, label_matrix, patients
from clef_ray.evaluate.judged import judged, one_record_each
from clef_ray.evaluate.kernels import Floats, linear_cka, without_diagonal
from clef_ray.evaluate.metrics.classification import macro
from clef_ray.evaluate.monitor import effective_rank
from clef_ray.evaluate.problem import Facts, Material, Unanswerable
from clef_ray.evaluate.result import Curve, TaskResult, estimated
from clef_ray.evaluate.risks import risks
from clef_ray.evaluate.statistics import ratio
from clef_ray.registry import SCORES, unknown
from clef_ray.tasks import lead_in
from clef_ray.tasks.geometry import Geometry

#: Patients at most: 245 000 pairs, as many as the zero-shot task takes.
MOST_PATIENTS = 700

#: Fewest patients with a class, and without it.
LEAST_IN_CLASS = 10

Statistics = dict[str, Floats]


def geometry(task: Geometry, material: Material) -> TaskResult:
    """The estimates and extras above, of the judged patients (`judged.py`), with `n_test`, the patients that pairs are made of.

    What the corpus does not tell (second records, risks, classes) is left out and named in the notes. Raises Unanswerable for fewer than
    20 judged patients, or where the corpus lacks a lead; DataError for features that are not finite.
    """
    if task.other_lead and lead_in(task, tuple(material.facts.leads)) == task.other_lead:
        raise Unanswerable(f"other_lead: {task.other_lead} is what lead {task.lead} means here")
    table, judged_N = material.table, judged(material)
    patient_N = patients(table)
    rows_P = one_record_each(judged_N, patient_N, MOST_PATIENTS, material.seed)
    if len(rows_P) < LEAST_PATIENTS:
        raise Unanswerable(f"{len(rows_P)} patients are judged; {LEAST_PATIENTS} are needed")
    u_ND = unit(check_features(material.features(task), table))
    weights_BP = sample_and_resamples(patient_N[rows_P], material.n_boot, material.seed)
    cosine_PP = without_diagonal(np.round(u_ND[rows_P] @ u_ND[rows_P].T, 12))
    notes = _draw_note(judged_N, patient_N, len(rows_P))
    statistics = cloud(cosine_PP, weights_BP)
    drop, curves, said_of_risk = _by_risk(task.score, table.iloc[rows_P], cosine_PP, weights_BP)
    aligned, said_of_pairs = _positives(u_ND[judged_N], patient_N[judged_N], material)
    grouped, said_of_classes = _by_class(task.labels, material, rows_P, cosine_PP, weights_BP)
    statistics |= drop | aligned | grouped
    notes += [*said_of_risk, *said_of_pairs, *said_of_classes]
    if task.other_lead:
        statistics |= _between_leads(task, material, rows_P, u_ND, weights_BP)
    estimates, undefined = estimated(statistics, patient_N[rows_P])
    extras = {
        "n_test": float(len(rows_P)),
        "n_patients": float(len(rows_P)),
        "effective_rank": effective_rank(u_ND[rows_P]),
        "participation_ratio": participation_ratio(u_ND[rows_P]),
    }
    return TaskResult(estimates, extras, None, (*notes, *undefined), curves)


def _positives(u_ND: Floats, patient_N: NDArray[np.str_], material: Material) -> tuple[Statistics, list[str]]:
    names, count_Q = np.unique(patient_N, return_counts=True)
    several = names[count_Q > 1]
    if len(several) < LEAST_PATIENTS:
        return {}, [
            f"alignment: {len(several)} judged patients have two records; {LEAST_PATIENTS} are needed"
        ]
    weights_BQ = sample_and_resamples(several, material.n_boot, material.seed)
    aligned_B = ratio(weights_BQ @ alignment(u_ND, patient_N), weights_BQ.sum(axis=1))
    return {"alignment": aligned_B}, [f"alignment: of {len(several)} patients with two records or more"]


def _by_risk(
    name: str, table: pd.DataFrame, cosine_PP: Floats, weights_BP: Floats
) -> tuple[Statistics, dict[str, Curve], list[str]]:
    risk_PK = risks(name, table)[0].reshape(len(table), -1)
    known_P = np.isfinite(risk_PK).all(axis=1)
    if known_P.sum() < LEAST_PATIENTS or len(np.unique(risk_PK[known_P], axis=0)) == 1:
        return {}, {}, [f"cosine_by_risk: {name} tells too few of the judged patients apart"]
    difference_QQ = np.round(squareform(pdist(risk_PK[known_P])), 9)
    tenth_QQ = tenths(difference_QQ)
    means = means_by_tenth(cosine_PP[np.ix_(known_P, known_P)], tenth_QQ, weights_BP[:, known_P])
    points = [Estimate.of(mean_B) for mean_B in means.values()]
    curve = Curve(
        x_label=f"difference of {name} between two patients [{SCORES.get(name).unit}]",
        y_label="mean cosine of their embeddings",
        x=np.array([difference_QQ[tenth_QQ == k].mean() for k in means]),
        y=np.array([point.value for point in points]),
        low=np.array([point.low for point in points]),
        high=np.array([point.high for point in points]),
        n=np.array([(tenth_QQ == k).sum() / 2 for k in means]),
    )
    drop_B = means[min(means)] - means[max(means)]
    return (
        {"cosine_drop": drop_B},
        {"cosine_by_risk": curve},
        [f"cosine_by_risk: {known_P.sum()} patients' {name}"],
    )


def _by_class(
    labels: str, material: Material, rows_P: NDArray[np.intp], cosine_PP: Floats, weights_BP: Floats
) -> tuple[Statistics, list[str]]:
    labels = _label_set(labels, material.facts)
    if not labels:
        return {}, ["class_ratio, silhouette: the corpus has no label set"]
    vocabulary = material.facts.label_sets[labels]
    annotated_P, positive_PK = label_matrix(material.table.iloc[rows_P], labels, tuple(vocabulary))
    distance_QQ = without_diagonal(1 - cosine_PP[np.ix_(annotated_P, annotated_P)])
    found: Statistics = {}
    notes = []
    for name, member_Q in zip(vocabulary, positive_PK[annotated_P].T, strict=True):
        have = (int(member_Q.sum()), int((~member_Q).sum()))
        if min(have) < LEAST_IN_CLASS:
            notes.append(
                f"class {name} left out: {have[0]} patients with it, {have[1]} without; 10 are needed"
            )
            continue
        both = cluster(distance_QQ, member_Q, weights_BP[:, annotated_P])
        found |= {f"class_ratio/{name}": both[0], f"silhouette/{name}": both[1]}
    if not found:
        return {}, notes
    of = {
        kind: [v for key, v in found.items() if key.startswith(kind)]
        for kind in ("class_ratio", "silhouette")
    }
    return {**{kind: macro(np.array(values).T) for kind, values in of.items()}, **found}, notes


def _label_set(labels: str, facts: Facts) -> str:
    """The corpus's name for it, empty where it has no classes; Unanswerable where the one that was asked for is not there."""
    if labels != "headline" and labels not in facts.label_sets:
        raise Unanswerable(str(unknown("label set", labels, facts.label_sets, "task geometry.labels")))
    named = facts.headline if labels == "headline" else labels
    return named if named in facts.label_sets else ""


def _between_leads(
    task: Geometry, material: Material, rows_P: NDArray[np.intp], u_ND: Floats, weights_BP: Floats
) -> Statistics:
    other = material.features(replace(task, lead=task.other_lead, other_lead=""))
    v_PD, u_PD = unit(check_features(other, material.table))[rows_P], u_ND[rows_P]
    squared_P = ((u_PD - v_PD) ** 2).sum(axis=1)
    return {
        "alignment_lead": ratio(weights_BP @ squared_P, weights_BP.sum(axis=1)),
        "cka_lead": linear_cka(u_PD, v_PD, weights_BP),
    }


def _draw_note(judged_N: NDArray[np.bool_], patient_N: NDArray[np.str_], used: int) -> list[str]:
    there = len(np.unique(patient_N[judged_N]))
    return [f"pairs: of {used} of {there} patients, a seeded draw"] if used < there else []
