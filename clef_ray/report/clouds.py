"""The embeddings themselves as pictures: maps on a plane, and how alike the arms' embeddings are. Drawn where an ablation's `clouds` asks.

A point of a map is a patient. There are no names, and the points are pixels also in the SVG: no file holds their coordinates.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clef_ray.ablation import Outcome, Plan, Trial
from clef_ray.errors import DataError
from clef_ray.evaluate.bootstrap import Estimate, sample_and_resamples
from clef_ray.evaluate.inputs import SPLITS, patients
from clef_ray.evaluate.judged import judged_rows, one_record_each
from clef_ray.evaluate.risks import risks
from clef_ray.registry import SCORES, TASKS
from clef_ray.report._style import COLOURS, GREY, MARKERS, WIDTH, Drawing, shades
from clef_ray.shards import Manifest
from clef_ray.shards.corpus import read_table
from clef_ray.tasks import lead_in
from clef_ray.trial import run_store

if TYPE_CHECKING:
    from clef_ray.evaluate.kernels import Floats

#: Panels of a figure, and people in each at most.
MOST_ARMS, MOST_PEOPLE = 6, 700

#: By whose values people are coloured.
SCORE = "score2"

#: Classes with a colour of their own, the most frequent ones; a person with none of them or several is grey.
MOST_CLASSES = 5

_RESAMPLES = 200


@dataclass(frozen=True, eq=False)
class Cloud:
    """One record of each judged person of a corpus: what is known of them (their rows of its table), and (arm, seed) -> embeddings [P, D]."""

    corpus: str
    made_up: bool
    classes: tuple[str, ...]
    label: str
    table: pd.DataFrame
    found: Mapping[tuple[str, int], "Floats"]

    @property
    def arms(self) -> list[str]:
        """In the plan's order."""
        return list(dict.fromkeys(arm for arm, _ in self.found))[:MOST_ARMS]


def clouds(
    plan: Plan, outcomes: Sequence[Outcome], storage: str, lineage: Mapping[str, str]
) -> tuple[list[Drawing], str]:
    """The maps and the matrix of similarities of what the store keeps of embeddings, and what lacks: a sentence, empty where nothing does.

    There are none where the ablation asks for none, and where the corpus is no longer what and where the lineage says.
    """
    if plan.ablation.clouds is None:
        return [], ""
    try:
        cloud, kept, asked = _cloud(plan, outcomes, storage, lineage)
    except _LackingError as reason:
        return [], f"The embeddings are not drawn: {reason}."
    lacking = f"{asked - kept} of {asked} runs have not kept their embeddings of {cloud.corpus}: maps and similarities are without them."
    drawn = [*_maps(cloud), _similarities(cloud)] if kept else []
    return drawn, lacking if kept < asked else ""


class _LackingError(Exception):
    """Why nothing is drawn."""


def _cloud(
    plan: Plan, outcomes: Sequence[Outcome], storage: str, lineage: Mapping[str, str]
) -> tuple[Cloud, int, int]:
    """The cloud; how many of its trials have embeddings; and how many there are."""
    name, marks = plan.ablation.clouds or "", dict(plan.targets)
    if name and name not in marks:
        raise _LackingError(f"nobody was judged on {name}")
    folder = lineage.get(f"target {name}" if name else "data", "")
    try:
        manifest = Manifest.load(folder)
    except DataError as error:
        raise _LackingError("their corpus is no longer where it was") from error
    if manifest.fingerprint != (marks[name] if name else plan.data):
        raise _LackingError("where their corpus was there is another one by now")
    table = read_table(folder)
    judged_N = judged_rows(table, SPLITS[plan.split], own=not name)
    rows_P = one_record_each(judged_N, patients(table), MOST_PEOPLE, 0)
    label = f"label_{manifest.headline}" if manifest.headline else ""
    trials = [o.trial for o in outcomes if o.results]
    found = _embeddings(plan, trials, manifest, storage, len(table))
    cloud = Cloud(
        name or manifest.dataset,
        manifest.dataset.startswith("synthetic"),
        tuple(manifest.label_sets.get(manifest.headline, ())),
        label,
        table.iloc[rows_P],
        {key: z_ND[rows_P].astype(np.float64) for key, z_ND in found.items()},
    )
    return cloud, len(found), len(trials)


def _embeddings(
    plan: Plan, trials: Sequence[Trial], manifest: Manifest, storage: str, records: int
) -> dict[tuple[str, int], NDArray[np.float32]]:
    """(arm, seed) -> embeddings of all records in the lead that the first task looks at that has one there."""
    from clef_ray.evaluate.features import stored_features  # torch

    tasks = [task.build(TASKS) for task in plan.tasks]
    leads = [lead for task in tasks if task.rate is None and (lead := lead_in(task, manifest.leads))]
    found = {}
    for trial in trials if leads else ():
        store = run_store(storage, trial.run)
        z_ND = stored_features(trial.run.canonical(), manifest.fingerprint, leads[0], store)
        if z_ND is not None and len(z_ND) == records and np.isfinite(z_ND).all():
            found[trial.arm.name, trial.seed] = z_ND
    return found


def _maps(cloud: Cloud) -> list[Drawing]:
    from clef_ray.evaluate.maps import map_2d  # scikit-learn

    if len(cloud.table) < 5:
        return []
    first = {arm: min(seed for own, seed in cloud.found if own == arm) for arm in cloud.arms}
    plane = {
        kind: {arm: map_2d(cloud.found[arm, seed], kind, 0) for arm, seed in first.items()}
        for kind in ("tsne", "pca")
    }
    risk_P = risks(SCORE, cloud.table)[0].reshape(len(cloud.table), -1)[:, 0]
    age_P = cloud.table["age"].to_numpy(dtype=np.float64)
    risk, age = f"{SCORE} [{SCORES.get(SCORE).unit}]", "age [years]"
    drawn = [
        _by_value(cloud, plane["tsne"], "t-SNE", SCORE, risk, risk_P),
        _by_class(cloud, plane["tsne"]),
        _by_value(cloud, plane["tsne"], "t-SNE", "age", age, age_P),
        _by_value(cloud, plane["pca"], "principal axes", SCORE, risk, risk_P),
    ]
    return [drawing for drawing in drawn if drawing is not None]


def _by_value(
    cloud: Cloud, plane: Mapping[str, "Floats"], how: str, what: str, label: str, value_P: "Floats"
) -> Drawing | None:
    known_P = np.isfinite(value_P)
    if not known_P.any():
        return None
    # By rank a skewed risk would look even; a few high ones would flatten the rest: the ends are percentiles.
    low, high = np.percentile(value_P[known_P], [2, 98])
    scale = Normalize(low, high)

    def draw(axes: Axes, xy_P2: "Floats") -> None:
        _dots(axes, xy_P2[~known_P], GREY, "x")
        _dots(axes, xy_P2[known_P], shades()(scale(value_P[known_P])))

    figure, axes = _figure(plane, how, draw)
    bar = figure.colorbar(ScalarMappable(scale, shades()), ax=axes, label=label, shrink=0.7, extend="both")
    bar.outline.set_visible(False)
    return _told(cloud, figure, plane, how, what, f"{int((~known_P).sum())} unknown, grey crosses")


def _by_class(cloud: Cloud, plane: Mapping[str, "Floats"]) -> Drawing | None:
    if not cloud.label:
        return None
    sets = [set(found) if found is not None else set() for found in cloud.table[cloud.label]]
    count = {name: sum(name in found for found in sets) for name in cloud.classes}
    shown = sorted((n for n in count if count[n]), key=lambda n: -count[n])[:MOST_CLASSES]
    own = [(found & set(shown)) for found in sets]
    class_P = np.array([next(iter(found)) if len(found) == 1 else "" for found in own], dtype=np.str_)

    looks = list(zip(shown, COLOURS[: len(shown)], MARKERS[: len(shown)], strict=True))

    def draw(axes: Axes, xy_P2: "Floats") -> None:
        _dots(axes, xy_P2[class_P == ""], GREY, "x")
        for name, colour, marker in looks:
            _dots(axes, xy_P2[class_P == name], colour, marker)

    figure, axes = _figure(plane, "t-SNE", draw)
    for name, colour, marker in looks:
        axes[0].plot([], [], marker, color=colour, markersize=5, label=f"{name} ({(class_P == name).sum()})")
    axes[0].plot(
        [], [], "x", color=GREY, markersize=5, label=f"several or other ({int((class_P == '').sum())})"
    )
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    return _told(
        cloud, figure, plane, "t-SNE", "class", "grey crosses: several of the classes shown, or none"
    )


def _figure(
    plane: Mapping[str, "Floats"], how: str, draw: Callable[[Axes, "Floats"], None]
) -> tuple[Figure, list[Axes]]:
    """A panel per arm, three in a row."""
    columns = min(3, len(plane))
    lines = -(-len(plane) // columns)
    figure = Figure(figsize=(WIDTH, 0.8 + 1.75 * lines), dpi=200, layout="constrained")
    every = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes in every[len(plane) :]:
        axes.set_axis_off()
    used = every[: len(plane)]
    for axes, (arm, xy_P2) in zip(used, plane.items(), strict=True):
        draw(axes, xy_P2)
        axes.set_title(arm, fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_box_aspect(1)
    figure.supxlabel(f"{how}, first axis (no unit)", fontsize=8)
    figure.supylabel("second axis (no unit)", fontsize=8)
    return figure, used


def _dots(axes: Axes, xy_Q2: "Floats", colour: Any, marker: str = "o") -> None:
    edge = None if marker == "x" else GREY
    x_Q, y_Q = xy_Q2.T
    axes.scatter(x_Q, y_Q, s=9, c=colour, marker=marker, linewidths=0.25, edgecolors=edge, rasterized=True)


def _told(
    cloud: Cloud, figure: Figure, plane: Mapping[str, "Floats"], how: str, what: str, more: str
) -> Drawing:
    real = (
        "" if cloud.made_up else " The points are real patients: share this picture by the rules of the data."
    )
    read = (
        "Neighbours stay neighbours; distances and the sizes of groups mean nothing."
        if how == "t-SNE"
        else "Distances are true to the two axes, which show a part of the variance."
    )
    caption = (
        f"{how} of embeddings of length 1, one seed per arm, n = {len(cloud.table)} patients of {cloud.corpus}, one record each, "
        f"whom pretraining did not see by intention; {more}. {read}{real}"
    )
    title = f"{how} map by {what}, {cloud.corpus}"
    return Drawing(
        title, f"{title}: a panel per arm ({', '.join(plane)}), a point per patient.", figure, caption
    )


def _similarities(cloud: Cloud) -> Drawing:
    """Linear CKA between arms, the mean over the seeds that both have; on the diagonal between seeds of one arm."""
    names = cloud.arms
    weights_BP = sample_and_resamples(patients(cloud.table), _RESAMPLES, 0)
    cell = {(a, b): _alike(cloud, a, b, weights_BP) for i, a in enumerate(names) for b in names[: i + 1]}
    figure = Figure(figsize=(WIDTH, 0.9 + 0.62 * len(names)), dpi=200, layout="constrained")
    axes = figure.subplots()
    value = np.full((len(names), len(names)), np.nan)
    for (a, b), estimate in cell.items():
        if estimate is not None:
            value[names.index(a), names.index(b)] = estimate.value
    axes.imshow(value, cmap=shades(), vmin=0, vmax=1, aspect="auto")
    for (a, b), estimate in cell.items():
        text = f"{estimate.value:.2f}\n{estimate.low:.2f} to {estimate.high:.2f}" if estimate else "one seed"
        ink = "#fefefe" if estimate and estimate.value < 0.5 else "#111111"
        axes.text(
            names.index(b),
            names.index(a),
            text,
            ha="center",
            va="center",
            fontsize=7,
            color=ink if estimate else GREY,
        )
    axes.set_xticks(range(len(names)), names, rotation=20)
    axes.set_yticks(range(len(names)), names)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    said = "; ".join(f"{a} and {b} {e.value:.2f}" for (a, b), e in cell.items() if e)
    caption = (
        f"Linear CKA (unbiased; 0: unrelated, 1: the same up to rotation and scale) with 95 % intervals over {_RESAMPLES} resamples of the "
        f"n = {len(cloud.table)} patients of {cloud.corpus}; means over pairs of equal seed, on the diagonal over pairs of different seeds of an arm."
    )
    return Drawing(
        f"similarity of the arms' embeddings, {cloud.corpus}", f"Linear CKA: {said}.", figure, caption
    )


def _alike(cloud: Cloud, one: str, other: str, weights_BP: "Floats") -> Estimate | None:
    from clef_ray.evaluate.kernels import linear_cka

    seeds = [{seed for arm, seed in cloud.found if arm == name} for name in (one, other)]
    pairs = (
        combinations(sorted(seeds[0]), 2) if one == other else ((s, s) for s in sorted(seeds[0] & seeds[1]))
    )
    found = [linear_cka(cloud.found[one, s], cloud.found[other, t], weights_BP) for s, t in pairs]
    return Estimate.of(np.mean(found, axis=0)) if found else None
