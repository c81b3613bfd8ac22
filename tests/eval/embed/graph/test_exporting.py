"""`barcodemae export --onnx` writes graphs that another program can run alone."""

import numpy as np
import onnxruntime
import pytest

from barcodemae import cli
from barcodemae.errors import DataError
from barcodemae.eval.embed.graph.exporting import export_graphs
from barcodemae.eval.embed.loading import load_embedder


def test_the_command_writes_both_graphs_and_they_run_alone(
    framed_folder, relatives, tmp_path, padded, capsys
):
    fasta, output = tmp_path / "a.fasta", tmp_path / "out"
    fasta.write_text("".join(f">{row}\n{text}\n" for row, text in enumerate(relatives)))
    command = ["export", str(framed_folder), "-o", str(output), "--onnx", "--calibrate", str(fasta)]
    assert cli.main(command) == 0
    assert "model_int8.onnx" in capsys.readouterr().err
    exact = load_embedder(framed_folder, device="cpu").embed(relatives)
    for name, tolerance in (("model.onnx", 1e-5), ("model_int8.onnx", 0.2)):
        session = onnxruntime.InferenceSession(output / "onnx" / name)
        vectors = session.run(["embedding"], padded(relatives))[0]
        assert np.allclose(vectors, exact, atol=tolerance)


def test_barcodes_of_which_none_can_be_read_are_refused(framed_folder):
    with pytest.raises(DataError, match=r"a\.fasta: no record can be read"):
        export_graphs(framed_folder, ["NN", ""], "a.fasta")
