"""The built-in metrics of ``nowt probe``, one file each."""
