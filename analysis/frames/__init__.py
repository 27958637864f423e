"""A store, a study or an MLflow experiment as pandas frames."""
