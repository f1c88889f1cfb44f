// One small RBM on bars and stripes, trained from the same start by the exact gradient, CD-k and PCD. The
// likelihoods are exact, sums over all states. Every update is tested against ebmkit.

(function () {
  "use strict";

  const SIDE = 3, VISIBLE = SIDE * SIDE, HIDDEN = 8;
  const LIMIT = 4000; // updates after which the figure rests

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

  // Standard normal numbers, two uniform ones each (Box and Muller 1958).
  function normal(random) {
    const radius = Math.sqrt(-2 * Math.log(1 - random()));
    return radius * Math.cos(2 * Math.PI * random());
  }

  // The three machines. `samples` are the states the negative phase was computed from, for the picture.
  class Race {
    constructor({ rate, k, seed }) {
      Object.assign(this, { rate, k, updates: 0 });
      const start = new RBM(window.explorables.random(seed), 0.1);
      this.machines = { exact: start, cd: start.copy(), pcd: start.copy() };
      this.randoms = { cd: window.explorables.random((seed + 1) >>> 0), pcd: window.explorables.random((seed + 2) >>> 0) };
      this.chains = DATA.map((v) => [...v]);
      this.samples = { cd: this.chains, pcd: this.chains };
      this.curves = { exact: [], cd: [], pcd: [] };
      this.record();
    }

    record() {
      for (const name of Object.keys(this.curves)) this.curves[name].push(this.machines[name].logLikelihood());
    }

    steps(machine, states, random) {
      for (let i = 0; i < this.k; i++) states = machine.gibbs(states, random);
      return states;
    }

    update() {
      const { exact, cd, pcd } = this.machines;
      exact.climb(exact.phase(DATA), exact.modelPhase(), this.rate);

      this.samples.cd = this.steps(cd, DATA, this.randoms.cd);
      cd.climb(cd.phase(DATA), cd.phase(this.samples.cd), this.rate);

      // The chains are used where they stand, then move under the model that has not been updated yet.
      this.samples.pcd = this.chains;
      this.chains = this.steps(pcd, this.chains, this.randoms.pcd);
      pcd.climb(pcd.phase(DATA), pcd.phase(this.samples.pcd), this.rate);

      this.updates++;
      this.record();
    }
  }

  window.explorables.contrastive_divergence = { DATA, RBM, Race };

  window.explorables.define("contrastive_divergence", (kit) => {
    let race;
    const NAMES = { exact: "exact", cd: "CD", pcd: "PCD" };
    const INKS = { exact: "ink", cd: "curve2", pcd: "curve" };

    const rate = kit.slider({
      key: "rate", label: "Learning rate", min: 0.05, max: 1, step: 0.05, value: 0.3,
      format: (v) => v.toFixed(2), onInput: (v) => { race.rate = v; },
    });
    const k = kit.slider({
      key: "k", label: "Gibbs steps k of CD and PCD", min: 1, max: 20, step: 1, value: 1,
      format: String, onInput: (v) => { race.k = v; },
    });
    const shown = kit.choice({
      key: "show", label: "Show the phases of", options: [["cd", "CD"], ["pcd", "PCD"], ["exact", "the exact gradient"]],
      onInput: () => {},
    });

    function restart(seed) {
      race = new Race({ rate: Number(rate.value), k: Number(k.value), seed });
      window.explorables.contrastive_divergence.current = race;
    }

    function step() {
      if (race.updates < LIMIT) race.update();
    }

    kit.canvas({
      label: "Exact log-likelihood against updates for the three machines, under the best possible value",
      aspect: 1,
      draw(context, width, height, colour) {
        const box = { left: 34, right: width - 8, top: 30, bottom: height - 26 }, low = -7, high = -2;
        const last = Math.max(200, race.updates);
        const x = (n) => box.left + n / last * (box.right - box.left);
        const y = (v) => box.bottom - (Math.max(v, low) - low) / (high - low) * (box.bottom - box.top);
        write(context, colour, "exact log-likelihood of the data", box.left, 10, "left");
        context.lineWidth = 1;
        for (let tick = low; tick <= high; tick++) {
          context.strokeStyle = colour("grid");
          line(context, [[box.left, y(tick)], [box.right, y(tick)]]);
          write(context, colour, signed(tick, 0), box.left - 6, y(tick), "right");
        }
        write(context, colour, "0", box.left, box.bottom + 14, "center");
        write(context, colour, `${last} updates`, box.right, box.bottom + 14, "right");
        context.strokeStyle = colour("ink");
        context.setLineDash([4, 4]);
        line(context, [[box.left, y(-Math.log(DATA.length))], [box.right, y(-Math.log(DATA.length))]]);
        context.setLineDash([]);
        context.lineWidth = 2;
        Object.entries(race.curves).forEach(([name, curve], place) => {
          context.strokeStyle = colour(INKS[name]);
          line(context, curve.map((v, n) => [x(n), y(v)]));
          const at = box.left + 12 + place * 74;
          line(context, [[at, box.bottom - 12], [at + 16, box.bottom - 12]]);
          write(context, colour, NAMES[name], at + 21, box.bottom - 12, "left");
        });
      },
    });

    kit.canvas({
      label: "The data and the negative samples as small pictures, and the two phases of the gradient for the weights as grey levels beside the exact negative phase",
      aspect: 1,
      draw(context, width, height, colour) {
        const machine = race.machines[shown.value], samples = race.samples[shown.value];
        const cell = (width - 6 * 6) / 7 / SIDE, picture = cell * SIDE;
        const sheet = (pictures, top, probability) => pictures.forEach((v, n) => {
          const left = (n % 7) * (picture + 6), up = top + Math.floor(n / 7) * (picture + 6);
          v.forEach((bit, i) => {
            context.fillStyle = colour(bit ? "up" : "down");
            context.globalAlpha = 1;
            context.fillRect(left + (i % SIDE) * cell, up + Math.floor(i / SIDE) * cell, cell + 0.5, cell + 0.5);
          });
          if (!probability && !KNOWN.has(v.join(""))) {
            context.strokeStyle = colour("ink");
            context.lineWidth = 2;
            line(context, [[left, up], [left + picture, up + picture]]);
            line(context, [[left + picture, up], [left, up + picture]]);
          }
        });
        const rows = 2 * (picture + 6);
        write(context, colour, "data", 0, 8, "left");
        sheet(DATA, 18, true);
        const second = 18 + rows + 8;
        write(context, colour, samples ? "negative samples (crossed: no bars or stripes)" : "most probable pictures of the model",
          0, second, "left");
        sheet(samples || likeliest(machine), second + 10, false);
        const third = second + 10 + rows + 8, exact = machine.modelPhase();
        const phases = [["positive", machine.phase(DATA)], ["negative", samples ? machine.phase(samples) : exact], ["exact negative", exact]];
        const size = (width - 24) / 3, tall = height - third - 14;
        phases.forEach(([name, { W }], n) => {
          const left = n * (size + 12);
          write(context, colour, name, left, third, "left");
          context.fillStyle = colour("ink");
          W.forEach((row, i) => row.forEach((value, j) => {
            context.globalAlpha = Math.min(1, 0.04 + 1.9 * value);
            context.fillRect(left + i * size / VISIBLE, third + 12 + j * tall / HIDDEN, size / VISIBLE + 0.3, tall / HIDDEN + 0.3);
          }));
          context.globalAlpha = 1;
        });
      },
    });

    function readout() {
      const now = Object.entries(race.curves).map(([name, curve]) => `${NAMES[name]} ${signed(curve[curve.length - 1], 3)}`);
      const machine = race.machines[shown.value], samples = race.samples[shown.value];
      const rest = race.updates >= LIMIT ? " The figure rests here; restart it for another run." : "";
      const strange = samples
        ? ` Of the negative samples of ${NAMES[shown.value]}, ${samples.filter((v) => !KNOWN.has(v.join(""))).length} of`
          + ` ${samples.length} are no bars or stripes; their phase differs from the exact one by ${distance(machine.phase(samples), machine.modelPhase()).toFixed(3)}.`
        : "";
      return `Update ${race.updates}, rate ${race.rate.toFixed(2)}, k = ${race.k}. Exact log-likelihoods: ${now.join(", ")};`
        + ` the best possible is ${signed(-Math.log(DATA.length), 3)}.${strange}${rest}`;
    }

    kit.start({ restart, step, readout, unit: "update" });
  });

  // The fourteen states of lowest free energy.
  function likeliest(machine) {
    const energies = STATES.map((v) => machine.freeEnergy(v));
    return Array.from(STATES.keys()).sort((i, j) => energies[i] - energies[j]).slice(0, DATA.length).map((i) => STATES[i]);
  }

  // Euclidean distance of the weights' statistics in two phases.
  function distance(one, other) {
    return Math.sqrt(one.W.flat().reduce((sum, value, i) => sum + (value - other.W.flat()[i]) ** 2, 0));
  }

  function write(context, colour, text, x, y, align) {
    context.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    context.fillStyle = colour("ink");
    context.globalAlpha = 1;
    context.textBaseline = "middle";
    context.textAlign = align;
    context.fillText(text, x, y);
  }

  function line(context, path) {
    context.beginPath();
    for (const [x, y] of path) context.lineTo(x, y);
    context.stroke();
  }

  function signed(value, digits) {
    return value.toFixed(digits).replace("-", "−");
  }
})();
