"""MLflow's tables in a database that a server will own; apart, since clients never make them for a server."""


def prepare(uri: str, artifacts: str) -> None:
    """Make MLflow's tables where there are none, by MLflow's own migrations; nothing where they are there.

    artifacts: where experiments of that database have theirs unless they say otherwise, as `mlflow server --default-artifact-root` takes it.
    Raises TrackingError: no answer, tables of another version of MLflow.
    """
    from clef_ray.tracking.client import errors
    from clef_ray.tracking.reach import reach

    reach(uri)
    with errors(uri):
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        SqlAlchemyStore(uri, artifacts)
