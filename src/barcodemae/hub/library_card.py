"""The card of a library: what it holds, what it was made with, and under which licence.

In: the description of a library. Out: the text of its `README.md` on the Hub. Every number comes
from `library.json`. Guarded by tests/barcodemae/hub/test_hub_libraries.py.
"""

from typing import Any

import yaml

from barcodemae.dataset import RANKS


def write_card(repo_id: str, description: dict[str, Any], license_name: str, revision: str) -> str:
    """Write the card of a library.

    Args:
        repo_id: Name of the repository, `owner/name`.
        description: Content of `library.json`.
        license_name: Licence of the data, by the Hub's name.
        revision: Revision of the model on the Hub; empty for a model that is not from there.
    """
    model, reference = description["model"], description["reference"]
    front = {
        "license": license_name,
        "library_name": "barcodemae",
        "tags": ["barcodemae-library", "dna", "biology", "barcode"],
    }
    taxa = "\n".join(f"| {rank} | {description['taxa'][rank]:,} |" for rank in RANKS)
    at = f" at revision `{revision}`" if revision else ""
    left_out = description["references_left_out"]
    others = "".join(f"- {count:,} left out: {why}\n" for why, count in left_out.items())
    conflicts = "".join(
        f"- {n:,} conflicts: {kind}\n" for kind, n in description["conflicts"].items()
    )
    front_matter = yaml.safe_dump(front, sort_keys=False)
    return f"""---
{front_matter}---

# {repo_id.partition("/")[2]}

A reference library of {description["references"]:,} DNA barcodes for `barcodemae identify`:

```sh
barcodemae identify barcodes.fasta --reference hf://{repo_id} -o names.tsv
```

| rank | taxa |
| --- | ---: |
{taxa}

- Model: `{model["name"]}`{at}, weights `{model["weights"]}`, computed in {model["dtype"]}. Another
  model is refused, by the hash of its weights.
- Data: `{reference["name"]}`, partitions {", ".join(reference["splits"])}, hash
  `{reference["hash"]}`. Where the specimens come from is not recorded in it.
{others}{conflicts}- Written by {description["written_by"]}, format {description["format_version"]}.
- `report.tsv` lists what was left out and what contradicts itself; `manifest.json` holds the hash
  of every file, and is checked before a name is given.
- Licence of the data: {license_name}.
"""
