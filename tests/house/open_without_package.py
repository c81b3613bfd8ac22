"""Open exported folders as someone does who never installed barcodemae.

    python -I open_without_package.py full|native|framed FOLDER OUT.safetensors THREADS

Run by test_hub_round_trip.py in a process of its own. Writes what the models computed, and prints
one JSON object that says where the classes came from.
"""

import contextlib
import json
import sys
from importlib.abc import MetaPathFinder

import torch
import transformers
from safetensors.torch import save_file


BARCODES = ["ACGTACGTTTAA", "acguacg-nnACGTNN", "TTTGGGCCCAAATTT"]
ids = {"return_tensors": "pt", "padding": True}


class Absent(MetaPathFinder):
    """Make `import barcodemae` fail however the package is installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "barcodemae":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def is_loaded():
    """Whether any module of barcodemae came in."""
    return any(name.partition(".")[0] == "barcodemae" for name in sys.modules)


def open_full(folder):
    """The four Auto classes and the tokenizer, with remote code."""
    trusted = {"trust_remote_code": True}
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **trusted)
    batch = tokenizer(BARCODES, **ids)
    batch["input_ids"][0, 1] = tokenizer.mask_token_id
    tensors, origins = dict(batch), {"AutoTokenizer": origin(tokenizer)}
    for name in (
        "AutoModel",
        "AutoModelForPreTraining",
        "AutoModelForMaskedLM",
        "AutoModelForSequenceClassification",
    ):
        torch.manual_seed(0)  # the classification head is new
        model, report = getattr(transformers, name).from_pretrained(
            folder, output_loading_info=True, **trusted
        )
        output = model(**batch, output_hidden_states=True)
        tensors[name] = output[0]
        tensors[f"{name}.hidden"] = output.hidden_states[-1]
        origins[name] = origin(model)
        assert not report["unexpected_keys"], report
    try:
        tokenizer("NN")
    except ValueError as error:
        origins["guard"] = str(error)
    return tensors, origins


def open_native(folder):
    """Plain AutoModel, AutoTokenizer, sentence-transformers and pipeline, without remote code."""
    from sentence_transformers import SentenceTransformer

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model, report = transformers.AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    batch = tokenizer(BARCODES, **ids)
    sentences = SentenceTransformer(folder, device="cpu")
    extract = transformers.pipeline("feature-extraction", model=folder)
    tensors = {
        **batch,
        "AutoModel": model(**batch).last_hidden_state,
        "SentenceTransformer": sentences.encode(BARCODES, convert_to_tensor=True),
        "pipeline": torch.tensor(extract(BARCODES[0])),
    }
    return tensors, {"AutoModel": origin(model), "AutoTokenizer": origin(tokenizer)}


def open_framed(folder):
    """A full folder and the encoder below it whose tokenizer is code: refused, then trusted."""
    from sentence_transformers import SentenceTransformer

    native, trusted = f"{folder}/encoder", {"trust_remote_code": True}
    refusals = {name: refusal(name) for name in (folder, native)}
    tokenizer = transformers.AutoTokenizer.from_pretrained(native, **trusted)
    whole = "".join(
        "ACGT"[column.index(max(column))] for column in zip(*tokenizer.frame, strict=True)
    )
    fragments = [whole, whole[25:], whole[60:150], "GATTACA" * 9]
    embed = transformers.pipeline("dna-embedding", model=folder, **trusted)
    batch = tokenizer(fragments, **ids)
    model = transformers.AutoModel.from_pretrained(native)
    attended = batch["attention_mask"].unsqueeze(-1)
    tensors = {
        **batch,
        "AutoModel": (model(**batch).last_hidden_state * attended).sum(1) / attended.sum(1),
        "SentenceTransformer": SentenceTransformer(native, device="cpu", **trusted).encode(
            fragments, convert_to_tensor=True
        ),
        "pipeline": torch.tensor(embed(fragments, batch_size=4)),
    }
    origins = {"AutoTokenizer": origin(tokenizer), "pipeline": origin(embed.tokenizer)}
    plain = transformers.AutoTokenizer.from_pretrained(native, trust_remote_code=False)
    return tensors, {
        **origins,
        "refusals": list(refusals.values()),
        "fragments": fragments,
        "unplaced": plain(fragments)["input_ids"],
    }


def refusal(folder):
    """What opening a tokenizer without permission to run its code ends in."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # where transformers asks for it
            return f"opened {transformers.AutoTokenizer.from_pretrained(folder)}"
    except ValueError as error:
        return str(error)


def origin(thing):
    """Top-level package and name of an object's class."""
    return [type(thing).__module__.partition(".")[0], type(thing).__name__]


if __name__ == "__main__":
    assert not is_loaded()
    sys.meta_path.insert(0, Absent())
    mode, folder, out, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    torch.set_grad_enabled(False)
    openers = {"full": open_full, "native": open_native, "framed": open_framed}
    tensors, origins = openers[mode](folder)
    assert not is_loaded()
    save_file({name: value.clone().contiguous() for name, value in tensors.items()}, out)
    json.dump(origins, sys.stdout)
