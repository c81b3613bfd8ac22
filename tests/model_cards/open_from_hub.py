"""Open published repositories by name, as a user without barcodemae does.

    python -I open_from_hub.py FULL FULL_REVISION NATIVE NATIVE_REVISION CARD... < /dev/null

Run by test_from_the_hub.py in an empty folder of its own, with HF_ENDPOINT set to the test's
server. Runs every Python block of the cards in order, then opens both repositories at their
revisions. Prints one JSON object.
"""

import json
import re
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

import torch
import transformers
from huggingface_hub import hf_hub_download
from sentence_transformers import SentenceTransformer


BARCODES = ["ACGTACGTTTAA", "TTTGGGCCCAAATTT"]
ids = {"return_tensors": "pt", "padding": True}


class Absent(MetaPathFinder):
    """Make `import barcodemae` fail however the package is installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "barcodemae":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def run_card(repo):
    """Run the Python blocks of a card, each in its own namespace; return number and vectors."""
    card = Path(hf_hub_download(repo, "README.md")).read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", card, flags=re.DOTALL | re.MULTILINE)
    found = {"blocks": len(blocks), "lines": []}
    for block in blocks:
        names = {}
        exec(compile(block, f"{repo}/README.md", "exec"), names)
        found["lines"].append(sum(bool(line.strip()) for line in block.splitlines()))
        for name in ("embeddings", "vectors", "guesses", "per_token", "answers"):
            if name in names:
                value = names[name]
                found[name] = value.tolist() if hasattr(value, "tolist") else value
    return found


def embed(repo, revision, **options):
    """Load tokenizer and model at a revision and pool."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(repo, revision=revision, **options)
    model = transformers.AutoModel.from_pretrained(repo, revision=revision, **options)
    batch = tokenizer(BARCODES, **ids)
    attended = batch["attention_mask"].unsqueeze(-1)
    hidden = model(**batch).last_hidden_state
    return ((hidden * attended).sum(dim=1) / attended.sum(dim=1)).tolist()


if __name__ == "__main__":
    sys.meta_path.insert(0, Absent())
    torch.set_grad_enabled(False)
    full, full_revision, native, native_revision = sys.argv[1:]
    trusted = {"trust_remote_code": True}
    json.dump(
        {
            "full card": run_card(full),
            "native card": run_card(native),
            "full": embed(full, full_revision, **trusted),
            "native": embed(native, native_revision),
            "pipeline": transformers.pipeline(
                "dna-embedding", model=full, revision=full_revision, **trusted
            )(BARCODES, batch_size=2),
            "sentences": SentenceTransformer(native, revision=native_revision, device="cpu")
            .encode(BARCODES)
            .tolist(),
        },
        sys.stdout,
    )
