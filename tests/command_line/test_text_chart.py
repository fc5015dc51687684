import pytest

from sde_jax.command_line.text_chart import text_chart


def test_points_are_where_they_belong():
    """Powers of two at equal distances are a straight line on a logarithmic axis."""
    points = [(100 * n, 2.0**-n) for n in range(5)]
    assert text_chart({"loss": points}, width=9, height=5) == [
        "     1 |.        ",
        "       |  .      ",
        "       |    .    ",
        "       |      .  ",
        "0.0625 |        .",
        "       +---------",
        "        0. loss400",
    ]


def test_negative_values_are_drawn_on_a_linear_axis_and_later_series_on_top():
    series = {"a": [(0, -1.0), (5, 0.0), (10, 1.0)], "b": [(10, 1.0)]}
    assert text_chart(series, width=11, height=3)[:3] == [
        " 1 |          o",
        "   |     .     ",
        "-1 |.          ",
    ]


def test_a_column_shows_the_mean_of_its_finite_points():
    points = [(0, 1.0), (1, 5.0), (2, float("nan")), (100, -1.0)]
    top, *_, bottom = text_chart({"a": points}, width=2, height=3)[:3]
    assert (top, bottom) == (" 3 |. ", "-1 | .")


@pytest.mark.parametrize("points", [[], [(1, float("inf"))]])
def test_nothing_finite_is_no_chart(points):
    assert text_chart({"a": points}, width=20, height=4) == []


def test_one_point_is_drawn():
    assert text_chart({"a": [(3, 2.0)]}, width=4, height=3)[1].endswith("|.   ")
