"""Who wins, against Optuna's own Pareto front and SciPy's ranks."""

import optuna
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from clef_ray.search import Configuration, Objective
from clef_ray.studies.winner import front

DIRECTIONS = st.lists(st.sampled_from(["maximize", "minimize"]), min_size=1, max_size=3)


@given(st.data(), DIRECTIONS)
def test_the_front_is_optunas_and_the_winner_has_the_best_mean_rank(data, directions):
    values = data.draw(
        st.lists(st.tuples(*(st.integers(0, 4).map(float) for _ in directions)), min_size=0, max_size=8)
    )
    goals = [Objective(f"m{n}", d) for n, d in enumerate(directions)]
    rows = [
        Configuration(n, "COMPLETE", {}, {g.metric: x for g, x in zip(goals, v, strict=True)}, feasible=True)
        for n, v in enumerate(values)
    ]
    study = optuna.create_study(directions=directions)
    study.add_trials([optuna.trial.create_trial(values=v) for v in values])
    expected = sorted(t.number for t in study.best_trials)

    leading = front(rows, goals, "first")
    assert sorted(row.number for row in leading) == expected
    sign = 1 if directions[0] == "minimize" else -1
    keys = [(sign * row.values["m0"], row.number) for row in leading]
    assert keys == sorted(keys)

    balanced = front(rows, goals, "balanced")
    assert sorted(row.number for row in balanced) == expected
    if not rows:
        assert balanced == ()
        return
    columns = [
        rankdata([v[i] if d == "minimize" else -v[i] for v in values], method="min")
        for i, d in enumerate(directions)
    ]
    every = [(sum(int(c[n]) for c in columns), sign * values[n][0], n) for n in range(len(values))]
    assert balanced[0].number == min(every)[2]
    assert [row for row in leading if row != balanced[0]] == list(balanced[1:])
