"""Who runs a study's runs: this process, or Ray Tune. They do; they decide nothing."""
