"""Published layouts in miniature, filled with the weights of the golden files."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor


GOLDEN = Path(__file__).parents[3] / "golden"
TRAP = "raise SystemExit('code that came with a model was run')\n"
BPE_SPECIALS = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
BPE_MERGES = ["A C", "G T", "T T", "AC GT", "A A", "G G", "C C", "TT A", "GG CC"]
ESM_SPECIALS = {
    name: f"<{name.removesuffix('_token')}>"
    for name in ("unk_token", "pad_token", "mask_token", "cls_token")
}


@dataclass
class Golden:
    """Output of an original implementation.

    Attributes:
        config: Its config.json.
        weights: Its weights, under its names.
        tensors: Inputs and outputs.
    """

    config: dict
    weights: dict[str, Tensor]
    tensors: dict[str, Tensor]


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Golden]:
    def load(system: str) -> Golden:
        with safe_open(GOLDEN / f"foreign_{system}.safetensors", "pt") as file:
            everything = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            config = json.loads(file.metadata()["config"])
        weights = {
            name.removeprefix("weights/"): tensor
            for name, tensor in everything.items()
            if name.startswith("weights/")
        }
        return Golden(config, weights, {k: v for k, v in everything.items() if "/" not in k})

    return load


def write_config(folder: Path, config: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))


def write_bpe_tokenizer(folder: Path) -> None:
    vocabulary = [*BPE_SPECIALS, *"ACGT", *(merge.replace(" ", "") for merge in BPE_MERGES)]
    numbered = {token: index for index, token in enumerate(vocabulary)}
    merges = [tuple(merge.split()) for merge in BPE_MERGES]
    backend = Tokenizer(models.BPE(numbered, merges, unk_token="[UNK]"))
    backend.add_special_tokens(BPE_SPECIALS)
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    backend.save(str(folder / "tokenizer.json"))
    names = ("unk_token", "cls_token", "sep_token", "pad_token", "mask_token")
    settings = dict(zip(names, BPE_SPECIALS, strict=True))
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def write_esm_tokenizer(folder: Path, k: int) -> None:
    letters = "ATCG"
    kmers = ["".join(combination) for combination in product(letters, repeat=k)]
    specials = ["<unk>", "<pad>", "<mask>", "<cls>", "<eos>", "<bos>"]
    (folder / "vocab.txt").write_text("\n".join([*specials, *kmers, *letters, "N"]))
    settings = {"model_max_length": 2048, "tokenizer_class": "EsmTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "special_tokens_map.json").write_text(json.dumps(ESM_SPECIALS))


@pytest.fixture(name="write_bpe_tokenizer")
def bpe_tokenizer_writer() -> Callable[[Path], None]:
    return write_bpe_tokenizer


@pytest.fixture(name="write_esm_tokenizer")
def esm_tokenizer_writer() -> Callable[..., None]:
    return write_esm_tokenizer


@pytest.fixture
def dnabert_2(tmp_path: Path, golden: Callable[[str], Golden]) -> Path:
    """DNABERT-2: no model_type, a masked language model in pytorch_model.bin."""
    original, folder = golden("mosaicbert"), tmp_path / "one"
    write_config(folder, original.config)
    write_bpe_tokenizer(folder)
    torch.save(original.weights, folder / "pytorch_model.bin")
    (folder / "bert_layers.py").write_text(TRAP)
    return folder


@pytest.fixture
def dnabert_s(tmp_path: Path, golden: Callable[[str], Golden]) -> Path:
    """DNABERT-S: model_type "bert", an encoder without prefix and with a pooler."""
    original, folder = golden("mosaicbert"), tmp_path / "two"
    extra = {"model_type": "bert", "pad_token_id": 0, "architectures": ["BertModel"]}
    write_config(folder, original.config | extra)
    write_bpe_tokenizer(folder)
    weights = {
        name.removeprefix("bert."): tensor
        for name, tensor in original.weights.items()
        if name.startswith("bert.")
    }
    width = original.config["hidden_size"]
    weights |= {"pooler.dense.weight": torch.ones(width, width), "pooler.dense.bias": torch.ones(1)}
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "bert_layers.py").write_text(TRAP)
    return folder


@pytest.fixture
def nucleotide_transformer(tmp_path: Path, golden: Callable[[str], Golden]) -> Path:
    """Nucleotide Transformer v2: no model_type, no AutoModel in auto_map."""
    original, folder = golden("esm_gated"), tmp_path / "three"
    config = {name: value for name, value in original.config.items() if name != "tokens"}
    write_config(folder, config)
    write_esm_tokenizer(folder, k=2)
    save_file(original.weights, folder / "model.safetensors")
    (folder / "modeling_esm.py").write_text(TRAP)
    return folder


@pytest.fixture
def barcodebert(tmp_path: Path, golden: Callable[[str], Golden]) -> Path:
    """BarcodeBERT: a stock BERT for tokens, and a tokenizer that is code."""
    original, folder = golden("barcodebert"), tmp_path / "four"
    write_config(folder, original.config)
    settings = {"auto_map": {"AutoTokenizer": ["tokenizer.KmerTokenizer", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    save_file(original.weights, folder / "model.safetensors")
    (folder / "tokenizer.py").write_text(TRAP)
    return folder


@pytest.fixture
def hyenadna(tmp_path: Path, golden: Callable[[str], Golden]) -> Path:
    """HyenaDNA: a causal language model, shared tensors stored once, a tokenizer that is code."""
    original, folder = golden("hyenadna"), tmp_path / "five"
    write_config(folder, original.config)
    is_copy = (".implicit_filter.3.freq", ".implicit_filter.5.freq")
    stored = {k: v for k, v in original.weights.items() if not k.endswith(is_copy)}
    save_file(stored, folder / "model.safetensors")
    (folder / "tokenization_hyena.py").write_text(TRAP)
    return folder


SYSTEMS = ["dnabert_2", "dnabert_s", "nucleotide_transformer", "barcodebert", "hyenadna"]


@pytest.fixture(params=SYSTEMS)
def published_folder(request: pytest.FixtureRequest) -> Path:
    """Each ported system in turn."""
    return request.getfixturevalue(request.param)
