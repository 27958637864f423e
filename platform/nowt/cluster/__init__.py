"""A cluster from its file: checked without a cloud, prepared in one, looked after while it runs."""
