"""Two persons under one patient id."""

import numpy as np
import pandas as pd
import pytest
from toy import toy

from clef_ray.errors import DataError
from clef_ray.shards import ingest_local
from clef_ray.shards.check import check_table, contradictions


def people(**columns):
    """Five patients of two records."""
    dataset = toy(10, per_patient=2)
    dataset.columns = columns
    return dataset


def test_both_sexes_or_ages_of_two_lives_are_counted_without_a_value():
    sex = [0, 1, 1, 1, 0, 1, 0, 0, np.nan, 1]
    age = [50, 51, 60, 60, 70, 70, 23, 88, np.nan, 20]
    table = people(sex=sex, age=age).table()
    assert contradictions(table) == 3
    with pytest.raises(
        DataError, match=r"two persons under one patient id: 3 of 5 patients with several records"
    ) as error:
        check_table(people(), table)
    assert "88" not in str(error.value)
    assert "p003" not in str(error.value)


def test_a_person_grows_older_and_may_be_unknown():
    table = people(
        sex=[0, 0, 1, 1, np.nan, 1, 1, np.nan, np.nan, np.nan],
        age=[50, 62, 20, 59, 40, np.nan, 33, 32, 90, 89],
    ).table()
    assert contradictions(table) == 0
    check_table(people(), table)


def test_a_single_typing_error_is_counted_and_stops_nothing(tmp_path):
    manifest = ingest_local(people(sex=[0, 1, *[1.0] * 8]), str(tmp_path))
    assert manifest.hints["patients of both sexes, or of ages too far apart"] == 1


def test_few_among_many_are_typing_errors():
    many = pd.DataFrame({"patient": np.repeat([f"p{i}" for i in range(1000)], 2), "sex": 1.0, "age": 50.0})
    many["record"] = [f"r{i:04d}" for i in range(2000)]
    dataset = people()
    one = dataset.table().iloc[0].to_dict() | {"fold": 1}
    table = many.assign(**{name: value for name, value in one.items() if name not in many})
    table["label_kind"] = None
    table.loc[table.index[:20:2], "sex"] = 0.0
    assert contradictions(table) == 10
    check_table(dataset, table)
    table.loc[table.index[:22:2], "sex"] = 0.0
    with pytest.raises(DataError, match="11 of 1000"):
        check_table(dataset, table)
