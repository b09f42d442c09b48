"""The page that compares ways of tuning: means, worst searches, and the order of its rows."""

from __future__ import annotations

import pandas as pd

from bench.practices_page import draw, markdown, sentence, table

TITLES = {"smupar_proxy": "proxy", "sp_proxy": "SP proxy", "sp_dense": "dense", "sp_dense_cut": "dense, cut"}
ROWS = pd.DataFrame(
    [
        (name, search, sparsity, cost, 2.0 * (1 + regret / 100), regret)
        for sparsity in (0.0, 0.75)
        for name, cost, regrets in (
            ("sp_dense_cut", 4.0, (20.0, 30.0)),
            ("sp_dense", 40.0, (9.0, 11.0)),
            ("sp_proxy", 4.0, (8.0, 8.0)),
            ("smupar_proxy", 4.0, (0.0, 1.0)),
        )
        for search, regret in enumerate(regrets)
    ],
    columns=["practice", "search", "sparsity", "cost", "loss", "regret_percent"],
)


def test_rows_are_means_over_searches_beside_the_worst_in_the_order_of_titles() -> None:
    made = table(ROWS, TITLES)
    assert made["practice"].tolist() == list(TITLES.values()) * 2
    assert made["sparsity"].tolist() == [0.0] * 4 + [0.75] * 4
    assert made["regret_percent"].tolist() == [0.5, 8.0, 10.0, 25.0] * 2
    assert made["worst_regret_percent"].tolist() == [1.0, 8.0, 11.0, 30.0] * 2
    assert "| 0.75 | dense, cut | 4.0 | 2.5000 | 25.00 % | 30.00 % |" in markdown(made)


def test_the_sentence_is_of_the_sparsest_target() -> None:
    sparsest = ROWS.assign(regret_percent=ROWS["regret_percent"] + 5 * (ROWS["sparsity"] > 0))
    said = sentence(sparsest)
    assert "At sparsity 0.75" in said
    assert "SμPar, tuned on the proxy: 5.5 % for 4 trainings' worth" in said
    assert "SP, tuned on a dense network of the target's width: 15.0 % for 40 trainings' worth" in said


def test_the_figure_has_a_panel_a_sparsity_and_a_curve_a_practice() -> None:
    figure = draw(ROWS, TITLES, dict.fromkeys(TITLES, "black"))
    assert [axes.get_title() for axes in figure.axes] == ["sparsity 0", "sparsity 0.75"]
    assert [len(axes.get_lines()) for axes in figure.axes] == [4, 4]
