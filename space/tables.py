"""Answers as people read them on the page, and as programs read them from a file.

Every text of a visitor is escaped. Guarded by tests/space/test_space_gaps_and_tables.py.
"""

from collections.abc import Iterator, Sequence
from html import escape

from answers import Answer, Match
from gaps import Gap

from barcodemae.dataset import RANKS


COLUMNS = (
    "id",
    "length_bp",
    "strand",
    "verdict",
    "neighbor",
    "reference",
    "similarity",
    *RANKS,
    "problem",
)


def verdict(answer: Answer) -> str:
    """Say in two words what became of a sequence."""
    if answer.problem:
        return "not read"
    if answer.looks_new is None:
        return "not judged"
    return "looks new" if answer.looks_new else "known species"


def answers_table(answers: Sequence[Answer], threshold: float | None) -> str:
    """Lay answers out as an HTML table; on a phone each row becomes a card."""
    rows = "".join(answer_row(answer) for answer in answers)
    judged = (
        "These references hold too few species with several barcodes to judge what is new."
        if threshold is None
        else f"<b>Looks new</b>: similarity below {threshold:.4f}. 95 % of the references are more "
        "similar than that to their own species. Similarity is a cosine, not a probability."
    )
    return (
        '<table class="answers"><caption>Nearest references</caption><thead><tr>'
        '<th scope="col">Sequence</th><th scope="col">Verdict</th>'
        '<th scope="col">Nearest reference</th><th scope="col">Similarity</th>'
        f'</tr></thead><tbody>{rows}</tbody></table><p class="note">{judged}</p>'
    )


def answer_row(answer: Answer) -> str:
    """One row."""
    word = verdict(answer)
    turned = ", turned round" if answer.strand == "-" else ""
    mark = f'<span class="mark {word.replace(" ", "-")}">{word}</span>'
    name = (
        f'<th scope="row"><span class="id">{escape(answer.id) or "(no name)"}</span>'
        f'<span class="small">{answer.length_bp} bp{turned}</span></th>'
    )
    if answer.problem:
        return f'<tr>{name}<td>{mark}</td><td colspan="2">{escape(answer.problem)}</td></tr>'
    first, *others = answer.matches
    further = "".join(f"<li>{match_text(match)}, {match.similarity:.4f}</li>" for match in others)
    more = f"<details><summary>{len(others)} more</summary><ol>{further}</ol></details>"
    return (
        f"<tr>{name}<td>{mark}</td><td>{match_text(first)}{more if others else ''}</td>"
        f'<td><span class="similarity">{first.similarity:.4f}</span></td></tr>'
    )


def match_text(match: Match) -> str:
    """A reference: the lowest name first, then where it belongs, then its id."""
    taxa = [match.reference.taxa[rank] for rank in RANKS if rank in match.reference.taxa]
    lineage = escape(" > ".join(taxa[:-1]))
    reference = escape(match.reference.id)
    return f'<b>{escape(taxa[-1])}</b> <span class="small">{lineage} ({reference})</span>'


def tsv_lines(answers: Sequence[Answer]) -> Iterator[str]:
    """Yield a header and one line per sequence and neighbour, unrounded."""
    yield "\t".join(COLUMNS)
    for answer in answers:
        start = (answer.id, str(answer.length_bp), answer.strand, verdict(answer))
        if answer.problem:
            yield "\t".join((*start, "", "", "", *("" for _ in RANKS), answer.problem))
        for number, match in enumerate(answer.matches, start=1):
            taxa = (match.reference.taxa.get(rank, "") for rank in RANKS)
            found = (str(number), match.reference.id, repr(match.similarity))
            yield "\t".join((*start, *found, *taxa, ""))


def gaps_table(gaps: Sequence[Gap], filled: str, k: int) -> str:
    """Lay guesses out as an HTML table with bars."""
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
    """A box for when there are no answers: `empty`, `loading`, `error` or `large`."""
    code = f"<code>{escape(command)}</code>" if command else ""
    role = "alert" if kind in ("error", "large") else "status"
    return (
        f'<div class="state {kind}" role="{role}"><p class="title">{escape(title)}</p>'
        f"<p>{escape(text)}</p>{code}</div>"
    )
