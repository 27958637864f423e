"""The ancestors of a layer in the small network."""

from nowt.evaluation.certify.affected_gradients import ancestors


def test_ancestors_follow_the_shortcuts_of_the_graph() -> None:
    assert ancestors("conv1") == set()
    assert ancestors("block2.downsample.0") == {"conv1", "block1.conv1", "block1.conv2"}
    assert ancestors("block2.conv2") == {"conv1", "block1.conv1", "block1.conv2", "block2.conv1"}
