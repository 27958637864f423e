"""Every test of the preparation takes the counts of the miniature ILSVRC2012 copy to be the published ones."""

import pytest


@pytest.fixture(autouse=True)
def small_published_counts(published_counts: None) -> None:
    """The published data set is as small as the copies of these tests."""
