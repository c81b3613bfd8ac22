"""Compute the golden numbers of the ported systems with the systems' own code.

    python make_foreign_goldens.py mosaicbert FOLDER   # bert_layers.py, bert_padding.py
    python make_foreign_goldens.py esm_gated FOLDER    # modeling_esm.py, esm_config.py
    python make_foreign_goldens.py barcodebert FOLDER  # the package folder barcodebert/
    python make_foreign_goldens.py hyenadna FOLDER     # modeling_hyena.py, configuration_hyena.py

FOLDER is a checkout of the original code; README.md beside this file names the ones used and the
versions it ran under. Nothing of the originals is stored here: only tiny seeded random weights
and what the originals compute from them.
"""

import importlib
import importlib.util
import json
import sys
import tempfile
import types
from pathlib import Path

import pandas as pd
import torch
import transformers
from safetensors.torch import save_file


HERE = Path(__file__).parent
SEED = 2502_18405

MOSAICBERT_CONFIG = {
    "_name_or_path": "zhihan1996/DNABERT-2-117M",
    "alibi_starting_size": 8,  # shorter than the input, so that the original enlarges its table
    "attention_probs_dropout_prob": 0.0,
    "auto_map": {
        "AutoConfig": "configuration_bert.BertConfig",
        "AutoModel": "bert_layers.BertModel",
        "AutoModelForMaskedLM": "bert_layers.BertForMaskedLM",
    },
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 24,
    "initializer_range": 0.02,
    "intermediate_size": 20,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "num_attention_heads": 6,  # no power of two, like the published 12
    "num_hidden_layers": 2,
    "position_embedding_type": "absolute",
    "torch_dtype": "float32",
    "type_vocab_size": 2,
    "use_cache": True,
    "vocab_size": 32,
}

ESM_GATED_CONFIG = {
    "add_bias_fnn": False,
    "architectures": ["EsmForMaskedLM"],
    "attention_probs_dropout_prob": 0.0,
    "auto_map": {
        "AutoConfig": "esm_config.EsmConfig",
        "AutoModelForMaskedLM": "modeling_esm.EsmForMaskedLM",
    },
    "emb_layer_norm_before": False,
    "esmfold_config": None,
    "hidden_dropout_prob": 0.0,
    "hidden_size": 24,
    "initializer_range": 0.02,
    "intermediate_size": 20,
    "is_folding_model": False,
    "layer_norm_eps": 1e-12,
    "mask_token_id": 2,
    "max_position_embeddings": 40,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "pad_token_id": 1,
    "position_embedding_type": "rotary",
    "tie_word_embeddings": False,
    "token_dropout": False,
    "torch_dtype": "float32",
    "use_cache": False,
    "vocab_list": None,
    "vocab_size": 27,  # six special tokens, 16 2-mers, A, T, C, G, N
}

HYENADNA_CONFIG = {
    "activation_freq": 10,
    "architectures": ["HyenaDNAForCausalLM"],
    "auto_map": {
        "AutoConfig": "configuration_hyena.HyenaConfig",
        "AutoModel": "modeling_hyena.HyenaDNAModel",
        "AutoModelForCausalLM": "modeling_hyena.HyenaDNAForCausalLM",
    },
    "d_inner": 20,
    "d_model": 24,
    "emb_dim": 5,
    "embed_dropout": 0.1,
    "filter_order": 8,
    "hyena_dropout": 0.0,
    "hyena_filter_dropout": 0.0,
    "hyena_order": 2,
    "layer_norm_epsilon": 1e-05,
    "max_seq_len": 34,
    "model_type": "hyenadna",
    "n_layer": 2,
    "num_inner_mlps": 2,
    "pad_token_id": 4,
    "pad_vocab_size_multiple": 8,
    "short_filter_order": 3,
    "tie_word_embeddings": False,
    "train_freq": True,
    "use_bias": True,
    "vocab_size": 12,
}

BARCODEBERT_K, BARCODEBERT_MAX_LENGTH = 2, 24
BARCODES = [
    "ACGTACGTTGCAACGTAGGCTTAACCGT",  # longer than the longest input
    "TTGACCAGGT",
    "ACGNTTACGAT",  # an N inside and an odd number of bases
    "NNACGT",
]


def load_package(folder: Path, name: str) -> types.ModuleType:
    """Import a folder of modules as the package `name`, without running its __init__.py."""
    package = types.ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules[name] = package
    return package


def randomise(model: torch.nn.Module) -> None:
    """Draw every parameter: N(1, 0.1) for normalisation weights, N(0, 0.3) for the rest."""
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            is_scale = "norm" in name.lower() and name.endswith("weight")
            spread = 0.1 if is_scale else 0.3
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread + is_scale)


def padded_batch(vocab_size: int, pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw rows of 14, 9 and 1 tokens, filled up with padding: ids and mask, (3, 14)."""
    generator = torch.Generator().manual_seed(SEED)
    lengths = torch.tensor([14, 9, 1])
    mask = torch.arange(14) < lengths[:, None]
    ids = torch.randint(6, vocab_size, mask.shape, generator=generator)
    return ids.masked_fill(~mask, pad_id), mask.long()


def save_golden(system: str, config: dict, tensors: dict, model: torch.nn.Module) -> None:
    """Write weights (under the original's names), inputs, outputs and the config to one file."""
    weights = {f"weights/{name}": tensor for name, tensor in model.state_dict().items()}
    everything = {
        key: value.detach().clone().contiguous() for key, value in (weights | tensors).items()
    }
    path = HERE / f"foreign_{system}.safetensors"
    save_file(everything, path, metadata={"config": json.dumps(config)})


def make_mosaicbert(folder: Path) -> None:
    """Run the BertModel of DNABERT-2 and DNABERT-S."""
    load_package(folder, "mosaicbert")
    layers = importlib.import_module("mosaicbert.bert_layers")
    layers.flash_attn_qkvpacked_func = None  # the pytorch path
    config = transformers.BertConfig(**MOSAICBERT_CONFIG)
    model = layers.BertForMaskedLM(config).eval()
    randomise(model)
    ids, mask = padded_batch(config.vocab_size, pad_id=3)
    with torch.no_grad():
        hidden_states, _ = model.bert(ids, attention_mask=mask)
    tensors = {"input_ids": ids, "attention_mask": mask, "hidden_states": hidden_states}
    save_golden("mosaicbert", MOSAICBERT_CONFIG, tensors, model)


def tokenize_two_mers(sequences: list[str]) -> dict[str, list[int]]:
    """Tokenize with EsmTokenizer and a vocab.txt in the published order, for 2-mers."""
    letters = "ATCG"
    words = [first + second for first in letters for second in letters]
    vocabulary = ["<unk>", "<pad>", "<mask>", "<cls>", "<eos>", "<bos>", *words, *letters, "N"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocab.txt"
        path.write_text("\n".join(vocabulary))
        tokenizer = transformers.EsmTokenizer(str(path), model_max_length=40)
    return {row: tokenizer(row, add_special_tokens=False)["input_ids"] for row in sequences}


def make_esm_gated(folder: Path) -> None:
    """Run the encoder of Nucleotide Transformer v2, and the EsmTokenizer it is published with."""
    load_package(folder, "esm_gated")
    modeling = importlib.import_module("esm_gated.modeling_esm")
    config = importlib.import_module("esm_gated.esm_config").EsmConfig(**ESM_GATED_CONFIG)
    model = torch.nn.Module()
    model.esm = modeling.EsmModel(config, add_pooling_layer=False)
    model.lm_head = modeling.EsmLMHead(config)
    randomise(model.eval())
    ids, mask = padded_batch(config.vocab_size, pad_id=1)
    with torch.no_grad():
        outputs = model.esm(ids, attention_mask=mask, output_hidden_states=True)
    tensors = {
        "input_ids": ids,
        "attention_mask": mask,
        "hidden_states": outputs.hidden_states[-1],
    }
    tokens = {"tokens": tokenize_two_mers(BARCODES)}
    save_golden("esm_gated", ESM_GATED_CONFIG | tokens, tensors, model)


def stand_in_for_torchtext() -> None:
    """Provide the one function of the abandoned torchtext that the original imports."""

    class Vocab(dict):
        def set_default_index(self, index: int) -> None:
            self.default = index

        def __call__(self, tokens: list[str]) -> list[int]:
            return [self.get(token, self.default) for token in tokens]

    def vocab(ordered: dict, specials: list[str]) -> Vocab:
        return Vocab({token: index for index, token in enumerate([*specials, *ordered])})

    package, module = types.ModuleType("torchtext"), types.ModuleType("torchtext.vocab")
    module.vocab = vocab
    sys.modules |= {"torchtext": package, "torchtext.vocab": module}


def make_barcodebert(folder: Path) -> None:
    """Run BarcodeBERT's tokenizer, model and pooled embedding."""
    stand_in_for_torchtext()
    load_package(folder, "barcodebert")
    datasets = importlib.import_module("barcodebert.datasets")
    table = pd.DataFrame({"nucleotides": BARCODES, "order_name": "-", "species_name": "-"})
    with tempfile.TemporaryDirectory() as temporary:
        csv = Path(temporary) / "barcodes.csv"
        table.to_csv(csv)
        reader = datasets.DNADataset(
            str(csv), k_mer=BARCODEBERT_K, stride=BARCODEBERT_K, max_len=BARCODEBERT_MAX_LENGTH
        )
    config = transformers.BertConfig(
        vocab_size=reader.vocab_size,
        hidden_size=24,
        intermediate_size=20,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_labels=4**BARCODEBERT_K,
        output_hidden_states=True,
        max_position_embeddings=16,
        architectures=["BertForTokenClassification"],
    )
    model = transformers.BertForTokenClassification(config).eval()
    randomise(model)
    pairs = [reader.tokenizer(barcode) for barcode in BARCODES]
    embeddings, _, _ = datasets.representations_from_df(
        table, "species_name", model, reader.tokenizer, "CANADA-1.5M"
    )
    tensors = {
        "input_ids": torch.stack([ids for ids, _ in pairs]),
        "attention_mask": torch.stack([mask for _, mask in pairs]),
        "embeddings": torch.from_numpy(embeddings),
    }
    save_golden("barcodebert", config.to_dict() | {"barcodes": BARCODES}, tensors, model)


def make_hyenadna(folder: Path) -> None:
    """Run the backbone of HyenaDNA; it takes no mask."""
    load_package(folder, "hyenadna")
    modeling = importlib.import_module("hyenadna.modeling_hyena")
    config = importlib.import_module("hyenadna.configuration_hyena").HyenaConfig(**HYENADNA_CONFIG)
    model = modeling.HyenaDNAForCausalLM(config).eval()
    randomise(model)
    ids, mask = padded_batch(config.vocab_size, pad_id=4)
    with torch.no_grad():
        hidden_states = model.hyena(ids, return_dict=True).last_hidden_state
    tensors = {"input_ids": ids, "attention_mask": mask, "hidden_states": hidden_states}
    save_golden("hyenadna", HYENADNA_CONFIG, tensors, model)


if __name__ == "__main__":
    makers = {
        "mosaicbert": make_mosaicbert,
        "esm_gated": make_esm_gated,
        "barcodebert": make_barcodebert,
        "hyenadna": make_hyenadna,
    }
    makers[sys.argv[1]](Path(sys.argv[2]))
