// The energies of the samplers' figure, each with its gradient, and their exact means and marginals.

window.explorables.mcmc = (function () {
  "use strict";

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
      energy: (x, y) => 20 * (x * x / 4 - 1) ** 2 - x / 4 + y * y / 2,
      gradient: (x, y) => [20 * x * (x * x / 4 - 1) - 0.25, y],
      x: [-4.5, 4.5], y: [-4.5, 4.5],
      steps: { metropolis: 0.6, langevin: 0.01, mala: 0.02, tempering: 0.6 }, // its walls are steep
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

  // Sums over a fine grid.
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

  return { ENERGIES, exact };
})();
