"""Auto classes open BarcodeMAE folders after `import barcodemae`, in whatever order, at no cost.

Each order is tried in a Python process of its own, in which warnings are errors.
"""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from barcodemae.registration import ImportWatch


# Says whether the models and the tokenizer are known, and whether the finder is gone.
STATE = """
import json
from transformers import AutoModel, AutoTokenizer
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
known = "barcodemae" in CONFIG_MAPPING
if known:
    config = CONFIG_MAPPING["barcodemae"](
        k=3, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    known = type(AutoModel.from_config(config)).__name__ == "BarcodeMAEModel"
watching = [type(finder).__name__ for finder in sys.meta_path].count("ImportWatch")
print(json.dumps({"known": known, "watching": watching}))
"""


def run(code, *arguments, cwd=None):
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import sys\n{code}", *arguments],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "code",
    [
        "import barcodemae",
        "import barcodemae; from transformers import AutoModel",
        "import barcodemae; from transformers import AutoTokenizer",
        "import barcodemae; from transformers import BertModel, pipeline",
        "import barcodemae; import transformers.models.auto.tokenization_auto",
        "from transformers import AutoModel; import barcodemae",
        "import transformers; import barcodemae",
        "import torch, barcodemae",
        "from barcodemae import BarcodeKmerTokenizer",
        "from barcodemae import BarcodeMAEForPreTraining",
        "import barcodemae.modeling_barcodemae.configuration_barcodemae",
        "import barcodemae, importlib; importlib.reload(barcodemae)",
        "from barcodemae import BarcodeMAEModel as M; import barcodemae, importlib\n"
        "importlib.reload(barcodemae); assert barcodemae.BarcodeMAEModel is M",
        "import barcodemae, importlib, transformers; importlib.reload(transformers)",
    ],
)
def test_models_are_known_in_whatever_order_things_are_imported(code):
    assert run(code + STATE) == {"known": True, "watching": 0}


def test_without_the_package_nothing_is_known():
    assert run(STATE) == {"known": False, "watching": 0}


def test_a_part_of_transformers_without_auto_classes_does_not_bring_torch():
    code = "import barcodemae, json, transformers.utils; print(json.dumps('torch' in sys.modules))"
    assert run(code) is False


def test_a_folder_opens_without_remote_code(tmp_path, tiny_model, tokenizer):
    tiny_model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    code = """
import json, barcodemae
from transformers import AutoConfig as Auto
found = Auto.from_pretrained(sys.argv[1])
print(json.dumps(type(found).__module__))
"""
    assert run(code, str(tmp_path)).startswith("barcodemae.")


def test_a_spawned_process_that_is_sent_a_config_knows_the_models(tmp_path):
    (tmp_path / "worker.py").write_text(
        "def known(config):\n"
        "    from transformers import AutoModel\n"
        "    return type(AutoModel.from_config(config)).__name__\n"
    )
    (tmp_path / "main.py").write_text(
        "import json, multiprocessing, worker\n"
        "from barcodemae import BarcodeMAEConfig\n"
        "if __name__ == '__main__':\n"
        "    sizes = dict(hidden_size=16, num_attention_heads=2, intermediate_size=16)\n"
        "    config = BarcodeMAEConfig(k=3, num_hidden_layers=1, **sizes)\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(json.dumps(pool.apply(worker.known, (config,))))\n"
    )
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == "BarcodeMAEModel"


def test_a_watched_module_keeps_its_own_loader():
    code = """
import json, barcodemae, transformers.utils.versions as module
spec, loader = module.__spec__, module.__loader__
print(json.dumps([type(spec.loader).__name__, spec.loader is loader]))
"""
    assert run(code) == ["SourceFileLoader", True]


def test_a_loader_that_waits_answers_as_the_module_s_own(monkeypatch):
    watch, name = ImportWatch(), "transformers.utils.versions"
    monkeypatch.setattr(sys, "meta_path", [watch, *sys.meta_path])
    package = importlib.util.find_spec("transformers.utils")
    spec = watch.find_spec(name, package.submodule_search_locations)
    assert type(spec.loader).__name__ == "WatchedLoader"
    assert "def require_version" in spec.loader.get_source(name)


def test_other_modules_are_not_looked_at():
    assert ImportWatch().find_spec("transformers_of_others", None) is None
    assert ImportWatch().find_spec("json", None) is None


def test_models_are_registered_when_no_import_is_half_done(monkeypatch):
    """Modules of transformers import each other: the outermost one ends last."""
    watch, registered = ImportWatch(), []
    monkeypatch.setattr(sys, "meta_path", [watch, *sys.meta_path])
    monkeypatch.setattr("barcodemae.registration.register_models", lambda: registered.append("now"))
    with watch.executing():
        with watch.executing():
            pass
        assert registered == []
    assert registered == ["now"]
    assert watch not in sys.meta_path


def test_a_module_that_fails_to_import_registers_nothing(monkeypatch):
    watch, registered = ImportWatch(), []
    monkeypatch.setattr(sys, "meta_path", [watch, *sys.meta_path])
    monkeypatch.setattr("barcodemae.registration.register_models", lambda: registered.append("now"))
    with pytest.raises(ImportError), watch.executing():
        raise ImportError
    assert registered == []
    assert watch in sys.meta_path
    assert watch.under_way.count == 0


def test_a_thread_that_finds_another_one_registering_goes_on(monkeypatch):
    watch, registered = ImportWatch(), []
    monkeypatch.setattr(sys, "meta_path", [watch, *sys.meta_path])
    monkeypatch.setattr("barcodemae.registration.register_models", lambda: registered.append("now"))
    with watch.registering, watch.executing():
        pass
    assert registered == []
