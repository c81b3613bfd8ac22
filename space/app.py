"""Web page of the Space: identifies pasted or uploaded barcodes, and fills in hidden k-mers.

    pip install -r requirements.txt && python app.py

Environment variables: BARCODEMAE_MODEL (a model folder, in place of the bundled weights) and
BARCODEMAE_REFERENCES (a FASTA file or a library made by `barcodemae index`, in place of the real
barcodes that come with the package). Guarded by tests/browser/.
"""

import os


os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
from answers import MODEL, REFERENCES, Library, open_library
from gaps import MASK, GapFiller
from picture import Projection, draw_map
from reading import MAX_BYTES, MAX_RECORDS, NothingGivenError, TooLargeError, read_input
from tables import answers_table, gaps_table, state, tsv_lines

from barcodemae.demonstration import DEMONSTRATION
from barcodemae.demonstration.barcodes import TRUTHS, read_queries
from barcodemae.errors import BarcodeMAEError, CheckpointError


HERE = Path(__file__).parent
TSV_NAME = "barcodemae.tsv"
CSS = HERE / "style.css"
SHIPPED = " of a few families, which come with it for a first look: many species are not among them"
EMPTY = state(
    "empty",
    "Nothing looked up yet",
    f"Paste FASTA or upload a file with up to {MAX_RECORDS} barcodes, then press Identify. "
    "No barcode at hand? Press Example.",
)
NO_GAPS = state(
    "empty",
    "Nothing filled in yet",
    f"Write {MASK} in place of each hidden k-mer, then press Fill in.",
)
COMMAND = "barcodemae identify YOUR.fasta --reference LIB -o OUT.tsv"


class Page:
    """Actions of the buttons.

    Args:
        library: Library that identifies barcodes.
        filler: Model that fills in k-mers; None if the model has no decoder.
    """

    def __init__(self, library: Library, filler: GapFiller | None) -> None:
        self.library = library
        self.filler = filler
        self.projection = Projection(library.vectors)

    def outcome(self, html: str, figure: Any = None, tsv: str | None = None) -> tuple[Any, ...]:
        """Return the values of the result box, the map, the download and the button."""
        return (
            html,
            gr.update(value=figure) if figure is not None else gr.skip(),
            gr.update(value=tsv, interactive=tsv is not None),
            gr.update(interactive=True),
        )

    def identify(self, text: str, upload: str | None) -> Iterator[tuple[Any, ...]]:
        """Yield the values of the page twice: while identification runs, and with its result."""
        yield (
            state("loading", "Looking up", "Embedding your sequences and comparing them."),
            gr.skip(), gr.update(interactive=False), gr.update(interactive=False),
        )  # fmt: skip
        try:
            records = read_input(text, upload)
            answers, vectors = self.library.identify(records)
        except NothingGivenError:
            yield self.outcome(EMPTY)
        except TooLargeError as error:
            advice = f"{error}. For more, run it on your own machine:"
            yield self.outcome(state("large", "Too much for this page", advice, COMMAND))
        except BarcodeMAEError as error:
            yield self.outcome(state("error", "That could not be read", str(error)))
        else:
            figure = draw_map(self.library, self.projection, answers, vectors)
            html = answers_table(answers, self.library.threshold)
            with TemporaryDirectory() as folder:  # gradio copies the file before this resumes
                path = Path(folder) / TSV_NAME
                path.write_text("".join(tsv_lines(answers)))
                yield self.outcome(html, figure, str(path))

    def clear(self) -> tuple[Any, ...]:
        """Return the values of the page at the beginning."""
        figure = draw_map(self.library, self.projection)
        return ("", None, *self.outcome(EMPTY, figure))

    def fill(self, text: str) -> str:
        """Fill in the gaps of a barcode and return the result as HTML."""
        if self.filler is None:
            return state(
                "error", "Not with this model", "It has no decoder to fill in k-mers with."
            )
        if not text.strip():
            return NO_GAPS
        try:
            return gaps_table(*self.filler.fill(text), self.filler.k)
        except BarcodeMAEError as error:
            return state("error", "That could not be filled in", str(error))


def open_filler(model: str) -> GapFiller | None:
    """Open the decoder of a model; None if it has none."""
    try:
        return GapFiller(model)
    except CheckpointError:
        return None


def build(page: Page) -> gr.Blocks:
    """Build the layout of the page."""
    library = page.library
    with gr.Blocks(title="BarcodeMAE", analytics_enabled=False, delete_cache=(3600, 3600)) as app:
        gr.Markdown(
            "# BarcodeMAE\n"
            "Which species is this DNA barcode of? A masked auto-encoder turns barcodes (COI) into "
            f"vectors and compares yours with **{len(library.references)} references**"
            f"{SHIPPED if REFERENCES == DEMONSTRATION else ''}."
        )
        with gr.Tab("Identify"):
            identify_tab(page)
        with gr.Tab("Fill in"):
            fill_tab(page)
    return app


def read_examples(count: int = 2) -> str:
    """Return the first queries of each truth in the demonstration set as FASTA."""
    records: list[str] = []
    for truth in TRUTHS:
        queries = [query for query in read_queries() if query.truth == truth][:count]
        records += [
            f">{query.record.id} {truth} {query.lineage.get('species', '')}".rstrip()
            + f"\n{query.record.sequence}\n"
            for query in queries
        ]
    return "".join(records)


EXAMPLES = read_examples()


def identify_tab(page: Page) -> None:
    """Build the tab for identification; on a phone the answers are below the input."""
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            text = gr.Textbox(
                label="Barcodes (FASTA, or one bare sequence)", lines=8, max_lines=14,
                placeholder=">my_barcode\nAACATTATATTTTATTTTTGG...", elem_id="text",
            )  # fmt: skip
            upload = gr.File(
                label=f"or a file (FASTA, FASTQ or a table, up to {MAX_BYTES / 1e6:.0f} MB)",
                file_count="single", elem_id="upload", height=110,
            )  # fmt: skip
            with gr.Row():
                run = gr.Button("Identify", variant="primary", elem_id="identify", min_width=90)
                example = gr.Button("Example", elem_id="example", min_width=90)
                clear = gr.Button("Clear", elem_id="clear", min_width=90)
        with gr.Column(scale=3, min_width=280):
            result = gr.HTML(EMPTY, elem_id="result")
            download = gr.DownloadButton("Download TSV", interactive=False, elem_id="download")
    gr.Markdown(
        "### Map\nYour sequences (black; a star: new) among the references. The two axes are "
        f"principal components of the references and show {100 * page.projection.share:.0f} % of "
        "their variance: far is far, but what looks near may differ in the rest. The table decides."
    )
    figure = gr.Plot(
        draw_map(page.library, page.projection), show_label=False, elem_id="map"
    )  # fmt: skip
    outputs = [result, figure, download, run]
    hidden = {"show_progress": "hidden", "api_visibility": "private"}
    run.click(page.identify, [text, upload], outputs, **hidden)
    example.click(lambda: (EXAMPLES, None), None, [text, upload], **hidden)
    clear.click(page.clear, None, [text, upload, *outputs], **hidden)


def fill_tab(page: Page) -> None:
    """Build the tab that fills in hidden k-mers."""
    if page.filler is None:
        gr.HTML(state("empty", "Not with this model", "It has no decoder to fill in k-mers with."))
        return
    sequence = EXAMPLES.splitlines()[1]
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            text = gr.Textbox(
                label=f"Barcode with {MASK} for each hidden k-mer of {page.filler.k} bases",
                lines=8, max_lines=14, elem_id="gapped",
            )  # fmt: skip
            with gr.Row():
                run = gr.Button("Fill in", variant="primary", elem_id="fill", min_width=90)
                example = gr.Button("Example", elem_id="gap-example", min_width=90)
        with gr.Column(scale=3, min_width=280):
            result = gr.HTML(NO_GAPS, elem_id="guesses")
    hidden = {"show_progress": "minimal", "api_visibility": "private"}
    run.click(page.fill, text, result, **hidden)
    example.click(lambda: page.filler.example(sequence), None, text, **hidden)


def main() -> None:
    """Open model and references, and serve the page."""
    library = open_library(MODEL, REFERENCES)
    app = build(Page(library, open_filler(MODEL)))
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
    app.launch(
        theme=gr.themes.Base(primary_hue="teal", **fonts),
        css_paths=CSS,
        max_file_size=10 * MAX_BYTES,
        footer_links=[],
        ssr_mode=False,
    )


if __name__ == "__main__":
    main()
