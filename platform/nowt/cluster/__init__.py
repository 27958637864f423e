"""Clusters: checks of the cluster file and of running nodes, AWS resources, and the tunnel to MLflow."""
