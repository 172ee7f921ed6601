"""People to score: one complete person, cohorts of random ones, and what a score says of a list of them."""

import numpy as np
from hypothesis import strategies as st

from clef_ray.scores import FIELDS

#: Inside every published range, ill in every way a score asks about, with diabetes since before any age that a test gives them.
PERSON = {
    "age": 62.0,
    "sex": 0.0,
    "smoker": 1.0,
    "sbp": 138.0,
    "total_cholesterol": 5.6,
    "hdl": 1.2,
    "diabetes": 1.0,
    "bmi": 28.5,
    "egfr": 72.0,
    "hba1c": 52.0,
    "treated": 1.0,
    "statin": 1.0,
    "diabetes_age": 25.0,
    "black": 0.0,
    "heart_failure": 1.0,
    "hypertension": 1.0,
    "stroke": 1.0,
    "vascular_disease": 1.0,
    "findings": 2.0,
}

#: Measurements as random people have them: inside the ranges of every equation but for age, which each test chooses.
MEASURED = {
    "sbp": (91.0, 199.0),
    "total_cholesterol": (3.5, 8.2),
    "hdl": (0.6, 2.5),
    "bmi": (19.0, 39.5),
    "egfr": (16.0, 149.0),
    "hba1c": (32.0, 110.0),
    "diabetes_age": (20.0, 40.0),
}

BINARY = tuple(name for name, field in FIELDS.items() if field.binary)


def score_of(score, people):
    """The result for a list of people, or for one; what a person does not say is PERSON's."""
    people = people if isinstance(people, list) else [people]
    columns = {name: np.array([(PERSON | person)[name] for person in people]) for name in PERSON}
    return score(columns, np.array([f"p{i}" for i in range(len(people))]))


def cohort(ages, n=300, seed=0):
    """Random people between two ages."""
    rng = np.random.default_rng(seed)
    columns = {"age": rng.uniform(*ages, n)}
    columns |= {name: rng.uniform(*limits, n) for name, limits in MEASURED.items()}
    columns |= {name: rng.integers(0, 2, n).astype(float) for name in BINARY}
    return [PERSON | {name: float(x[i]) for name, x in columns.items()} for i in range(n)]


def anyone(low, high):
    """A person between two ages, as a hypothesis strategy."""
    numbers = {name: st.floats(*limits) for name, limits in MEASURED.items()}
    binary = {name: st.sampled_from([0.0, 1.0]) for name in BINARY}
    return st.fixed_dictionaries({"age": st.floats(low, high), "findings": st.just(2.0), **numbers, **binary})


def change(score, person, **changed):
    """By how much the score rises when a person changes."""
    before, after = score_of(score, [person, person | changed]).value_N
    return after - before
