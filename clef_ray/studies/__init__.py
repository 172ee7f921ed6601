"""Studies: what Optuna knows about a sweep or an ablation, and the only package that imports optuna. Ray runs what a `Book` names."""
