"""Clusters that are not AWS, made from cluster.yaml: what all of them share stands there once and is copied by nobody."""
