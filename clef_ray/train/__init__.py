"""Pretraining in a plain process or under any Context: the read plan (plan.py), the loop (loop.py). Torch, no Ray."""
