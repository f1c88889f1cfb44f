// The posterior p(y | x) ∝ exp(J Σ y_i y_j + h Σ x_i y_i), h = ½ ln((1 - ε)/ε), of a picture y seen through noise as x:
// Gibbs sweeps, iterated conditional modes, the minimum cut, and exact probabilities by a transfer matrix that
// takes up one pixel at a time. Pictures are arrays of spins, +1 ink and -1 paper. Tested against ebmkit.

window.explorables.denoiser = (function () {
  "use strict";

  const sigmoid = (u) => 1 / (1 + Math.exp(-u));

  class Posterior {
    constructor({ rows, columns, seen, coupling, epsilon }) {
      Object.assign(this, { rows, columns, seen, coupling, epsilon, size: rows * columns });
      this.strength = 0.5 * Math.log((1 - epsilon) / epsilon);
    }

    neighbours(i) {
      const row = Math.floor(i / this.columns), column = i % this.columns, found = [];
      if (row > 0) found.push(i - this.columns);
      if (column > 0) found.push(i - 1);
      if (column < this.columns - 1) found.push(i + 1);
      if (row < this.rows - 1) found.push(i + this.columns);
      return found;
    }

    // a_i: what the pixel saw and what its neighbours are; p(y_i = +1 | the rest) = σ(2 a_i).
    pull(y, i) {
      const around = this.neighbours(i).reduce((sum, j) => sum + y[j], 0);
      return this.strength * this.seen[i] + this.coupling * around;
    }

    probability(y, i) {
      return sigmoid(2 * this.pull(y, i));
    }

    energy(y) {
      let energy = 0;
      for (let i = 0; i < this.size; i++) {
        energy -= this.strength * this.seen[i] * y[i];
        for (const j of this.neighbours(i)) if (j > i) energy -= this.coupling * y[i] * y[j];
      }
      return energy;
    }

    // Pixels whose row and column add up to an even number, then the others.
    checkerboard(update) {
      for (const colour of [0, 1]) {
        for (let i = 0; i < this.size; i++) {
          if ((Math.floor(i / this.columns) + i % this.columns) % 2 === colour) update(i);
        }
      }
    }

    gibbs(y, random) {
      this.checkerboard((i) => { y[i] = random() < this.probability(y, i) ? 1 : -1; });
    }

    // One sweep of iterated conditional modes; true where a pixel changed. A pixel that nothing pulls stays.
    icm(y) {
      let changed = false;
      this.checkerboard((i) => {
        const wanted = Math.sign(this.pull(y, i)) || y[i];
        changed = changed || wanted !== y[i];
        y[i] = wanted;
      });
      return changed;
    }

    icmFrom(start) {
      const y = start.slice();
      while (this.icm(y));
      return y;
    }

    // The picture of lowest energy: pixels that the source still reaches once the flow is largest are ink.
    minimumCut() {
      const source = this.size, sink = this.size + 1, network = new Network(this.size + 2);
      for (let i = 0; i < this.size; i++) {
        const field = this.strength * this.seen[i];
        if (field > 0) network.join(source, i, field, 0);
        else network.join(i, sink, -field, 0);
        for (const j of this.neighbours(i)) if (j > i) network.join(i, j, this.coupling, this.coupling);
      }
      const reached = network.saturate(source, sink);
      return Array.from({ length: this.size }, (_, i) => reached[i] >= 0 ? 1 : -1);
    }

    // log Z and p(y_i = +1) for every pixel. A front holds one spin a column, the last one taken up, as bits.
    exact() {
      const fronts = [], states = 2 ** this.columns;
      let front = new Float64Array(states), logZ = 0;
      front[0] = 1;
      for (let i = 0; i < this.size; i++) {
        front = this.absorb(front, i, false);
        const sum = front.reduce((a, b) => a + b, 0);
        front.forEach((w, s) => { front[s] = w / sum; });
        logZ += Math.log(sum);
        fronts.push(front);
      }
      const ink = new Array(this.size);
      let rest = new Float64Array(states).fill(1);
      for (let i = this.size - 1; i >= 0; i--) {
        const bit = 1 << (i % this.columns);
        let up = 0, all = 0;
        fronts[i].forEach((w, s) => {
          all += w * rest[s];
          if (s & bit) up += w * rest[s];
        });
        ink[i] = up / all;
        rest = this.absorb(rest, i, true).map((w) => w / all);
      }
      return { logZ, ink };
    }

    // One pixel's weights e^(h x y + J y (left + above)): forwards the pixel's old spin is summed out, backwards the new.
    absorb(front, i, backwards) {
      const column = i % this.columns, bit = 1 << column, next = new Float64Array(front.length);
      const weight = (y, above, left) => Math.exp(y * (this.strength * this.seen[i]
        + this.coupling * ((i >= this.columns ? above : 0) + (column ? left : 0))));
      const table = [-1, 1].map((y) => [-1, 1].map((above) => [-1, 1].map((left) => weight(y, above, left))));
      for (let s = 0; s < front.length; s++) {
        if (s & bit) continue;
        const left = column && s & (bit >> 1) ? 1 : 0;
        for (const y of [0, 1]) {
          for (const above of [0, 1]) {
            const [from, to] = backwards ? [y, above] : [above, y];
            next[to ? s | bit : s] += table[y][above][left] * front[from ? s | bit : s];
          }
        }
      }
      return next;
    }

    // Every picture with its probability, the most probable first: for nine pixels.
    ranked() {
      const pictures = Array.from({ length: 2 ** this.size }, (_, k) =>
        Array.from({ length: this.size }, (_, i) => (k >> (this.size - 1 - i)) & 1 ? 1 : -1));
      const weights = pictures.map((y) => Math.exp(-this.energy(y))), total = weights.reduce((a, b) => a + b, 0);
      return pictures.map((y, k) => ({ y, probability: weights[k] / total })).sort((a, b) => b.probability - a.probability);
    }
  }

  // Maximum flow along shortest paths (Edmonds and Karp 1972), for a few hundred nodes.
  class Network {
    constructor(nodes) {
      this.edges = Array.from({ length: nodes }, () => []);
    }

    join(from, to, there, back) {
      const edge = { to, left: there }, twin = { to: from, left: back };
      [edge.twin, twin.twin] = [twin, edge];
      this.edges[from].push(edge);
      this.edges[to].push(twin);
    }

    // How each node is reached from the source in the residual network: a step count, -1 where it is not.
    search(source) {
      const steps = new Array(this.edges.length).fill(-1), by = [], queue = [source];
      steps[source] = 0;
      for (const node of queue) {
        for (const edge of this.edges[node]) {
          if (edge.left <= 1e-12 || steps[edge.to] >= 0) continue;
          steps[edge.to] = steps[node] + 1;
          by[edge.to] = edge;
          queue.push(edge.to);
        }
      }
      return { steps, by };
    }

    saturate(source, sink) {
      for (;;) {
        const { steps, by } = this.search(source);
        if (steps[sink] < 0) return steps;
        const path = [];
        for (let node = sink; node !== source; node = by[node].twin.to) path.push(by[node]);
        const flow = Math.min(...path.map((edge) => edge.left));
        for (const edge of path) {
          edge.left -= flow;
          edge.twin.left += flow;
        }
      }
    }
  }

  return { Posterior, sigmoid };
})();
