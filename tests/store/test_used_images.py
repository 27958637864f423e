"""Which runs of a study used different images, and how messages name them."""

from typing import Any

from nowt.store.used_images import CountedRun, describe_images, images_digest, runs_by_images


def run(cell: str, seed: int, fingerprint: str, **changes: Any) -> CountedRun:
    """A run of a log without the digest of its images, unless ``changes`` have it; they may set its ``data``, too."""
    data = {"name": "folder", **changes.pop("data", {})}
    return CountedRun(cell, seed, {"config": {"data": data, "seed": seed}, "fingerprint": fingerprint, **changes})


BY_SEED = {"split": "by_seed"}


def test_without_a_recorded_digest_it_is_the_fingerprint_of_a_fixed_split() -> None:
    assert images_digest(run("a", 0, "f").start) == "f"
    assert images_digest(run("a", 0, "f", data=BY_SEED).start) == ""
    assert images_digest(run("a", 0, "f", data=BY_SEED, images="i").start) == "i"
    assert images_digest({}) == ""


def test_splits_by_seed_are_compared_within_a_seed_even_without_a_recorded_digest() -> None:
    runs = [run("a", 0, "f", data=BY_SEED), run("a", 1, "g", data=BY_SEED), run("b", 0, "f", data=BY_SEED, images="i")]
    assert not runs_by_images(runs)
    assert runs_by_images([*runs, run("b", 1, "h", data=BY_SEED)]).keys() == {"g", "h"}


def test_a_setting_that_an_earlier_version_did_not_have_separates_no_runs() -> None:
    assert runs_by_images([run("a", 0, "f"), run("a", 1, "g", data={"split": "fixed", "shuffle": True})])


def test_fingerprints_of_earlier_versions_are_compared_with_each_other_only() -> None:
    earlier, now = run("a", 0, "f"), run("a", 1, "g", code={})
    assert not runs_by_images([earlier, now, CountedRun("a", 2, {})])
    assert runs_by_images([earlier, now, run("a", 2, "h")]).keys() == {"f", "h"}


def test_messages_name_the_cells_only_if_the_seeds_do_not_tell_the_runs_apart() -> None:
    by_seed = runs_by_images([run("a", 0, "f" * 16), run("b", 0, "f" * 16), run("a", 1, "g" * 16)])
    assert describe_images(by_seed, "seed") == "images ffffffff (seed 0) and gggggggg (seed 1)"
    by_cell = runs_by_images([run(cell, seed, "fg"[cell == "a"]) for cell in "abcde" for seed in range(10)])
    assert describe_images(by_cell, "seed") == (
        "images g (a seeds 0 to 9) and f (b seeds 0 to 9, c seeds 0 to 9, d seeds 0 to 9, 1 more cell)"
    )
