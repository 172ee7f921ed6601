"""The errors a user can cause. Each says what was given, what is allowed, and where; the CLI prints them without a traceback."""


class ClefRayError(Exception):
    """Something the user can put right; its text says how."""


class ConfigError(ClefRayError):
    """A name, key or value of the configuration that is not allowed."""


class DataError(ClefRayError):
    """Input data that are absent, incomplete or not what they claim to be."""


class TrainingError(ClefRayError):
    """The training itself went wrong (a loss that is not finite). The same run would go the same way again, so nobody retries it."""


class CapacityError(ClefRayError):
    """More was asked for than the cluster has."""


class StorageError(ClefRayError):
    """A place that cannot be read or written."""


class TrackingError(ClefRayError):
    """The tracking store or server does not answer."""
