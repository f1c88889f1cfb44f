// Four chains side by side under one kernel: Metropolis, Langevin, MALA, HMC, Gibbs, parallel tempering. Each kernel
// moves all chains at once, first every proposal, then every decision, as ebmkit does.

(function () {
  "use strict";

  const { ENERGIES } = window.explorables.mcmc;
  const { normal } = window.explorables;
  const CHAINS = 4;
  const CELLS = 400; // cells of a line on which Gibbs inverts a conditional distribution
  const BETAS = [1, 0.6, 0.35, 0.2, 0.1]; // inverse temperatures

  // `cost` counts in `unit`s what one step of one chain asks of the energy; `most` and `step` are step sizes.
  const KERNELS = {
    metropolis: { label: "Metropolis (random walk)", step: 0.8, cost: () => 1, unit: "energies", Move: Metropolis },
    langevin: { label: "Langevin, unadjusted", step: 0.05, cost: () => 1, unit: "gradients", Move: Langevin },
    mala: { label: "MALA", step: 0.1, cost: () => 1, unit: "gradients", Move: Mala },
    hmc: { label: "HMC", step: 0.2, cost: ({ leapfrog }) => leapfrog, unit: "gradients", Move: Hamiltonian },
    gibbs: { label: "Gibbs, x then y", step: 1, cost: () => 2, unit: "conditional draws" },
    tempering: { label: "Metropolis with tempering", step: 0.8, cost: () => BETAS.length, unit: "energies", Move: Metropolis },
  };

  const STARTS = {
    apart: [[-3, -3], [3, -3], [-3, 3], [3, 3]],
    together: [[-2, 0.2], [-2, -0.2], [-1.8, 0], [-2.2, 0]],
  };

  function defaultStep(energy, kernel) {
    return (ENERGIES[energy].steps || {})[kernel] || KERNELS[kernel].step;
  }

  // Where a chain at z would go: the end, what acceptance adds to the fall in energy, and the path to draw.

  function Metropolis(z, noise, { size }) {
    return { end: z.map((u, i) => u + size * noise[i]), correction: 0 };
  }

  function Langevin(z, noise, { size, score }) {
    const s = score(z);
    return { end: z.map((u, i) => u + size * s[i] + Math.sqrt(2 * size) * noise[i]), correction: 0, certain: true };
  }

  function Mala(z, noise, chains) {
    const { end } = Langevin(z, noise, chains), h = chains.size, back = chains.score(end);
    let correction = 0;
    for (const i of [0, 1]) correction += 0.5 * noise[i] ** 2 - (z[i] - end[i] - h * back[i]) ** 2 / (4 * h);
    return { end, correction };
  }

  function Hamiltonian(start, noise, { size, score, leapfrog }) {
    const path = [start], kinetic = (p) => 0.5 * (p[0] ** 2 + p[1] ** 2);
    const kick = (p, z, share) => { const s = score(z); return p.map((u, i) => u + share * size * s[i]); };
    let z = start, p = kick(noise, z, 0.5);
    for (let l = 1; l <= leapfrog; l++) {
      z = z.map((u, i) => u + size * p[i]);
      path.push(z);
      p = kick(p, z, l === leapfrog ? 0.5 : 1);
    }
    return { end: z, correction: kinetic(noise) - kinetic(p), path };
  }

  class Chains {
    constructor({ energy, kernel, step, leapfrog = 10, start, seed }) {
      Object.assign(this, { target: ENERGIES[energy], kernel, size: step, leapfrog, random: window.explorables.random(seed) });
      this.score = (z) => this.target.gradient(...z).map((g) => -g);
      const levels = kernel === "tempering" ? BETAS : [1];
      this.replicas = levels.map((beta) => ({
        beta, positions: STARTS[start].map((z) => [...z]), energies: STARTS[start].map((z) => beta * this.target.energy(...z)),
      }));
      this.draws = Array.from({ length: CHAINS }, () => []);
      this.accepted = this.proposed = this.swaps = this.swapped = 0;
      this.moves = [];
    }

    // The chains that are wanted; with tempering, the replicas at inverse temperature one.
    get positions() { return this.replicas[0].positions; }
    get energies() { return this.replicas[0].energies; }

    step() {
      if (this.kernel === "gibbs") this.gibbs();
      else this.replicas.forEach((replica, level) => this.move(replica, level === 0));
      if (this.replicas.length > 1) this.exchange();
      this.positions.forEach((z, c) => this.draws[c].push(z));
    }

    move(replica, counted) {
      const { beta, positions, energies } = replica, { Move } = KERNELS[this.kernel];
      const noise = positions.map(() => [normal(this.random), normal(this.random)]);
      const settings = { size: this.size / Math.sqrt(beta), leapfrog: this.leapfrog, score: this.score };
      const proposals = positions.map((z, c) => Move(z, noise[c], settings));
      const coins = proposals[0].certain ? null : positions.map(() => this.random());
      const moves = proposals.map(({ end, correction, path }, c) => {
        const from = positions[c], energy = beta * this.target.energy(...end);
        const sound = Number.isFinite(energy) && end.every(Number.isFinite);
        const rise = energy - energies[c] - correction; // for HMC the error of the leapfrog path
        const taken = sound && (!coins || coins[c] < Math.exp(Math.min(0, -rise)));
        if (taken) [positions[c], energies[c]] = [end, energy];
        return { from, end, path: path || [from, end], taken, rise };
      });
      if (!counted) return;
      this.moves = moves;
      this.proposed += moves.length;
      this.accepted += moves.filter(({ taken }) => taken).length;
    }

    // Neighbouring replicas swap with probability min(1, e^((β_r - β_s)(E(x_r) - E(x_s)))): even pairs, then odd ones.
    exchange() {
      const last = this.replicas.length - 1;
      for (const parity of [0, 1]) {
        for (let r = parity; r < last; r += 2) this.swap(this.replicas[r], this.replicas[r + 1]);
      }
    }

    swap(cold, hot) {
      const coins = cold.positions.map(() => this.random());
      coins.forEach((coin, c) => {
        const [ours, theirs] = [cold.energies[c] / cold.beta, hot.energies[c] / hot.beta];
        this.swaps++;
        if (!(coin < Math.exp(Math.min(0, (cold.beta - hot.beta) * (ours - theirs))))) return;
        this.swapped++;
        [cold.positions[c], hot.positions[c]] = [hot.positions[c], cold.positions[c]];
        [cold.energies[c], hot.energies[c]] = [cold.beta * theirs, hot.beta * ours];
      });
    }

    // x from p(x | y), then y from p(y | x).
    gibbs() {
      const before = this.positions.map((z) => z);
      for (const axis of [0, 1]) {
        this.positions.forEach((z, c) => {
          const drawn = this.conditional(z, axis, this.random());
          this.positions[c] = axis ? [z[0], drawn] : [drawn, z[1]];
        });
      }
      this.positions.forEach((z, c) => { this.energies[c] = this.target.energy(...z); });
      this.moves = this.positions.map((end, c) => ({
        from: before[c], end, path: [before[c], [end[0], before[c][1]], end], taken: true, rise: 0,
      }));
    }

    // The quantile u of one coordinate given the other: the density is taken as level within each cell.
    conditional(z, axis, u) {
      const [low, high] = this.target[axis ? "y" : "x"], width = (high - low) / CELLS;
      const energies = Array.from({ length: CELLS }, (_, i) => {
        const at = low + (i + 0.5) * width;
        return this.target.energy(...(axis ? [z[0], at] : [at, z[1]]));
      });
      const least = Math.min(...energies), weights = energies.map((e) => Math.exp(least - e));
      let rest = u * weights.reduce((sum, w) => sum + w, 0), cell = 0;
      while (cell < CELLS - 1 && rest >= weights[cell]) rest -= weights[cell++];
      return low + (cell + Math.min(1, rest / weights[cell])) * width;
    }
  }

  Object.assign(window.explorables.mcmc, { KERNELS, STARTS, BETAS, CHAINS, Chains, defaultStep });
})();
