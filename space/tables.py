"""Answers as HTML for the page and as TSV for the download.

All text that comes from a visitor is escaped. Guarded by
tests/space/test_space_gaps_and_tables.py.
"""

from collections.abc import Iterator, Sequence
from html import escape

from answers import Answer, Match
from gaps import Gap

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.formats import FORMATS
from barcodemae.eval.identify.identification import Identification


def answers_table(answers: Sequence[Answer], threshold: float) -> str:
    """Format answers as an HTML table; on a phone each row becomes a card."""
    rows = "".join(answer_row(answer) for answer in answers)
    return (
        '<table class="answers"><caption>Identified</caption><thead><tr>'
        '<th scope="col">Sequence</th><th scope="col">Verdict</th><th scope="col">Name</th>'
        '<th scope="col">Nearest reference</th>'
        f'</tr></thead><tbody>{rows}</tbody></table><p class="note">A name is given from a '
        f"probability of {threshold:.0%} up, calibrated on references that were left out. "
        "<b>New</b>: probably not among the references. Similarity is a cosine, not a probability."
        "</p>"
    )


def answer_row(answer: Answer) -> str:
    """Format one row of the table of answers."""
    found = answer.found
    turned = ", turned round" if found is not None and found.placed.strand == "-" else ""
    cells = (
        f'<th scope="row"><span class="id">{escape(answer.id) or "(no name)"}</span>'
        f'<span class="small">{answer.length_bp} bp{turned}</span></th>'
        f'<td><span class="mark {answer.verdict.replace(" ", "-")}">{answer.verdict}</span>'
    )
    if found is None:
        return f'<tr>{cells}</td><td colspan="2">{escape(answer.problem)}</td></tr>'
    if not answer.matches:
        return f'<tr>{cells}</td><td colspan="2">no barcode of this marker</td></tr>'
    if answer.looks_new:
        chance = max(found.novelty.values())
        cells += f'<span class="small">{percent(chance)}</span>'
    first, *others = answer.matches
    further = "".join(f"<li>{match_text(match)}</li>" for match in others)
    more = f"<details><summary>{len(others)} more</summary><ol>{further}</ol></details>"
    return (
        f"<tr>{cells}</td><td>{name_text(found)}</td>"
        f"<td>{match_text(first)}{more if others else ''}</td></tr>"
    )


def percent(probability: float) -> str:
    """Format a probability, never rounded up to certainty."""
    return "over 99 %" if probability > 0.99 else f"{100 * probability:.0f} %"


def name_text(found: Identification) -> str:
    """Format the deepest assigned name with its probability, and the lineage above it."""
    assigned = found.assigned()
    if not assigned:
        return '<b>unassigned</b> <span class="small">no rank is supported</span>'
    rank, name, probability = assigned[-1]
    lineage = escape(" > ".join(name for _, name, _ in assigned[:-1]))
    chance = f"{rank}, {percent(probability)}"
    return f'<b>{escape(name)}</b> <span class="small">{chance}; {lineage}</span>'


def match_text(match: Match) -> str:
    """Format a reference: its lowest taxon, its similarity and its id."""
    taxa = [match.reference.taxa[rank] for rank in RANKS if rank in match.reference.taxa]
    similarity = f'<span class="similarity">{match.similarity:.4f}</span>'
    details = f"similarity {similarity}, {escape(match.reference.id)}"
    return f'{escape(taxa[-1])} <span class="small">{details}</span>'


def tsv_lines(answers: Sequence[Answer]) -> Iterator[str]:
    """Yield the lines that `barcodemae identify` writes.

    Sequences that were not identified follow as comments, so that the table remains valid.
    """
    yield FORMATS["tsv"].header
    for answer in answers:
        if answer.found is not None:
            yield FORMATS["tsv"].line(answer.found)
    for answer in answers:
        if answer.found is None:
            yield f"# not identified: {answer.id}\t{answer.problem}\n"


def gaps_table(gaps: Sequence[Gap], filled: str, k: int) -> str:
    """Format guesses of hidden k-mers as an HTML table with bars."""
    rows = "".join(
        f'<tr><th scope="row">{gap.start}-{gap.start + k - 1}</th><td><ol class="guesses">'
        + "".join(
            f'<li><code>{escape(kmer)}</code><span class="bar" style="--share:{share:.4f}"></span>'
            f'<span class="similarity">{100 * share:.1f} %</span></li>'
            for kmer, share in gap.guesses
        )
        + "</ol></td></tr>"
        for gap in gaps
    )
    return (
        '<table class="gaps"><caption>Likeliest k-mers</caption><thead><tr>'
        f'<th scope="col">Bases</th><th scope="col">k-mer and probability</th></tr></thead>'
        f'<tbody>{rows}</tbody></table><p class="note">With the best guesses filled in:</p>'
        f'<p class="filled"><code>{escape(filled)}</code></p>'
    )


def state(kind: str, title: str, text: str, command: str = "") -> str:
    """Format a box shown in place of answers: `empty`, `loading`, `error` or `large`."""
    code = f"<code>{escape(command)}</code>" if command else ""
    role = "alert" if kind in ("error", "large") else "status"
    return (
        f'<div class="state {kind}" role="{role}"><p class="title">{escape(title)}</p>'
        f"<p>{escape(text)}</p>{code}</div>"
    )
