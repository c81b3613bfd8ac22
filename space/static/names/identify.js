// Identification of records: placed, embedded, compared, judged, named; as `barcodemae identify`.
//
// The same as eval/identify/identification.py, findings.py and stream.py without restrictions. Which
// records are computed together decides about nothing but rounding; still it is as in Python.
// Guarded by tests/browser/test_static_page.py, which compares all rows with Python's.

import { clean, countBases, hasOpenFrame, reasonUnusable } from "./letters.js";
import { NO_ROW, UNKNOWN, compare } from "./comparison.js";
import { gatherEvidence } from "./evidence.js";
import { LADDER, RANKS, decide, estimateMixture, findDepth, judge } from "./judgement.js";
import { place, siteCodes } from "./placing.js";
import { searchNearest, unitLength } from "./search.js";
import { tieOf } from "./ties.js";

const MAX_LENGTH = 5000;
const MAX_SAMPLED = 1000;
const RECORDS_PER_BATCH = 256;
const AMBIGUOUS_ABOVE = 0.01;
const NOVEL_FROM = 0.5;
const MAX_TOLD = 10;
const NUM_LISTED = 3; // best references that are shown beside a name
const NOVEL_FLAGS = LADDER.map((rank) => `novel_${rank}`);
const FLAGS = [
  "not_a_barcode",
  ...NOVEL_FLAGS.toReversed(),
  "conflict",
  "reference_flagged",
  "excluded_nearer",
  "short",
  "ambiguous",
  "trimmed",
  "frameshift",
  "stop_codon",
  "exact_match",
];

export class Identifier {
  /**
   * @param library Library that `openLibrary` opened.
   * @param engine Computes: `embed(codes)` gives vectors, `multiply` products.
   */
  constructor(library, engine) {
    this.library = library;
    this.engine = engine;
    this.minLength = library.calibration.classes[0].min_length;
    this.fullLength = library.calibration.classes.at(-1).min_length;
  }

  /** Identify records that are a whole sample, in their order.
   *
   * @param onProgress Told now and then how many records are examined; waited for.
   */
  async identify(records, onProgress = () => {}) {
    const found = new Map();
    this.onProgress = (numMore) => onProgress(found.size + numMore);
    const drawn = [...records].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
    const sample = drawn.slice(0, MAX_SAMPLED);
    await this.examineInto(found, sample);
    const likelihoods = sample.map(({ key }) => found.get(key).match?.likelihoods).filter(Boolean);
    const mixture = estimateMixture(likelihoods, this.library.calibration.assumed);
    for (let start = 0; start < records.length; start += RECORDS_PER_BATCH) {
      const batch = records.slice(start, start + RECORDS_PER_BATCH);
      await this.examineInto(found, batch.filter(({ key }) => !found.has(key)));
    }
    const named = records.map((record) => this.conclude(record, found.get(record.key), mixture));
    return { named, mixture };
  }

  async examineInto(found, records) {
    for (let start = 0; start < records.length; start += RECORDS_PER_BATCH) {
      const batch = records.slice(start, start + RECORDS_PER_BATCH);
      const examined = await this.examine(batch);
      batch.forEach(({ key }, row) => found.set(key, examined[row]));
      await this.onProgress(0);
    }
  }

  /** Compare records with the library: `{reason}`, or `{placed, match}`. */
  async examine(records) {
    const results = records.map((record) => ({
      reason: record.problem || this.reasonUnusable(record.sequence),
    }));
    const rows = [...results.keys()].filter((row) => !results[row].reason);
    const placed = place(this.library.frame, rows.map((row) => clean(records[row].sequence)));
    const barcodes = [];
    rows.forEach((row, number) => {
      const one = placed[number];
      const reason = one.isBarcode ? this.reasonUnreadable(one.letters) : null;
      results[row] = reason ? { reason } : { placed: one, match: null };
      if (one.isBarcode && !reason) barcodes.push(row);
    });
    const matches = await this.match(barcodes.map((row) => results[row].placed));
    barcodes.forEach((row, number) => (results[row].match = matches[number]));
    return results;
  }

  /** Say why a sequence, as it stands in the file, cannot be identified; null if it can. */
  reasonUnusable(deposited) {
    const numLetters = [...clean(deposited)].length;
    if (numLetters > MAX_LENGTH) return `too long for a barcode: more than ${MAX_LENGTH} bases`;
    const reason = reasonUnusable(deposited, 1);
    if (reason || numLetters >= this.minLength) return reason;
    return `too short to identify: ${numLetters} bases, at least ${this.minLength} are needed`;
  }

  /** Say why too little is known of a barcode, or why the model cannot read it; null if it can. */
  reasonUnreadable(letters) {
    const { k, max_tokens: maxTokens } = this.library.description;
    const numKnown = countBases(letters);
    if (numKnown < this.minLength) {
      return (
        `too short to identify: ${numKnown} known bases of the barcode, ` +
        `at least ${this.minLength} are needed`
      );
    }
    return reasonUnusable(letters, k, k * maxTokens);
  }

  /** Find what the neighbours say of queries that are barcodes. */
  async match(placed) {
    if (!placed.length) return [];
    const { library, engine } = this;
    const { k, max_tokens: maxTokens } = library.description;
    const codes = siteCodes(placed, k * maxTokens, k);
    const vectors = (await engine.embed(codes, this.onProgress)).map(unitLength);
    const neighbors = await searchNearest(library, vectors, engine.multiply);
    return placed.map((one, row) => ({ ...this.matchOne(one, neighbors[row]), vector: vectors[row] }));
  }

  matchOne(placed, neighbors) {
    const { library } = this;
    const length = countBases(placed.letters);
    const compared = compare(library, placed, neighbors);
    const evidence = gatherEvidence(library, compared, length);
    const isBroken = placed.numGained + placed.numLost > 0;
    const judged = judge(library.calibration, evidence.features, length, isBroken);
    const identical = library.identicalTo(placed.letters);
    const best = compared[0];
    const isListed = !identical.length || identical.includes(best.row);
    return {
      ...judged,
      tie: tieOf(library, placed, compared, evidence.winners, identical),
      agreement: evidence.agreement,
      nearest: isListed ? best.row : identical[0],
      isExact: identical.length > 0,
      best,
      listed: compared.slice(0, NUM_LISTED).filter(({ row, score }) => row !== NO_ROW && score > -Infinity),
    };
  }

  /** Name what was found of a record under a mixture. */
  conclude(record, { reason, placed, match }, mixture) {
    if (reason) return { id: record.id, number: record.number, reason };
    const description = this.describe(placed);
    const flags = description.flags;
    if (!match) return { ...noBarcode(record.id, description), flags: listed(flags) };
    const { library } = this;
    const { winners, depth: tieDepth, species } = match.tie;
    const verdict = decide(match, winners, mixture);
    const depth = Math.min(findDepth(verdict, library.thresholds), tieDepth);
    const known = winners.slice(0, depth).findLastIndex((code) => code !== UNKNOWN);
    const isConflict = species.length > 1;
    NOVEL_FLAGS.forEach((flag, step) => (flags[flag] = verdict.novelty[step] >= NOVEL_FROM));
    const isFlagged = library.flagged.has(match.nearest);
    Object.assign(flags, { exact_match: match.isExact, conflict: isConflict, reference_flagged: isFlagged });
    const [bin, binAgreement] = library.binOf(match.nearest);
    return {
      id: record.id,
      names: winners.map((code, rank) => library.taxon(rank, code)),
      probabilities: verdict.names,
      depth,
      novelty: verdict.novelty,
      nearest: library.ids[match.nearest],
      similarity: match.best.cosine,
      agreement: known < 0 ? 0 : match.agreement[known],
      identity: match.best.identity,
      coverage: match.best.coverage,
      placed: description,
      bin,
      binAgreement,
      candidates: isConflict ? species.slice(0, MAX_TOLD).map((code) => library.taxa.at(-1)[code]) : [],
      flags: listed(flags),
      listed: match.listed.map(({ row, identity, cosine }) => ({
        id: library.ids[row],
        name: library.lineageOf(row).reduce((name, code, rank) => library.taxon(rank, code) ?? name, ""),
        identity,
        cosine,
      })),
      vector: match.vector,
    };
  }

  /** Describe how a query was placed. */
  describe(placed) {
    const { letters, numGained, numLost, numBefore, numAfter, isBarcode } = placed;
    const numKnown = countBases(letters);
    const unknown = 1 - numKnown / Math.max(letters.length, 1);
    const hasStop = this.library.description.is_coding && !hasOpenFrame(letters);
    return {
      ...placed,
      strand: placed.isReverse ? "-" : "+",
      length: letters.length,
      unknown,
      flags: {
        not_a_barcode: !isBarcode,
        short: numKnown < this.fullLength,
        ambiguous: unknown > AMBIGUOUS_ABOVE,
        trimmed: numBefore + numAfter > 0,
        frameshift: numGained % 3 !== 0 || numLost % 3 !== 0,
        stop_codon: isBarcode && hasStop,
      },
    };
  }
}

function listed(flags) {
  return FLAGS.filter((flag) => flags[flag]);
}

/** Describe a record that is no barcode: it has no name at any rank. */
function noBarcode(id, placed) {
  return {
    id,
    names: RANKS.map(() => null),
    probabilities: RANKS.map(() => 0),
    depth: 0,
    novelty: LADDER.map(() => 0),
    nearest: "",
    similarity: null,
    agreement: 0,
    identity: null,
    coverage: null,
    placed,
    bin: null,
    binAgreement: null,
    candidates: [],
    listed: [],
    vector: null,
  };
}
