"""The templates of the pages."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def templates() -> Environment:
    """Those of this folder. What is put in is escaped, and a name that is not given is an error."""
    return Environment(
        loader=PackageLoader("clef_ray", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
