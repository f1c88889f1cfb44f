// Data on a few points of a line, blurred by Gaussian noise: energy, score and best denoiser, all exact, and walkers
// that follow the score with Langevin steps, at one level of noise or at levels that fall.

window.explorables.denoising = (function () {
  "use strict";

  const { random, normal } = window.explorables;
  const LOW = -4, HIGH = 4, START = 4, WALKERS = 400, LEVELS = 200;
  const GRID = Array.from({ length: 321 }, (_, i) => LOW + i * (HIGH - LOW) / 320);
  const DATA = {
    equal: { label: "−1 and +1, equally often", points: [-1, 1], weights: [0.5, 0.5] },
    unequal: { label: "−1 in 70 %, +1 in 30 %", points: [-1, 1], weights: [0.7, 0.3] },
    three: { label: "−2, 0 and 2, equally often", points: [-2, 0, 2], weights: [1 / 3, 1 / 3, 1 / 3] },
  };

  // The logarithms of w N(y; x, σ²) for each point x of the data, and of their sum.
  function parts(y, sigma, { points, weights }) {
    const logs = points.map((x, i) => Math.log(weights[i]) - ((y - x) / sigma) ** 2 / 2 - Math.log(sigma * Math.sqrt(2 * Math.PI)));
    const top = Math.max(...logs);
    return { logs, total: top + Math.log(logs.reduce((sum, v) => sum + Math.exp(v - top), 0)) };
  }

  const energy = (y, sigma, data) => -parts(y, sigma, data).total;

  // E[x | y], the mean of the clean datum given the noisy one.
  function denoised(y, sigma, data) {
    const { logs, total } = parts(y, sigma, data);
    return logs.reduce((sum, v, i) => sum + data.points[i] * Math.exp(v - total), 0);
  }

  // Tweedie's formula: the score is what the best denoiser moves, divided by σ².
  const score = (y, sigma, data) => (denoised(y, sigma, data) - y) / sigma ** 2;

  function wells(sigma, data) {
    const values = GRID.map((y) => energy(y, sigma, data));
    return values.filter((v, i) => i > 0 && i < values.length - 1 && v < values[i - 1] && v <= values[i + 1]).length;
  }

  // One Langevin step of size ε = 0.2 σ².
  function langevin(y, sigma, data, noise) {
    const size = 0.2 * sigma ** 2;
    return y + size * score(y, sigma, data) + Math.sqrt(2 * size) * noise;
  }

  // Exactly, the share of the blurred data below zero.
  function share(sigma, { points, weights }) {
    return points.reduce((sum, x, i) => sum + weights[i] * below(-x / sigma), 0);
  }

  // The normal distribution function by its series; far out it is 0 or 1 to all digits shown.
  function below(z) {
    if (Math.abs(z) > 6) return z > 0 ? 1 : 0;
    let term = z, sum = z;
    for (let k = 1; Math.abs(term) > 1e-17; k++) sum += term *= z * z / (2 * k + 1);
    return 0.5 + sum * Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI);
  }

  // Walkers from a wide start. With `falling` noise they pass through levels from START to σ, then stay there.
  class Walk {
    constructor({ data, sigma, schedule, seed }) {
      Object.assign(this, { data, sigma, schedule, steps: 0, random: random(seed) });
      this.walkers = Array.from({ length: WALKERS }, () => START * normal(this.random));
    }

    level() {
      if (this.schedule === "constant" || this.sigma >= START) return this.sigma;
      return this.sigma * (START / this.sigma) ** Math.max(0, 1 - this.steps / LEVELS);
    }

    step() {
      const level = this.level();
      this.walkers = this.walkers.map((y) => langevin(y, level, this.data, normal(this.random)));
      this.steps++;
    }

    left() {
      return this.walkers.filter((y) => y < 0).length / this.walkers.length;
    }
  }

  return { LOW, HIGH, GRID, DATA, WALKERS, LEVELS, energy, denoised, score, wells, langevin, share, Walk };
})();
