// Calibrated judgement: from evidence to likelihoods of the ladder's steps, names and novelties.
//
// The same as calibration.py, ladder.py and judgement.py of eval/identify/judge.
// Guarded by tests/browser/test_static_page.py and tests/space/test_static_mixture.py.

import { UNKNOWN } from "./comparison.js";

export const RANKS = ["phylum", "class", "order", "family", "subfamily", "genus", "species"];
export const LADDER = RANKS.filter((rank) => rank !== "subfamily");
const STEP_BELOW = RANKS.map((rank) => LADDER.indexOf(rank === "subfamily" ? "family" : rank));
const FARTHEST = 6;
const PSEUDO_QUERIES = 50;
const NUM_ROUNDS = 200;
const MIXTURE_DECIMALS = 6;
const LAST_UPPER = LADDER.indexOf("family"); // the lowest step whose share bounds those above it

function logistic([bias, ...weights], standard) {
  if (!weights.length) return 1 / (1 + Math.exp(-bias));
  let score = 0;
  weights.forEach((weight, place) => (score += standard[place] * weight));
  return 1 / (1 + Math.exp(-Math.min(Math.max(score + bias, -50), 50)));
}

/** Compute the likelihood of every step, and how sure the winning taxa are.
 *
 * @param calibration Content of `calibration.json`.
 */
export function judge(calibration, features, length, isBroken) {
  const { classes, broken, assumed } = calibration;
  const longEnough = classes.filter((part) => part.min_length <= length).length;
  const part = isBroken && broken ? broken : classes[Math.max(longEnough - 1, 0)];
  const standard = features.map((value, place) => {
    const scaled = (value - part.mean[place]) / part.deviation[place];
    return Number.isNaN(scaled) ? 0 : Math.min(Math.max(scaled, -FARTHEST), FARTHEST);
  });
  let reached = 1;
  const likelihoods = part.in_library.map((found, step) => {
    const above = reached;
    reached *= logistic(found, standard);
    return (above - reached) / assumed[step];
  });
  likelihoods.push(reached / assumed[likelihoods.length]);
  return { likelihoods, isRight: part.is_right.map((found) => logistic(found, standard)) };
}

/** Estimate the mixture of a sample by expectation-maximisation. */
export function estimateMixture(likelihoods, assumed) {
  if (!likelihoods.length) return assumed;
  const ordered = likelihoods.slice().sort((a, b) => {
    for (let step = a.length - 1; step >= 0; step--) if (a[step] !== b[step]) return a[step] - b[step];
    return 0;
  });
  let shares = assumed.slice();
  for (let round = 0; round < NUM_ROUNDS; round++) {
    const sums = shares.map(() => 0);
    for (const row of ordered) {
      const weighted = row.map((value, step) => value * shares[step]);
      const total = sumOf(weighted);
      weighted.forEach((value, step) => (sums[step] += value / total));
    }
    shares = normalised(sums.map((sum, step) => sum + PSEUDO_QUERIES * assumed[step]));
    shares = keepUpperShares(shares, assumed);
  }
  const least = 10 ** -MIXTURE_DECIMALS;
  return normalised(shares.map((share) => Math.max(share, least))).map((share) =>
    Number(share.toFixed(MIXTURE_DECIMALS)),
  );
}

/** Raise the shares of the upper steps to their assumed ratio to the step below them. */
function keepUpperShares(shares, assumed) {
  const kept = shares.slice();
  for (let step = LAST_UPPER - 1; step >= 0; step--) {
    kept[step] = Math.max(kept[step], (kept[step + 1] * assumed[step]) / assumed[step + 1]);
  }
  return normalised(kept);
}

function sumOf(values) {
  return values.reduce((sum, value) => sum + value, 0);
}

function normalised(values) {
  const total = sumOf(values);
  return values.map((value) => value / total);
}

/** Compute the probabilities of names, NaN where there is none, and of novelties. */
export function decide({ likelihoods, isRight }, winners, mixture) {
  const steps = normalised(likelihoods.map((value, step) => value * mixture[step]));
  let sum = 0;
  const novelty = steps.slice(0, -1).map((step) => {
    sum += step;
    return Math.min(Math.max(sum, 0), 1);
  });
  const names = winners.map((code, rank) =>
    code === UNKNOWN ? NaN : (1 - novelty[STEP_BELOW[rank]]) * isRight[rank],
  );
  let highest = 0;
  for (let rank = names.length - 1; rank >= 0; rank--) {
    if (Number.isNaN(names[rank])) continue;
    highest = Math.max(highest, names[rank]);
    names[rank] = highest;
  }
  return { names, novelty };
}

/** Count the ranks, from the top, whose names are assigned; unknown taxa pass. */
export function findDepth({ names, novelty }, thresholds) {
  for (const [rank, name] of RANKS.entries()) {
    if (Number.isNaN(names[rank])) continue;
    const step = LADDER.indexOf(name);
    const isNew = step >= 0 && novelty[step] >= names[rank];
    if (names[rank] < thresholds[name] || isNew) return rank;
  }
  return RANKS.length;
}
