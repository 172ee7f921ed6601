"""Everything that needs Ray, and the only package that imports it."""
