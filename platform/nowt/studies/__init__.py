"""What a lab runs: single runs, ablations and searches."""
