import numpy as np
import pytest
from PIL import Image

from barcodemae.errors import SettingsError
from barcodemae.eval.report.figures import new_figure, save_figure
from barcodemae.eval.report.leaderboard import build_table
from barcodemae.eval.report.records import ResultRecord
from barcodemae.eval.report.study_plot import plot_mask_study
from barcodemae.eval.report.systems import Systems
from barcodemae.eval.report.table_plot import plot_table


def record(model, probe, metric, value, **changes):
    return ResultRecord(
        model=model, dataset="d", probe=probe, metric=metric, value=value, **changes
    )


def text_of(path):
    """Return the text of an SVG file, in which letters are kept as text."""
    return path.read_text()


def test_the_table_figure_names_models_and_curves(tmp_path):
    records = [
        record("first model", "1nn", "accuracy", 60.0, low=58.0, high=62.0),
        record("first model", "zsc", "ami", 80.0),
        record("half measured", "1nn", "accuracy", 50.0),
    ]
    plot_table(build_table(records), tmp_path / "t.svg")
    text = text_of(tmp_path / "t.svg")
    assert "first model" in text
    assert "half measured" not in text
    assert all(f">{mean}<" in text for mean in range(10, 100, 10))
    with pytest.raises(SettingsError, match="no row has both"):
        plot_table(build_table(records[2:]), tmp_path / "t.svg")


def test_the_table_figure_has_no_curves_where_there_is_no_harmonic_mean(tmp_path):
    records = [
        record("model", "1nn", "accuracy", 60.0, protocol={"rank": "genus"}),
        record("model", "zsc", "ami", 80.0, protocol={"rank": "dna_bin"}),
    ]
    plot_table(build_table(records), tmp_path / "t.svg")
    text = text_of(tmp_path / "t.svg")
    assert ">model<" in text
    assert ">50<" not in text  # the axes count by twenties


def test_nothing_of_the_table_figure_is_cut_off(tmp_path):
    records = [
        record(name, probe, metric, 60.0)
        for name in ("short", "a model with a rather long name, plain mean")
        for probe, metric in (("1nn", "accuracy"), ("zsc", "ami"))
    ]
    plot_table(build_table(records, Systems(ours=("short",))), tmp_path / "t.svg")
    assert "short (ours)" in text_of(tmp_path / "t.svg")
    plot_table(build_table(records), tmp_path / "t.png")
    with Image.open(tmp_path / "t.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    edges = [pixels[:3], pixels[-3:], pixels[:, :3], pixels[:, -3:]]
    assert all((edge > 250).all() for edge in edges)


def test_the_study_figure_has_a_panel_per_model_and_a_line_per_mode(tmp_path):
    records = [
        record(model, "mask-study", "accuracy", 90 * (1 - rate),
               protocol={"mode": mode, "rate": rate, "rank": "genus"}, seed=0)
        for model, modes in (("left", ("drop", "combined")), ("right", ("drop",)))
        for mode in modes
        for rate in (0.0, 0.5)
    ]  # fmt: skip
    plot_mask_study(records, tmp_path / "s.svg")
    text = text_of(tmp_path / "s.svg")
    for words in ("left", "right", "removed", "masked, all outputs", "1-NN genus accuracy"):
        assert words in text
    assert "visible outputs" not in text
    with pytest.raises(SettingsError, match="no record of a masking study"):
        plot_mask_study([], tmp_path / "s.svg")


def test_every_panel_of_the_study_figure_shows_the_best_model_whole(tmp_path, monkeypatch):
    records = [
        record(model, "mask-study", "accuracy", value, seed=0,
               protocol={"mode": "drop", "rate": rate, "rank": "genus"})
        for model, value in (("weak", 5.0), ("strong", 90.0))
        for rate in (0.0, 0.5)
    ]  # fmt: skip
    drawn = []
    monkeypatch.setattr(
        "barcodemae.eval.report.study_plot.save_figure", lambda figure, path: drawn.append(figure)
    )
    plot_mask_study(records, tmp_path / "s.svg")
    for axes in drawn[0].axes:
        low, high = axes.get_ylim()
        assert low == 0
        assert 90 < high < 100


def test_figures_refuse_other_formats(tmp_path):
    figure, _ = new_figure(1, 1)
    with pytest.raises(SettingsError, match=r"must be \.png, \.svg or \.pdf"):
        save_figure(figure, tmp_path / "f.gif")
    assert list(tmp_path.iterdir()) == []
