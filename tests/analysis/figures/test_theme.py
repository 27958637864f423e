"""The colors and styles of rules and cells."""

from analysis.figures.style.theme import RULE_COLORS, cell_styles, rule_colors


def test_a_rule_has_the_same_color_in_every_study_and_its_cells_differ() -> None:
    styles = cell_styles({"bp": "bp", "wm 1": "wm", "wm 2": "wm", "wm 3": "wm", "mine": "./lab/pal.py"})
    assert styles["bp"].color == RULE_COLORS["bp"]
    assert styles["wm 1"].color == RULE_COLORS["wm"]
    looks = {(style.color, tuple(style.dash)) for style in styles.values()}
    assert len(looks) == len(styles)
    alone, beside_others = rule_colors({"./lab/pal.py"}), rule_colors({"./lab/pal.py", "kp", "bp"})
    assert alone["./lab/pal.py"] == beside_others["./lab/pal.py"] == styles["mine"].color
