"""What MLflow's and Optuna's tables are like, as far as a copy must know: which numbers are a database's own, and what a row is known by.

Read from the tables that MLflow 3.17 and Optuna 5.0 make. A database numbers its experiments, studies and trials itself, so that the same
number means another thing in another database; a row is therefore known by what names it to people, and gets its number anew where the old one
is taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Schema:
    """How to copy one program's tables. A table that is not mentioned is known by its primary key.

    numbers: table -> the column with the database's own number, to which other tables point; keys: table -> the columns by which a row is
    known; unnumbered: table -> a column with a number that nobody points to, which the target gives anew; points: (table, column) -> the
    table whose number it holds, where the database has no foreign key that says so; loose: table -> columns that the target keeps as it has
    them; left: tables that are not copied; places: (table, column) with a file's place; upgrade: the command that makes an older database new.
    """

    program: str
    upgrade: str
    numbers: Mapping[str, str]
    keys: Mapping[str, tuple[str, ...]]
    unnumbered: Mapping[str, str] = field(default_factory=dict)
    points: Mapping[tuple[str, str], str] = field(default_factory=dict)
    loose: Mapping[str, frozenset[str]] = field(default_factory=dict)
    left: frozenset[str] = frozenset()
    places: frozenset[tuple[str, str]] = frozenset()


MLFLOW = Schema(
    "MLflow",
    "mlflow db upgrade",
    numbers={"experiments": "experiment_id", "datasets": "dataset_uuid"},
    keys={"experiments": ("workspace", "name"), "datasets": ("experiment_id", "name", "digest")},
    # A data set that two people recorded in one experiment is one row; runs point to it by its number without a foreign key.
    points={("inputs", "source_id"): "datasets"},
    # An experiment that is there already keeps its place for artifacts: each run says itself where its own lie.
    loose={"experiments": frozenset({"artifact_location", "creation_time", "last_update_time"})},
    # The version, and what the server reckons or plans for itself.
    left=frozenset(
        {
            "alembic_version",
            "jobs",
            "job_locks",
            "scheduler_leases",
            "sql_assessment_daily_rollups",
            "sql_span_cost_daily_rollups",
            "sql_trace_metric_daily_rollups",
            "sql_trace_rollup_rebuild_queue",
        }
    ),
    places=frozenset(
        {
            ("experiments", "artifact_location"),
            ("runs", "artifact_uri"),
            ("model_versions", "source"),
            ("model_versions", "storage_location"),
            ("logged_models", "artifact_location"),
        }
    ),
)

OPTUNA = Schema(
    "Optuna",
    "optuna storage upgrade --storage",
    numbers={"studies": "study_id", "trials": "trial_id"},
    keys={
        "studies": ("study_name",),
        "study_directions": ("study_id", "objective"),
        "study_user_attributes": ("study_id", "key"),
        "study_system_attributes": ("study_id", "key"),
        "trials": ("study_id", "number"),
        "trial_user_attributes": ("trial_id", "key"),
        "trial_system_attributes": ("trial_id", "key"),
        "trial_params": ("trial_id", "param_name"),
        "trial_values": ("trial_id", "objective"),
        "trial_intermediate_values": ("trial_id", "step"),
        "trial_heartbeats": ("trial_id",),
    },
    unnumbered={
        "study_directions": "study_direction_id",
        "study_user_attributes": "study_user_attribute_id",
        "study_system_attributes": "study_system_attribute_id",
        "trial_user_attributes": "trial_user_attribute_id",
        "trial_system_attributes": "trial_system_attribute_id",
        "trial_params": "param_id",
        "trial_values": "trial_value_id",
        "trial_intermediate_values": "trial_intermediate_value_id",
        "trial_heartbeats": "trial_heartbeat_id",
    },
    left=frozenset({"alembic_version", "version_info"}),
)
