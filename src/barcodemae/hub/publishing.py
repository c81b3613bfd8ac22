"""Publishing of a library: its files as its manifest lists them, and a card, in one commit.

In: the folder of a library, and a licence. Out: a repository of data on the Hub, and its commit.
An interrupted push is completed by running it again, as with models.
Guarded by tests/barcodemae/hub/test_hub_libraries.py.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from barcodemae.default_model import is_bundled
from barcodemae.errors import SettingsError
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.hub.library_card import write_card
from barcodemae.model_cards.push import PushPlan, check_name, plan_file, push
from barcodemae.stored.manifest import MANIFEST, check_manifest


CARD = "README.md"


def check_order(repo_id: str, license_name: str, model: str, revision: str) -> None:
    """Check what a push needs, before anything is made.

    Args:
        repo_id: Name of the repository, `owner/name`.
        license_name: Licence of the data.
        model: Model of the library.
        revision: Its revision on the Hub.

    Raises:
        SettingsError: There is no licence, or the model is on the Hub and its revision is not
            given.
        PushError: The name of the repository is invalid.
    """
    check_name(repo_id)
    if not license_name:
        raise SettingsError(
            "--push publishes data: name its licence with --license, such as cc-by-4.0"
        )
    is_here = is_bundled(model) or model.startswith("kmer:") or Path(model).exists()
    if not (is_here or revision):
        raise SettingsError(f"--push needs the revision of {model}: name it with --revision")


def publish_library(
    folder: Path, repo_id: str, license_name: str, *, revision: str = "", private: bool = False
) -> str:
    """Publish a library.

    Args:
        folder: Its folder; every byte is checked first.
        repo_id: Name of the repository, `owner/name`.
        license_name: Licence of the data, by the Hub's name.
        revision: Revision of the model on the Hub; empty for a model that is not from there.
        private: Whether a new repository is private.

    Returns:
        Id of the commit.

    Raises:
        DataError: The folder is not a library, or is damaged.
        PushError: The push failed; the message says what to do.
    """
    library = ReferenceLibrary(folder)
    names = [*check_manifest(folder, everything=True), MANIFEST]
    with TemporaryDirectory() as scratch:
        card = Path(scratch) / CARD
        card.write_text(write_card(repo_id, library.description, license_name, revision))
        files = [plan_file(folder, folder / name) for name in names]
        files.append(plan_file(card.parent, card))
        return push(PushPlan(repo_id, files, "dataset"), private=private)
