"""The page in the browser estimates the mixture of a sample as Python does; asked of Node."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from barcodemae.eval.identify.judge.ladder import (
    DEFAULT_MIXTURE,
    LADDER,
    NUM_STEPS,
    estimate_mixture,
)


MODULE = Path(__file__).parents[2] / "space" / "static" / "names" / "judgement.js"
ASK = """
import {{ readFileSync }} from "node:fs";
import {{ estimateMixture }} from "{module}";
const {{ likelihoods, assumed }} = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(estimateMixture(likelihoods, assumed)));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
@pytest.mark.parametrize("sample", ["strangers", "anything"])
def test_the_page_estimates_the_mixture_of_python(sample, tmp_path):
    likelihoods = np.random.default_rng(0).random((60, NUM_STEPS)) ** 4
    if sample == "strangers":  # between a new phylum and an order that the library lacks
        likelihoods[:] = 1e-6
        likelihoods[:, [0, LADDER.index("order")]] = 1.0, 4.0
    shutil.copytree(MODULE.parent, tmp_path / "names")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "ask.js").write_text(ASK.format(module="./names/judgement.js"))
    asked = {"likelihoods": likelihoods.tolist(), "assumed": list(DEFAULT_MIXTURE.shares)}
    said = subprocess.run(
        ["node", str(tmp_path / "ask.js")],
        input=json.dumps(asked), capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    expected = estimate_mixture(likelihoods, DEFAULT_MIXTURE).shares
    np.testing.assert_allclose(json.loads(said), expected, atol=2e-6)
