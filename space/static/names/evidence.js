// Evidence for the lineage of a query: how near the winner of every rank and its rivals are.
//
// The same as eval/identify/judge/evidence.py, one query at a time; features in the same order.
// Guarded by tests/browser/test_static_page.py.

import { NO_ROW, UNKNOWN, round } from "./comparison.js";

const EPSILON = 1e-3;
const COSINE_TEMPERATURE = 0.02;
const IDENTITY_TEMPERATURE = 0.01;
const FIRST_SCALED = 2; // order
const SPREAD_PLACE = 5;
const CHILD_RANK = [1, 2, 3, 5, 5, 6, 6];
const DECIMALS = 6;

/** Choose the winning lineage and describe how near it and its rivals are.
 *
 * @returns {{winners: number[], features: number[], agreement: number[]}}
 */
export function gatherEvidence(library, compared, length) {
  const near = compared.map(({ row }) =>
    row === NO_ROW ? Array(library.numRanks).fill(UNKNOWN) : library.lineageOf(row),
  );
  const winners = chooseLineage(near, compared);
  const among = cosinesAmong(library, compared);
  const features = wholeFeatures(compared, length);
  const agreement = [];
  for (let rank = 0; rank < library.numRanks; rank++) {
    const taxa = near.map((codes) => codes[rank]);
    const isWinner = taxa.map((code) => code !== UNKNOWN && code === winners[rank]);
    const isRival = taxa.map((code, place) => code !== UNKNOWN && !isWinner[place]);
    features.push(...nearness(compared, isWinner, isRival));
    agreement.push(features[features.length - 2]);
    if (rank < FIRST_SCALED) continue;
    const child = CHILD_RANK[rank];
    const isPart = (one, other) =>
      child === rank ? one !== other : near[one][child] !== near[other][child];
    features.push(...localScale(compared, among, isWinner, isRival, isPart));
    const sizes = library.sizes[rank];
    features.push(Math.log1p(winners[rank] < 0 ? 0 : sizes.references[winners[rank]]));
    features.push(Math.log1p(winners[rank] < 0 ? 0 : sizes.children[winners[rank]]));
  }
  return { winners, features: features.map((value) => round(value, DECIMALS)), agreement };
}

/** The lineage of the best reference; what it leaves open at its end, the next best fill. */
function chooseLineage(near, compared) {
  const winners = near[0].slice();
  const numRanks = winners.length;
  if (winners[numRanks - 1] !== UNKNOWN) return winners;
  const deepest = winners.findLastIndex((code) => code !== UNKNOWN);
  let shares = compared.map(
    ({ score }, place) =>
      score > -Infinity && (deepest < 0 || near[place][deepest] === winners[deepest]),
  );
  for (let rank = deepest + 1; rank < numRanks; rank++) {
    const first = shares.findIndex((is, place) => is && near[place][rank] !== UNKNOWN);
    if (first < 0) continue;
    winners[rank] = near[first][rank];
    shares = shares.map((is, place) => is && near[place][rank] === winners[rank]);
  }
  return winners;
}

/** Cosines among the neighbours, (K, K); those of padding are never looked at. */
function cosinesAmong(library, compared) {
  const rows = compared.map(({ row }) => Math.max(row, 0));
  const size = rows.length;
  const among = new Float32Array(size * size);
  for (let one = 0; one < size; one++) {
    for (let other = one; other < size; other++) {
      const cosine = library.product(rows[one], rows[other]);
      among[one * size + other] = cosine;
      among[other * size + one] = cosine;
    }
  }
  return among;
}

function logDistance(similarity) {
  return Math.log(Math.max(1 - similarity, 0) + EPSILON);
}

/** The highest of the chosen values, -1 where none is chosen. */
function highest(values, chosen) {
  let found = -1;
  values.forEach((value, place) => {
    if (chosen[place] && value > found) found = value;
  });
  return found;
}

function wholeFeatures(compared, length) {
  const cosines = compared.map(({ cosine }) => cosine);
  const exists = compared.map(({ row }) => row !== NO_ROW);
  const ordered = compared
    .map(({ score, identity }) => (score > -Infinity ? identity : -1))
    .sort((a, b) => a - b);
  const best = compared[0];
  return [
    Math.log(Math.max(length, 1)),
    logDistance(best.identity),
    logDistance(highest(cosines, exists)),
    best.transversions,
    best.conserved,
    best.coverage,
    Math.log1p(best.gaps),
    logDistance(ordered[ordered.length - Math.min(SPREAD_PLACE, ordered.length)]),
    logDistance(Math.min(...cosines.map((cosine, place) => (exists[place] ? cosine : 1)))),
  ];
}

/** Compare the winner of one rank with its rivals, by letters and by embeddings. */
function nearness(compared, isWinner, isRival) {
  const scores = compared.map(({ score }) => score);
  const cosines = compared.map(({ cosine }) => cosine);
  const isCompared = scores.map((score) => score > -Infinity);
  const exists = compared.map(({ row }) => row !== NO_ROW);
  const isNear = isWinner.map((is, place) => is && isCompared[place]);
  const isFar = isRival.map((is, place) => is && isCompared[place]);
  const best = highest(scores, isNear);
  const rival = isFar.includes(true)
    ? highest(scores, isFar)
    : Math.min(...scores.map((score, place) => (isCompared[place] ? score : 1)));
  const bestCosine = highest(cosines, isWinner);
  const rivalCosine = isRival.includes(true)
    ? highest(cosines, isRival)
    : Math.min(...cosines.map((cosine, place) => (exists[place] ? cosine : 1)));
  const named = isWinner.map((is, place) => is || isRival[place]);
  const both = named.map((is, place) => is && isCompared[place]);
  const count = (chosen) => chosen.reduce((sum, is) => sum + is, 0);
  return [
    logDistance(best),
    logDistance(rival),
    logDistance(rival) - logDistance(best),
    logDistance(rivalCosine) - logDistance(bestCosine),
    weightedShare(cosines, COSINE_TEMPERATURE, isWinner, named),
    weightedShare(scores, IDENTITY_TEMPERATURE, isWinner, both),
    count(isWinner) / Math.max(count(named), 1),
  ];
}

/** The share of the chosen neighbours, nearer ones weighted more. */
function weightedShare(scores, temperature, chosen, among) {
  let top = -Infinity;
  scores.forEach((score, place) => {
    if (among[place] && score > top) top = score;
  });
  let share = 0;
  let total = 0;
  scores.forEach((score, place) => {
    if (!among[place]) return;
    const weight = Math.exp((score - top) / temperature);
    total += weight;
    if (chosen[place]) share += weight;
  });
  return share / Math.max(total, EPSILON);
}

/** How far apart the neighbours are from each other, within and between taxa. */
function localScale(compared, among, isWinner, isRival, isPart) {
  const size = compared.length;
  let count = 0;
  let total = 0;
  let closest = -1;
  let between = -1;
  let isCrossed = false;
  for (let one = 0; one < size; one++) {
    if (!isWinner[one]) continue;
    for (let other = 0; other < size; other++) {
      const cosine = among[one * size + other];
      if (isRival[other]) {
        isCrossed = true;
        between = Math.max(between, cosine);
      } else if (isWinner[other] && isPart(one, other)) {
        count++;
        total += cosine;
        closest = Math.max(closest, cosine);
      }
    }
  }
  const cosines = compared.map(({ cosine }) => cosine);
  const mine = logDistance(highest(cosines, isWinner));
  const within = logDistance(count ? total / count : NaN);
  const apart = logDistance(isCrossed ? between : NaN);
  const numMembers = isWinner.reduce((sum, is) => sum + is, 0);
  const nearest = logDistance(count ? closest : NaN);
  return [within, nearest, apart, mine - within, mine - apart, numMembers];
}
