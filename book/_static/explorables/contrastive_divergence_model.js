// A small RBM on bars and stripes, trained from the same start by the exact gradient, CD-k and PCD, with a level or a
// falling rate. The likelihoods are exact, sums over all states. Every update is tested against ebmkit.

window.explorables.contrastive_divergence = (function () {
  "use strict";

  const SIDE = 3, VISIBLE = SIDE * SIDE, HIDDEN = 8;
  const LIMIT = 4000; // updates after which the figure rests
  const { normal } = window.explorables;

  const sigmoid = (u) => 1 / (1 + Math.exp(-u));
  const softplus = (u) => Math.max(u, 0) + Math.log1p(Math.exp(-Math.abs(u)));

  function logSumExp(values) {
    const most = values.reduce((a, b) => Math.max(a, b));
    return most + Math.log(values.reduce((sum, v) => sum + Math.exp(v - most), 0));
  }

  // All vectors of n bits in counting order, the last bit fastest.
  function bitStates(n) {
    return Array.from({ length: 2 ** n }, (_, i) => Array.from({ length: n }, (_, j) => (i >> (n - 1 - j)) & 1));
  }

  // Full columns first, then full rows; the empty and the full picture once.
  function barsAndStripes() {
    const lines = Array.from({ length: 2 ** SIDE }, (_, i) => Array.from({ length: SIDE }, (_, j) => (i >> j) & 1));
    const bars = lines.map((line) => Array.from({ length: VISIBLE }, (_, i) => line[i % SIDE]));
    const stripes = lines.slice(1, -1).map((line) => Array.from({ length: VISIBLE }, (_, i) => line[Math.floor(i / SIDE)]));
    return [...bars, ...stripes];
  }

  const DATA = barsAndStripes(), STATES = bitStates(VISIBLE), HIDDEN_STATES = bitStates(HIDDEN);
  const KNOWN = new Set(DATA.map((v) => v.join("")));

  class RBM {
    constructor(random, scale) {
      this.W = Array.from({ length: VISIBLE }, () => Array.from({ length: HIDDEN }, () => scale * normal(random)));
      this.a = new Array(VISIBLE).fill(0);
      this.b = new Array(HIDDEN).fill(0);
    }

    copy() {
      const twin = Object.create(RBM.prototype);
      return Object.assign(twin, { W: this.W.map((row) => [...row]), a: [...this.a], b: [...this.b] });
    }

    hiddenField(v) {
      return this.b.map((b, j) => v.reduce((sum, bit, i) => bit ? sum + this.W[i][j] : sum, b));
    }

    visibleField(h) {
      return this.a.map((a, i) => h.reduce((sum, bit, j) => bit ? sum + this.W[i][j] : sum, a));
    }

    freeEnergy(v) {
      const outside = v.reduce((sum, bit, i) => bit ? sum + this.a[i] : sum, 0);
      return -outside - this.hiddenField(v).reduce((sum, u) => sum + softplus(u), 0);
    }

    logPartition() {
      return logSumExp(HIDDEN_STATES.map((h) => {
        const inside = h.reduce((sum, bit, j) => bit ? sum + this.b[j] : sum, 0);
        return this.visibleField(h).reduce((sum, u) => sum + softplus(u), inside);
      }));
    }

    // Mean log-likelihood of the data.
    logLikelihood() {
      return -DATA.reduce((sum, v) => sum + this.freeEnergy(v), 0) / DATA.length - this.logPartition();
    }

    // Block Gibbs for many states: all hidden units of all states first, then all visible ones.
    gibbs(states, random) {
      const hidden = states.map((v) => this.hiddenField(v)).map((row) => row.map((u) => random() < sigmoid(u) ? 1 : 0));
      return hidden.map((h) => this.visibleField(h)).map((row) => row.map((u) => random() < sigmoid(u) ? 1 : 0));
    }

    // Weighted mean of (v p, v, p): one phase of the gradient.
    phase(states, weights) {
      const mean = { W: this.W.map((row) => row.map(() => 0)), a: this.a.map(() => 0), b: this.b.map(() => 0) };
      states.forEach((v, n) => {
        const w = weights ? weights[n] : 1 / states.length;
        this.hiddenField(v).forEach((u, j) => {
          const p = w * sigmoid(u);
          mean.b[j] += p;
          for (let i = 0; i < VISIBLE; i++) if (v[i]) mean.W[i][j] += p;
        });
        for (let i = 0; i < VISIBLE; i++) if (v[i]) mean.a[i] += w;
      });
      return mean;
    }

    // The negative phase that CD and PCD estimate: the sum over all states.
    modelPhase() {
      const energies = STATES.map((v) => -this.freeEnergy(v)), logZ = logSumExp(energies);
      return this.phase(STATES, energies.map((e) => Math.exp(e - logZ)));
    }

    climb(positive, negative, rate) {
      for (let i = 0; i < VISIBLE; i++) {
        this.a[i] += rate * (positive.a[i] - negative.a[i]);
        for (let j = 0; j < HIDDEN; j++) this.W[i][j] += rate * (positive.W[i][j] - negative.W[i][j]);
      }
      for (let j = 0; j < HIDDEN; j++) this.b[j] += rate * (positive.b[j] - negative.b[j]);
    }
  }

  // The learning rate of an update, as a share of the first: level, or falling to a twentieth at the last.
  const SCHEDULES = {
    constant: () => 1,
    falling: (updates) => 1 / (1 + 19 * updates / LIMIT),
  };

  // The three machines; PCD keeps `copies` chains for each picture of the data. `samples` are the states the negative
  // phase was computed from, for the picture.
  class Race {
    constructor({ rate, k, seed, schedule = "constant", copies = 1 }) {
      Object.assign(this, { first: rate, k, schedule, updates: 0 });
      const start = new RBM(window.explorables.random(seed), 0.1);
      this.machines = { exact: start, cd: start.copy(), pcd: start.copy() };
      this.randoms = { cd: window.explorables.random((seed + 1) >>> 0), pcd: window.explorables.random((seed + 2) >>> 0) };
      this.chains = Array.from({ length: copies }, () => DATA.map((v) => [...v])).flat();
      this.samples = { cd: DATA, pcd: this.chains };
      this.curves = { exact: [], cd: [], pcd: [] };
      this.record();
    }

    get rate() {
      return this.first * SCHEDULES[this.schedule](this.updates);
    }

    record() {
      for (const name of Object.keys(this.curves)) this.curves[name].push(this.machines[name].logLikelihood());
    }

    steps(machine, states, random) {
      for (let i = 0; i < this.k; i++) states = machine.gibbs(states, random);
      return states;
    }

    update() {
      const { exact, cd, pcd } = this.machines, rate = this.rate;
      exact.climb(exact.phase(DATA), exact.modelPhase(), rate);

      this.samples.cd = this.steps(cd, DATA, this.randoms.cd);
      cd.climb(cd.phase(DATA), cd.phase(this.samples.cd), rate);

      // The chains are used where they stand, then move under the model that has not been updated yet.
      this.samples.pcd = this.chains;
      this.chains = this.steps(pcd, this.chains, this.randoms.pcd);
      pcd.climb(pcd.phase(DATA), pcd.phase(this.samples.pcd), rate);

      this.updates++;
      this.record();
    }
  }

  return { SIDE, VISIBLE, HIDDEN, LIMIT, DATA, STATES, KNOWN, RBM, Race };
})();
