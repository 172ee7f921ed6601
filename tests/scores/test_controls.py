"""The scores that are no risk: age, sex, both, one value for all, the findings of the ECG itself; and a score permuted."""

import numpy as np
import pytest
from people import PERSON, cohort, score_of

from clef_ray.errors import ConfigError, DataError
from clef_ray.scores import ScoreResult, fit, risk
from clef_ray.scores.acute import Acute
from clef_ray.scores.age_sex import AgeSex
from clef_ray.scores.constant import Constant
from clef_ray.scores.pce import Pce
from clef_ray.scores.permuted import Permuted
from clef_ray.scores.score2 import Score2
from clef_ray.scores.sex import Sex


def test_sex_is_a_score():
    result = score_of(Sex(), [{"sex": 0.0}, {"sex": 1.0}, {"sex": np.nan}])
    np.testing.assert_array_equal(result.value_N, [0.0, 1.0, np.nan])
    assert result.valid_N.tolist() == [True, True, False]


def test_the_sexes_are_as_far_apart_as_thirty_years():
    people = [{"age": 50.0, "sex": 0.0}, {"age": 50.0, "sex": 1.0}, {"age": 80.0, "sex": 0.0}]
    point_N2 = score_of(AgeSex(), people).value_N
    assert point_N2.shape == (3, 2)
    assert np.linalg.norm(point_N2[0] - point_N2[1]) == pytest.approx(2)
    assert np.linalg.norm(point_N2[0] - point_N2[2]) == pytest.approx(2)
    assert np.linalg.norm(point_N2[1] - point_N2[2]) == pytest.approx(8**0.5)


def test_half_a_point_is_no_point():
    result = score_of(AgeSex(), [{"age": np.nan}, {"sex": np.nan}])
    assert np.isnan(result.value_N).all()
    assert result.observed_N.tolist() == [1, 1]


def test_a_constant_is_known_of_everybody():
    columns = {"age": np.full(3, np.nan)}
    found = risk(Constant(), columns, np.array(["a", "b", "b"]), fit("none", columns, ()))
    assert found.value_N.tolist() == [1, 1, 1]
    assert found.completeness_N.tolist() == [1, 1, 1]
    assert found.valid_N.all()


def test_acute_counts_findings_and_does_not_guess():
    result = score_of(Acute(), [{"findings": 0.0}, {"findings": 3.0}, {"findings": np.nan}])
    np.testing.assert_array_equal(result.value_N, [0.0, 3.0, np.nan])
    with pytest.raises(DataError, match=r"'findings'.*absent"):
        Acute()({"age": np.array([50.0])}, np.array(["a"]))


def test_a_point_that_is_unknown_has_no_completeness():
    columns = {"age": np.array([50.0, 50.0]), "sex": np.array([1.0, np.nan])}
    found = risk(AgeSex(), columns, np.array(["a", "b"]), fit("none", columns, AgeSex.fields))
    assert found.completeness_N.tolist() == [1, 0]
    assert found.value_N.shape == (2, 2)


class HalfPoint(AgeSex):
    """A score that leaves one coordinate unknown by itself."""

    def __call__(self, covariates, patients_N):
        result = super().__call__(covariates, patients_N)
        return ScoreResult(result.value_N * [1.0, np.nan], result.observed_N, result.valid_N)


def test_a_point_without_one_coordinate_is_unknown():
    columns = {"age": np.array([50.0]), "sex": np.array([1.0])}
    found = risk(HalfPoint(), columns, np.array(["a"]), fit("none", columns, AgeSex.fields))
    assert found.completeness_N.tolist() == [0]


# permuted


def test_permuted_hands_options_to_its_base():
    people = cohort((40, 69))
    plain = score_of(Score2("very_high", op_from=None), people)
    moved = score_of(Permuted("score2: region=very_high, op_from=none", seed=3), people)
    assert sorted(moved.value_N) == sorted(plain.value_N)
    assert not np.array_equal(moved.value_N, plain.value_N)
    assert Permuted("pce:race=field").fields == Pce("field").fields
    assert Permuted("pce").ages == (40.0, 79.0)


@pytest.mark.parametrize(
    ("base", "named"),
    [
        ("scor2", "score2"),
        ("score2:regio=low", "regio'"),
        ("score2:region", "has no value"),
        ("score2:region=low;op_from=none", "'low;op_from=none'"),
        ("score2:region=low,op_from=x", "op_from: 'x'"),
        ("score2:region=low,region=high", "stands twice"),
        ("pce:race=w", "white"),
    ],
)
def test_permuted_refuses_a_base_that_is_not_there(base, named):
    with pytest.raises(ConfigError, match=named):
        Permuted(base)


def test_permuted_moves_whole_points():
    """Both coordinates of a patient go to one and the same other patient."""
    people = cohort((20, 90))
    points, moved = (score_of(score, people).value_N for score in (AgeSex(), Permuted("age_sex", seed=1)))
    assert sorted(map(tuple, points)) == sorted(map(tuple, moved))
    assert not np.array_equal(points, moved)


def test_permuted_takes_the_middle_point_of_a_patient():
    """By age, then by sex: one patient with three records is exchanged with itself."""
    people = [PERSON | {"age": a, "sex": s} for a, s in ((70.0, 0.0), (50.0, 1.0), (60.0, 1.0))]
    columns = {name: np.array([p[name] for p in people]) for name in ("age", "sex")}
    found = Permuted("age_sex")(columns, np.array(["a", "a", "a"]))
    assert found.value_N.tolist() == [[0.0, 1.0]] * 3
