"""AutoModel knows the models in whichever order things are imported, and nothing stays behind."""

import subprocess
import sys

import pytest


CHECK = """
from transformers import AutoConfig, AutoModel
import barcodemae
sizes = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, k=3)
config = AutoConfig.for_model("barcodemae", **sizes)
assert type(AutoModel.from_config(config)).__name__ == "BarcodeMAEModel"
import sys
assert not any(type(finder).__name__ == "ImportWatch" for finder in sys.meta_path)
"""


def run(code):
    program = [sys.executable, "-W", "error::DeprecationWarning:barcodemae", "-c", code]
    return subprocess.run(program, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "before",
    [
        "import barcodemae",
        "import transformers\nimport barcodemae",
        "from transformers import AutoModel\nimport barcodemae",
        "import barcodemae\nfrom transformers import AutoModel",
        "import barcodemae\nimport transformers.models.auto.modeling_auto",
        "import barcodemae\nbarcodemae.BarcodeMAEModel",
        "import barcodemae\nfrom barcodemae.tokenization import BarcodeKmerTokenizer",
        "import barcodemae, importlib\nimportlib.reload(barcodemae)",
    ],
)
def test_models_are_registered_in_every_order_of_imports(before):
    done = run(f"{before}\n{CHECK}")
    assert done.returncode == 0, done.stderr


def test_without_the_package_the_model_type_is_unknown():
    code = "from transformers import AutoConfig\nAutoConfig.for_model('barcodemae')"
    assert "Unrecognized model identifier" in run(code).stderr


def test_watched_modules_keep_their_own_loaders():
    code = (
        "import barcodemae, transformers\nfrom transformers import AutoModel\n"
        "import transformers.models.auto.modeling_auto as module\n"
        "assert type(module.__spec__.loader).__name__ != 'WatchedLoader'\n"
        "assert module.__spec__.loader is module.__loader__"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr
