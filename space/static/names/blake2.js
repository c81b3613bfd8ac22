// BLAKE2b of 8 bytes, which puts records in the order in which Python draws its sample.
//
// Numbers of 64 bits are pairs of 32 bits, low half first. RFC 7693.
// Guarded by tests/browser/test_static_page.py.

const START = new Uint32Array([
  0xf3bcc908, 0x6a09e667, 0x84caa73b, 0xbb67ae85, 0xfe94f82b, 0x3c6ef372, 0x5f1d36f1, 0xa54ff53a,
  0xade682d1, 0x510e527f, 0x2b3e6c1f, 0x9b05688c, 0xfb41bd6b, 0x1f83d9ab, 0x137e2179, 0x5be0cd19,
]);
const SIGMA = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];
const MIXED = [
  [0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
  [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14],
].map((places) => places.map((place) => 2 * place)); // prettier-ignore
const BLOCK_BYTES = 128;
const DIGEST_BYTES = 8;
const ROUNDS = 12;

const work = new Uint32Array(32);
const message = new Uint32Array(32);

/** Mix the columns a, b, c, d with two words of the message; all are places of low halves. */
function mix(a, b, c, d, x, y) {
  add(a, work[b], work[b + 1]);
  add(a, message[x], message[x + 1]);
  turn(d, a, 32);
  add(c, work[d], work[d + 1]);
  turn(b, c, 24);
  add(a, work[b], work[b + 1]);
  add(a, message[y], message[y + 1]);
  turn(d, a, 16);
  add(c, work[d], work[d + 1]);
  turn(b, c, 63);
}

function add(to, low, high) {
  const sum = work[to] + low;
  work[to + 1] += high + (sum > 0xffffffff ? 1 : 0);
  work[to] = sum;
}

/** d = (d ^ a) rotated to the right by a number of bits. */
function turn(d, a, bits) {
  const low = work[d] ^ work[a];
  const high = work[d + 1] ^ work[a + 1];
  if (bits === 32) {
    work[d] = high;
    work[d + 1] = low;
  } else if (bits === 63) {
    work[d] = (low << 1) | (high >>> 31);
    work[d + 1] = (high << 1) | (low >>> 31);
  } else {
    work[d] = (low >>> bits) | (high << (32 - bits));
    work[d + 1] = (high >>> bits) | (low << (32 - bits));
  }
}

/** Hash bytes: the 64 bits as a BigInt. */
export function blake2b64(bytes) {
  const state = START.slice();
  state[0] ^= 0x01010000 ^ DIGEST_BYTES;
  const numBlocks = Math.max(Math.ceil(bytes.length / BLOCK_BYTES), 1);
  const padded = new Uint8Array(numBlocks * BLOCK_BYTES);
  padded.set(bytes);
  const words = new DataView(padded.buffer);
  for (let block = 0; block < numBlocks; block++) {
    for (let word = 0; word < 32; word++) {
      message[word] = words.getUint32(block * BLOCK_BYTES + 4 * word, true);
    }
    work.set(state);
    work.set(START, 16);
    work[24] ^= Math.min((block + 1) * BLOCK_BYTES, bytes.length);
    if (block === numBlocks - 1) {
      work[28] = ~work[28];
      work[29] = ~work[29];
    }
    for (let round = 0; round < ROUNDS; round++) {
      const order = SIGMA[round % 10];
      for (let step = 0; step < MIXED.length; step++) {
        const [a, b, c, d] = MIXED[step];
        mix(a, b, c, d, 2 * order[2 * step], 2 * order[2 * step + 1]);
      }
    }
    for (let word = 0; word < 16; word++) state[word] ^= work[word] ^ work[word + 16];
  }
  return (BigInt(state[1]) << 32n) | BigInt(state[0]);
}
