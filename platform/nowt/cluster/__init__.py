"""Clusters: check the cluster file, create and remove its AWS resources, check running nodes, reach its MLflow."""
