"""`python -m clef_ray`."""

from clef_ray.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
