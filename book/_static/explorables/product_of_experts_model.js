// Experts on a line: bells, humps that abstain elsewhere, vetoes. Their product and their mixture, exactly: bells in
// closed form, the rest by sums over a fine grid of the box [-6, 6]; and samples of both. Tested against ebmkit.

window.explorables.product_of_experts = (function () {
  "use strict";

  const { normal } = window.explorables;
  const LOW = -6, HIGH = 6, CELLS = 2400, WIDTH = (HIGH - LOW) / CELLS, BINS = 80, PROPOSAL = 1.2;
  const SHARE = 0.9; // of a hump's mass that is its bell; the rest is spread over the box
  const GRID = Array.from({ length: CELLS }, (_, i) => LOW + (i + 0.5) * WIDTH);

  // log N(x; mean, sd²)
  function logNormal(x, { mean, sd }) {
    return -0.5 * ((x - mean) / sd) ** 2 - Math.log(sd) - 0.5 * Math.log(2 * Math.PI);
  }

  const vetoed = (x, { mean, sd }) => Math.abs(x - mean) < sd;

  // What each kind of expert says of x: the logarithm of a density, -∞ where it forbids x.
  const KINDS = {
    bell: { label: "bell: a Gaussian", log: logNormal },
    hump: {
      label: "hump: a Gaussian, or no opinion",
      log: (x, expert) => Math.log(SHARE * Math.exp(logNormal(x, expert)) + (1 - SHARE) / (HIGH - LOW)),
    },
    veto: {
      label: "veto: forbids all within its width",
      log(x, { mean, sd }) {
        const hole = Math.min(HIGH, mean + sd) - Math.max(LOW, mean - sd);
        return vetoed(x, { mean, sd }) ? -Infinity : -Math.log(HIGH - LOW - hole);
      },
    },
  };

  const opinion = (x, expert) => KINDS[expert.kind].log(x, expert);
  const score = (x, experts) => experts.reduce((sum, e) => e.weight === 0 ? sum : sum + e.weight * opinion(x, e), 0);
  const onlyBells = (experts) => experts.every(({ kind }) => kind === "bell");

  // Π_m N(x; mean_m, sd_m²)^weight_m = e^logZ N(x; mean, sd²): precisions add and weigh the means.
  function productOfBells(experts) {
    const precisions = experts.map(({ sd, weight }) => weight / sd ** 2);
    const precision = precisions.reduce((sum, p) => sum + p, 0);
    const mean = precisions.reduce((sum, p, m) => sum + p * experts[m].mean, 0) / precision;
    const heights = experts.reduce((sum, e) => sum + e.weight * logNormal(mean, e), 0);
    return { mean, sd: precision ** -0.5, logZ: heights + 0.5 * Math.log(2 * Math.PI / precision) };
  }

  function moments(density) {
    const mean = density.reduce((sum, p, i) => sum + p * GRID[i], 0) * WIDTH;
    const square = density.reduce((sum, p, i) => sum + p * GRID[i] ** 2, 0) * WIDTH;
    return { mean, sd: Math.sqrt(Math.max(0, square - mean ** 2)) };
  }

  // Tops of a density on the grid: it rises before and falls after, or is cut off there.
  function countHumps(density) {
    let humps = 0, rising = true, before = 0;
    for (const p of [...density, 0]) {
      const step = p - before, level = Math.abs(step) <= 1e-9 * Math.max(p, before);
      if (!level && step < 0 && rising) humps++;
      if (!level) rising = step > 0;
      before = p;
    }
    return humps;
  }

  // The product: log Z, mean, width, its density on the grid and the number of its humps.
  function product(experts) {
    const logs = GRID.map((x) => score(x, experts)), most = Math.max(...logs);
    if (most === -Infinity) return { logZ: -Infinity, mean: NaN, sd: NaN, density: logs.map(() => 0), humps: 0, peak: 0 };
    const weights = logs.map((l) => Math.exp(l - most)), total = weights.reduce((a, b) => a + b, 0) * WIDTH;
    const density = weights.map((w) => w / total);
    const exact = onlyBells(experts) && experts.some(({ weight }) => weight > 0)
      ? productOfBells(experts) : { logZ: most + Math.log(total), ...moments(density) };
    return { ...exact, density, humps: countHumps(density), peak: GRID[logs.indexOf(most)] };
  }

  // The mixture's density at x: each expert's, the weights divided by their sum; in the box once not all are bells.
  function mixture(x, experts) {
    const total = experts.reduce((sum, { weight }) => sum + weight, 0), cut = !onlyBells(experts);
    return experts.reduce((sum, e) => sum + e.weight / total * Math.exp(opinion(x, e)) / (cut ? mass(e) : 1), 0);
  }

  function mass(expert) {
    return GRID.reduce((sum, x) => sum + Math.exp(opinion(x, expert)), 0) * WIDTH;
  }

  // The mixture on the grid with its moments; the experts' masses are computed once.
  function mixtureOnGrid(experts) {
    const total = experts.reduce((sum, { weight }) => sum + weight, 0), cut = !onlyBells(experts);
    const masses = experts.map((e) => cut ? mass(e) : 1);
    const density = GRID.map((x) => experts.reduce((sum, e, m) => sum + e.weight / total * Math.exp(opinion(x, e)) / masses[m], 0));
    return { density, ...(cut ? moments(density) : momentsOfBells(experts, total)) };
  }

  function momentsOfBells(experts, total) {
    const mean = experts.reduce((sum, e) => sum + e.weight / total * e.mean, 0);
    const square = experts.reduce((sum, e) => sum + e.weight / total * (e.sd ** 2 + e.mean ** 2), 0);
    return { mean, sd: Math.sqrt(square - mean ** 2) };
  }

  class Tally {
    constructor() {
      Object.assign(this, { n: 0, sum: 0, squares: 0, bins: new Array(BINS).fill(0) });
    }

    add(x) {
      this.n++;
      this.sum += x;
      this.squares += x * x;
      const bin = Math.floor((x - LOW) / (HIGH - LOW) * BINS);
      if (bin >= 0 && bin < BINS) this.bins[bin]++;
    }

    get mean() { return this.sum / this.n; }
    get sd() { return Math.sqrt(Math.max(0, this.squares / this.n - this.mean ** 2)); }
  }

  // A random walk that sees only the experts' scores, and draws from the mixture beside it.
  class Samples {
    constructor(experts, seed) {
      Object.assign(this, { experts, random: window.explorables.random(seed), accepted: 0, boxed: !onlyBells(experts) });
      this.walker = product(experts).peak;
      this.product = new Tally();
      this.mixture = new Tally();
    }

    step() {
      if (score(this.walker, this.experts) === -Infinity) return; // everything is forbidden
      const proposal = this.walker + PROPOSAL * normal(this.random);
      const outside = this.boxed && (proposal < LOW || proposal > HIGH);
      const rise = score(proposal, this.experts) - score(this.walker, this.experts);
      if (Math.log(1 - this.random()) < rise && !outside) {
        this.walker = proposal;
        this.accepted++;
      }
      this.product.add(this.walker);
      this.mixture.add(this.draw(this.chosen()));
    }

    chosen() {
      const total = this.experts.reduce((sum, { weight }) => sum + weight, 0);
      let place = this.random() * total, chosen = 0;
      while (chosen < this.experts.length - 1 && place >= this.experts[chosen].weight) place -= this.experts[chosen++].weight;
      return this.experts[chosen];
    }

    // One draw from an expert; what falls outside the box or into a hole is drawn again.
    draw(expert) {
      for (;;) {
        const uniform = expert.kind === "veto" || expert.kind === "hump" && this.random() >= SHARE;
        const x = uniform ? LOW + (HIGH - LOW) * this.random() : expert.mean + expert.sd * normal(this.random);
        const lost = expert.kind === "veto" && vetoed(x, expert) || this.boxed && (x < LOW || x > HIGH);
        if (!lost) return x;
      }
    }
  }

  return { KINDS, LOW, HIGH, BINS, GRID, logNormal, opinion, productOfBells, product, mixture, mixtureOnGrid, Samples };
})();
