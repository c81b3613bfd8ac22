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
    assert ">first model<" in text
    assert ">68<" in text  # a curve of equal harmonic mean near the point, 68.6
    with pytest.raises(SettingsError, match="no row has both"):
        plot_table(build_table(records[2:]), tmp_path / "t.svg")


def axes_of_the_table_figure(monkeypatch, records):
    drawn = []
    monkeypatch.setattr(
        "barcodemae.eval.report.table_plot.save_figure", lambda figure, path: drawn.append(figure)
    )
    plot_table(build_table(records), None)
    return drawn[0].axes[0]


def points(**models):
    return [
        record(name, probe, metric, value, low=value - 1, high=value + 1)
        for name, values in models.items()
        for (probe, metric), value in zip(
            (("1nn", "accuracy"), ("zsc", "ami")), values, strict=True
        )
    ]


def test_the_table_figure_reaches_as_far_as_its_points(monkeypatch):
    axes = axes_of_the_table_figure(monkeypatch, points(a=(60.0, 70.0), b=(90.0, 72.0)))
    low, high = axes.get_xlim()
    assert 50 < low < 59
    assert 91 < high < 100
    low, high = axes.get_ylim()
    assert 60 < low < 69
    assert 73 < high < 80


def test_names_in_the_table_figure_do_not_cover_each_other(monkeypatch):
    crowd = {
        f"a model with a long name, {number}": (80.0, 70.0 + number / 10) for number in range(6)
    }
    axes = axes_of_the_table_figure(monkeypatch, points(**crowd))
    labels = [text for text in axes.texts if text.get_text().startswith("a model")]
    assert len(labels) == 6
    boxes = [label.get_window_extent() for label in labels]
    assert not any(
        one.overlaps(other) for number, one in enumerate(boxes) for other in boxes[:number]
    )


def test_the_table_figure_has_no_curves_where_there_is_no_harmonic_mean(tmp_path):
    records = [
        record("model", "1nn", "accuracy", 60.0, protocol={"rank": "genus"}),
        record("model", "zsc", "ami", 80.0, protocol={"rank": "dna_bin"}),
    ]
    plot_table(build_table(records), tmp_path / "t.svg")
    text = text_of(tmp_path / "t.svg")
    assert ">model<" in text
    assert ">68<" not in text


def test_nothing_of_the_table_figure_is_cut_off(tmp_path):
    records = [
        record(name, probe, metric, 60.0)
        for name in ("short", "a model with a rather long name, plain mean")
        for probe, metric in (("1nn", "accuracy"), ("zsc", "ami"))
    ]
    plot_table(build_table(records, Systems(ours=("short",))), tmp_path / "t.svg")
    assert ">short (ours)<" in text_of(tmp_path / "t.svg")
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


def test_bands_of_the_study_figure_hold_the_intervals_of_all_seeds(tmp_path, monkeypatch):
    records = [
        record("m", "mask-study", "accuracy", value, low=value - 4, high=value + 5, seed=seed,
               protocol={"mode": "drop", "rate": 0.5, "rank": "genus"})
        for seed, value in enumerate((30.0, 40.0))
    ]  # fmt: skip
    drawn = []
    monkeypatch.setattr(
        "barcodemae.eval.report.study_plot.save_figure", lambda figure, path: drawn.append(figure)
    )
    plot_mask_study(records, tmp_path / "s.svg")
    (band,) = drawn[0].axes[0].collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (26.0, 45.0)


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
