// Four chains on an energy in two dimensions: Metropolis, Langevin, MALA, HMC. Every proposal is drawn, the
// exact density and marginals lie behind the samples, R-hat and ESS are live. The numbers are tested against
// ebmkit: energies, steps (proposal by proposal), exact means and the diagnostics.

(function () {
  "use strict";

  const CHAINS = 4;
  const LEAPFROG = 10; // leapfrog steps in one step of HMC
  const RECENT = 2000; // the diagnostics look at so many of the latest draws of each chain
  const PERCENT = (share) => `${(100 * share).toFixed(0)} %`;

  // Each energy with its gradient, and the window that holds its mass.
  const ENERGIES = {
    gaussian: {
      label: "correlated Gaussian",
      energy: (x, y) => (x * x - 1.8 * x * y + y * y) / 0.38,
      gradient: (x, y) => [(2 * x - 1.8 * y) / 0.38, (2 * y - 1.8 * x) / 0.38],
      x: [-4.5, 4.5], y: [-4.5, 4.5],
    },
    banana: {
      label: "banana",
      energy: (x, y) => (x / 1.5) ** 2 / 2 + 2 * (y - 0.4 * x * x + 1.5) ** 2,
      gradient(x, y) {
        const r = y - 0.4 * x * x + 1.5;
        return [x / 2.25 - 3.2 * r * x, 4 * r];
      },
      x: [-5.5, 5.5], y: [-4, 12],
    },
    wells: {
      label: "two wells",
      energy: (x, y) => 4 * (x * x / 4 - 1) ** 2 - x / 4 + y * y / 2,
      gradient: (x, y) => [4 * x * (x * x / 4 - 1) - 0.25, y],
      x: [-4.5, 4.5], y: [-4.5, 4.5],
    },
    ring: {
      label: "ring",
      energy: (x, y) => (Math.hypot(x, y) - 2.5) ** 2 / 0.18,
      gradient(x, y) {
        const r = Math.hypot(x, y) || 1e-300;
        return [x, y].map((u) => (r - 2.5) / 0.09 * u / r);
      },
      x: [-4.5, 4.5], y: [-4.5, 4.5],
    },
  };

  const KERNELS = {
    metropolis: { label: "Metropolis (random walk)", step: 0.8, cost: 1 },
    langevin: { label: "Langevin, unadjusted", step: 0.05, cost: 1 },
    mala: { label: "MALA", step: 0.1, cost: 1 },
    hmc: { label: "HMC, 10 leapfrog steps", step: 0.2, cost: LEAPFROG },
  };

  const STARTS = {
    apart: [[-3, -3], [3, -3], [-3, 3], [3, 3]],
    together: [[-2, 0.2], [-2, -0.2], [-1.8, 0], [-2.2, 0]],
  };

  // Standard normal numbers, two uniform ones each (Box and Muller 1958).
  function normal(random) {
    const radius = Math.sqrt(-2 * Math.log(1 - random()));
    return radius * Math.cos(2 * Math.PI * random());
  }

  function normals(random) {
    return Array.from({ length: CHAINS }, () => [normal(random), normal(random)]);
  }

  class Chains {
    constructor({ energy, kernel, step, start, seed }) {
      Object.assign(this, { target: ENERGIES[energy], kernel, size: step, random: window.explorables.random(seed) });
      this.positions = STARTS[start].map((z) => [...z]);
      this.energies = this.positions.map((z) => this.target.energy(...z));
      this.draws = Array.from({ length: CHAINS }, () => []);
      this.accepted = this.proposed = 0;
      this.moves = [];
    }

    score(z) {
      return this.target.gradient(...z).map((g) => -g);
    }

    // Where a chain would go: the end, what acceptance adds to the fall in energy, and the path to draw.
    propose(z, noise) {
      const h = this.size;
      if (this.kernel === "metropolis") {
        return { end: z.map((u, i) => u + h * noise[i]), correction: 0 };
      }
      if (this.kernel === "hmc") return this.leapfrog(z, noise);
      const s = this.score(z);
      const end = z.map((u, i) => u + h * s[i] + Math.sqrt(2 * h) * noise[i]);
      if (this.kernel === "langevin") return { end, correction: 0 };
      const back = this.score(end);
      let correction = 0;
      for (const i of [0, 1]) {
        correction += 0.5 * noise[i] ** 2 - (z[i] - end[i] - h * back[i]) ** 2 / (4 * h);
      }
      return { end, correction };
    }

    leapfrog(z, start) {
      const h = this.size, path = [z];
      const kick = (p, x, share) => { const s = this.score(x); return p.map((u, i) => u + share * h * s[i]); };
      let p = kick(start, z, 0.5);
      for (let l = 1; l <= LEAPFROG; l++) {
        z = z.map((u, i) => u + h * p[i]);
        path.push(z);
        p = kick(p, z, l === LEAPFROG ? 0.5 : 1);
      }
      const kinetic = (q) => 0.5 * (q[0] ** 2 + q[1] ** 2);
      return { end: z, correction: kinetic(start) - kinetic(p), path };
    }

    // One step of all chains: first every proposal, then every decision.
    step() {
      const noise = normals(this.random);
      const proposals = this.positions.map((z, c) => this.propose(z, noise[c]));
      const coins = this.kernel === "langevin" ? null : Array.from({ length: CHAINS }, () => this.random());
      this.moves = proposals.map(({ end, correction, path }, c) => {
        const from = this.positions[c], energy = this.target.energy(...end);
        const sound = Number.isFinite(energy) && end.every(Number.isFinite);
        const chance = coins ? Math.exp(Math.min(0, this.energies[c] - energy + correction)) : 1;
        const taken = sound && (!coins || coins[c] < chance);
        this.proposed++;
        if (taken) {
          this.accepted++;
          [this.positions[c], this.energies[c]] = [end, energy];
        }
        this.draws[c].push(this.positions[c]);
        return { from, end, path: path || [from, end], taken };
      });
    }
  }

  // --- the exact answer: sums over a fine grid ------------------------------------------------------------

  function exact(name) {
    const { energy, x, y } = ENERGIES[name], n = 400;
    const at = ([low, high], i) => low + (i + 0.5) * (high - low) / n;
    const marginals = [new Float64Array(n), new Float64Array(n)], mean = [0, 0];
    let total = 0;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        const w = Math.exp(-energy(at(x, i), at(y, j)));
        total += w;
        marginals[0][i] += w;
        marginals[1][j] += w;
        mean[0] += w * at(x, i);
        mean[1] += w * at(y, j);
      }
    }
    const cells = [x, y].map(([low, high]) => (high - low) / n);
    marginals.forEach((m, axis) => m.forEach((w, i) => { m[i] = w / (total * cells[axis]); }));
    return { mean: mean.map((m) => m / total), marginals, logZ: Math.log(total * cells[0] * cells[1]) };
  }

  // --- diagnostics, as in Vehtari et al. (2021) -----------------------------------------------------------

  function split(chains) {
    const half = Math.floor(chains[0].length / 2);
    return [...chains.map((c) => c.slice(0, half)), ...chains.map((c) => c.slice(-half))];
  }

  // Inverse of the normal distribution function: Wichura's AS 241, to sixteen digits.
  function probit(p) {
    const polynomial = (c, r) => c.reduceRight((sum, a) => sum * r + a, 0);
    const q = p - 0.5;
    if (Math.abs(q) <= 0.425) {
      const r = 0.180625 - q * q;
      return q * polynomial([3.387132872796366608, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
        45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727], r)
        / polynomial([1, 42.313330701600911252, 687.1870074920579083, 5394.1960214247511077, 21213.794301586595867,
          39307.89580009271061, 28729.085735721942674, 5226.495278852545925], r);
    }
    let r = Math.sqrt(-Math.log(q < 0 ? p : 1 - p)), value;
    if (r <= 5) {
      r -= 1.6;
      value = polynomial([1.42343711074968357734, 4.6303378461565452959, 5.7694972214606914055, 3.64784832476320460504,
        1.27045825245236838258, 0.24178072517745061177, 0.0227238449892691845833, 7.7454501427834140764e-4], r)
        / polynomial([1, 2.05319162663775882187, 1.6763848301838038494, 0.68976733498510000455, 0.14810397642748007459,
          0.0151986665636164571966, 5.475938084995344946e-4, 1.05075007164441684324e-9], r);
    } else {
      r -= 5;
      value = polynomial([6.6579046435011037772, 5.4637849111641143699, 1.7848265399172913358, 0.29656057182850489123,
        0.026532189526576123093, 0.0012426609473880784386, 2.71155556874348757815e-5, 2.01033439929228813265e-7], r)
        / polynomial([1, 0.59983220655588793769, 0.13692988092273580531, 0.0148753612908506148525,
          7.868691311456132591e-4, 1.8463183175100546818e-5, 1.4215117583164458887e-7, 2.04426310338993978564e-15], r);
    }
    return q < 0 ? -value : value;
  }

  // Normal scores of the ranks over all chains; equal values share their mean rank.
  function normalScores(chains) {
    const flat = chains.flat(), n = flat.length;
    const order = Array.from(flat.keys()).sort((i, j) => flat[i] - flat[j]);
    const scores = new Array(n);
    for (let low = 0; low < n;) {
      let high = low;
      while (high < n && flat[order[high]] === flat[order[low]]) high++;
      const score = probit(((low + high + 1) / 2 - 0.375) / (n + 0.25));
      for (; low < high; low++) scores[order[low]] = score;
    }
    const length = chains[0].length;
    return chains.map((_, c) => scores.slice(c * length, (c + 1) * length));
  }

  const average = (v) => v.reduce((sum, u) => sum + u, 0) / v.length;

  function variance(v) {
    const m = average(v);
    return v.reduce((sum, u) => sum + (u - m) ** 2, 0) / (v.length - 1);
  }

  function plainRhat(chains) {
    const n = chains[0].length;
    const within = average(chains.map(variance)), between = n * variance(chains.map(average));
    return Math.sqrt((between / within + n - 1) / n);
  }

  function rHat(chains) {
    const halves = split(chains), sorted = halves.flat().sort((a, b) => a - b), n = sorted.length;
    const median = 0.5 * (sorted[Math.floor((n - 1) / 2)] + sorted[Math.floor(n / 2)]);
    const folded = halves.map((c) => c.map((u) => Math.abs(u - median)));
    const [bulk, tails] = [halves, folded].map((c) => plainRhat(normalScores(c)));
    return Number.isNaN(tails) ? bulk : Math.max(bulk, tails);
  }

  // Size over autocorrelation time, the autocorrelations summed in pairs while a pair is positive (Geyer).
  function ess(chains) {
    const halves = normalScores(split(chains)), n = halves[0].length, size = n * halves.length;
    const centred = halves.map((c) => { const m = average(c); return c.map((u) => u - m); });
    const covariance = (t) => average(centred.map((c) => {
      let sum = 0;
      for (let i = 0; i + t < n; i++) sum += c[i] * c[i + t];
      return sum / n;
    }));
    const zero = covariance(0), within = zero * n / (n - 1), pooled = zero + variance(halves.map(average));
    if (!(pooled > 0)) return size;
    const rho = (t) => t === 0 ? 1 : 1 - (within - covariance(t)) / pooled;
    const pairs = 1 + Math.max(0, Math.ceil((n - 4) / 2));
    let kept = 0, smallest = Infinity, final = 0;
    for (let k = 0; k < pairs; k++) {
      const even = rho(2 * k), pair = even + rho(2 * k + 1);
      if (pair <= 0 || k === pairs - 1) {
        final = even > 0 || pair > 0 ? even : 0;
        break;
      }
      smallest = Math.min(smallest, pair);
      kept += smallest;
    }
    return size / Math.max(-1 + 2 * kept + final, 1 / Math.log10(size));
  }

  window.explorables.mcmc = { ENERGIES, KERNELS, STARTS, Chains, exact, rHat, ess, probit };

  // --- the figure -----------------------------------------------------------------------------------------

  window.explorables.define("mcmc", (kit) => {
    let chains, truth, steps, picture;

    const energy = kit.choice({
      key: "energy", label: "Energy", options: Object.entries(ENERGIES).map(([key, { label }]) => [key, label]),
      onInput: () => kit.restart(),
    });
    const kernel = kit.choice({
      key: "sampler", label: "Sampler", options: Object.entries(KERNELS).map(([key, { label }]) => [key, label]),
      onInput(name) {
        size.value = KERNELS[name].step;
        size.dispatchEvent(new Event("input"));
      },
    });
    const size = kit.slider({
      key: "step", label: "Step size", min: 0.01, max: 3, step: 0.01, value: KERNELS[kernel.value].step,
      format: (v) => v.toFixed(2), onInput: () => kit.restart(),
    });
    const start = kit.choice({
      key: "start", label: "Start", options: [["apart", "far apart"], ["together", "all on the left"]],
      onInput: () => kit.restart(),
    });

    function restart(seed) {
      chains = new Chains({
        energy: energy.value, kernel: kernel.value, step: Number(size.value), start: start.value, seed,
      });
      window.explorables.mcmc.current = chains;
      truth = exact(energy.value);
      picture = null;
      steps = 0;
    }

    function step() {
      chains.step();
      steps++;
    }

    function frame(width, height) {
      const { x, y } = chains.target;
      return {
        x: (u) => (u - x[0]) / (x[1] - x[0]) * width,
        y: (u) => height - (u - y[0]) / (y[1] - y[0]) * height,
      };
    }

    kit.canvas({
      label: "The exact density, the draws of four chains, and the latest proposals: solid if taken, dashed with a cross if rejected",
      aspect: 1,
      draw(context, width, height, colour) {
        const to = frame(width, height);
        if (!picture || picture.ink !== colour("ink")) picture = { ink: colour("ink"), canvas: density(chains.target, colour("ink")) };
        context.drawImage(picture.canvas, 0, 0, width, height);
        chains.draws.forEach((draws, c) => {
          context.fillStyle = colour(["curve", "curve2", "dot", "ink"][c]);
          context.globalAlpha = 0.45;
          for (const [x, y] of draws.slice(-500)) disc(context, to.x(x), to.y(y), 1.8);
        });
        context.globalAlpha = 1;
        chains.moves.forEach(({ path, end, taken }) => {
          context.strokeStyle = colour(taken ? "dot" : "curve2");
          context.lineWidth = 1.6;
          context.setLineDash(taken ? [] : [3, 3]);
          context.beginPath();
          for (const [x, y] of path) context.lineTo(to.x(x), to.y(y));
          context.stroke();
          context.setLineDash([]);
          if (!taken) cross(context, to.x(end[0]), to.y(end[1]), 4);
        });
        chains.positions.forEach(([x, y]) => {
          context.fillStyle = colour("dot");
          context.strokeStyle = colour("ink");
          context.lineWidth = 1.2;
          disc(context, to.x(x), to.y(y), 4.5);
          context.stroke();
        });
        context.strokeStyle = colour("grid");
        context.strokeRect(0.5, 0.5, width - 1, height - 1);
      },
    });

    kit.canvas({
      label: "Marginals of x and y: exact curves over histograms of all draws",
      aspect: 1,
      draw(context, width, height, colour) {
        const half = height / 2;
        ["x", "y"].forEach((name, axis) => {
          marginal(context, colour, { left: 10, right: width - 10, top: axis * half + 24, bottom: (axis + 1) * half - 20 }, {
            name, range: chains.target[name], curve: truth.marginals[axis], ink: axis ? "curve2" : "curve",
            draws: chains.draws.flatMap((c) => c.map((z) => z[axis])),
          });
        });
      },
    });

    function readout() {
      const title = `${KERNELS[chains.kernel].label} on the ${chains.target.label}, step size ${chains.size.toFixed(2)}, step ${steps}`;
      if (steps < 4) return `${title}. Exact means: x ${signed(truth.mean[0])}, y ${signed(truth.mean[1])}.`;
      const recent = [0, 1].map((axis) => chains.draws.map((c) => c.slice(-RECENT).map((z) => z[axis])));
      const all = [0, 1].map((axis) => average(chains.draws.flatMap((c) => c.map((z) => z[axis]))));
      const accepted = chains.kernel === "langevin"
        ? "nothing is ever rejected" : `${PERCENT(chains.accepted / chains.proposed)} of the proposals taken`;
      const worth = recent.map(ess), cost = CHAINS * Math.min(steps, RECENT) * KERNELS[chains.kernel].cost;
      const diagnosis = worth.every(Number.isFinite)
        ? ` R-hat x ${rHat(recent[0]).toFixed(3)}, y ${rHat(recent[1]).toFixed(3)};`
          + ` effective sample size x ${worth[0].toFixed(0)}, y ${worth[1].toFixed(0)},`
          + ` ${(1000 * Math.min(...worth) / cost).toFixed(1)} for 1,000 gradients.` : "";
      return `${title}: ${accepted}. Means: x ${signed(all[0])} (exact ${signed(truth.mean[0])}),`
        + ` y ${signed(all[1])} (exact ${signed(truth.mean[1])}).${diagnosis}`;
    }

    kit.start({ restart, step, readout, unit: "step" });
  });

  // The density as an image whose opacity is the probability.
  function density({ energy, x, y }, ink) {
    const n = 160, image = new ImageData(n, n), weights = new Float64Array(n * n);
    for (let j = 0; j < n; j++) {
      for (let i = 0; i < n; i++) {
        const u = x[0] + (i + 0.5) * (x[1] - x[0]) / n, v = y[1] - (j + 0.5) * (y[1] - y[0]) / n;
        weights[j * n + i] = Math.exp(-energy(u, v));
      }
    }
    const most = weights.reduce((a, b) => Math.max(a, b));
    const rgb = [1, 3, 5].map((i) => parseInt(ink.slice(i, i + 2), 16));
    weights.forEach((w, i) => image.data.set([...rgb, 110 * Math.sqrt(w / most)], 4 * i));
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = n;
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  }

  function marginal(context, colour, box, { name, range, curve, ink, draws }) {
    const [low, high] = range, bins = 45, counts = new Array(bins).fill(0);
    for (const u of draws) {
      const bin = Math.floor((u - low) / (high - low) * bins);
      if (bin >= 0 && bin < bins) counts[bin]++;
    }
    const heights = counts.map((k) => draws.length ? k / draws.length * bins / (high - low) : 0);
    const top = 1.35 * curve.reduce((a, b) => Math.max(a, b));
    const x = (u) => box.left + (u - low) / (high - low) * (box.right - box.left);
    const y = (v) => box.bottom - Math.min(v / top, 1.08) * (box.bottom - box.top);
    context.fillStyle = colour(ink);
    context.globalAlpha = 0.35;
    heights.forEach((h, i) => {
      const left = box.left + i * (box.right - box.left) / bins;
      context.fillRect(left, y(h), (box.right - box.left) / bins - 1, box.bottom - y(h));
    });
    context.globalAlpha = 1;
    context.strokeStyle = colour(ink);
    context.lineWidth = 2;
    context.beginPath();
    curve.forEach((v, i) => context.lineTo(x(low + (i + 0.5) * (high - low) / curve.length), y(v)));
    context.stroke();
    context.lineWidth = 1;
    context.strokeStyle = colour("ink");
    context.beginPath();
    context.moveTo(box.left, box.bottom);
    context.lineTo(box.right, box.bottom);
    context.stroke();
    context.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    context.fillStyle = colour("ink");
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.fillText(`marginal of ${name}`, box.left, box.top - 12);
    context.textAlign = "center";
    for (let tick = Math.ceil(low / 2) * 2; tick <= high; tick += 2) {
      context.fillText(String(tick).replace("-", "−"), x(tick), box.bottom + 11);
    }
  }

  function disc(context, x, y, radius) {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
  }

  function cross(context, x, y, arm) {
    context.beginPath();
    context.moveTo(x - arm, y - arm);
    context.lineTo(x + arm, y + arm);
    context.moveTo(x - arm, y + arm);
    context.lineTo(x + arm, y - arm);
    context.stroke();
  }

  function signed(value) {
    const text = Math.abs(value) < 1e4 ? value.toFixed(2) : value.toExponential(1);
    return text.replace(/^-(?=0\.00$)/, "").replace("-", "−");
  }
})();
