"""Parts of the benchmark of search quality: recorded trials, a surrogate of them, and the searches that are compared."""
