// Four chains on an energy in two dimensions, each in a colour of its own: where they go, what is proposed, their
// traces and diagnostics, before the exact density. Energies, kernels and diagnostics are in the mcmc_ files, and
// all their numbers are tested against ebmkit.

(function () {
  "use strict";

  const { draw } = window.explorables;
  const { ENERGIES, KERNELS, CHAINS, Chains, defaultStep, exact, rHat, ess, average } = window.explorables.mcmc;
  const RECENT = 2000; // the diagnostics look at so many of the latest draws of each chain
  const TRACED = 300; // draws of a chain in its trace
  const INKS = ["curve", "curve2", "curve3", "dot"]; // one for each chain, everywhere
  const PERCENT = (share) => `${(100 * share).toFixed(0)} %`;

  window.explorables.define("mcmc", (kit) => {
    let chains, truth, picture;

    const energy = kit.choice({
      key: "energy", label: "Energy", options: Object.entries(ENERGIES).map(([key, { label }]) => [key, label]),
      onInput: usualStep,
    });
    const kernel = kit.choice({
      key: "sampler", label: "Sampler", options: Object.entries(KERNELS).map(([key, { label }]) => [key, label]),
      onInput: usualStep,
    });
    const size = kit.slider({
      key: "step", label: "Step size", min: 0.01, max: 3, step: 0.01, value: defaultStep(energy.value, kernel.value),
      format: (v) => v.toFixed(2), onInput: () => kit.restart(),
    });
    const leapfrog = kit.slider({
      key: "L", label: "Leapfrog steps of HMC", min: 1, max: 60, step: 1, value: 10, format: String, onInput: () => kit.restart(),
    });
    const start = kit.choice({
      key: "start", label: "Start", options: [["apart", "far apart"], ["together", "all on the left"]],
      onInput: () => kit.restart(),
    });

    // Each sampler begins on each energy with a step size that works.
    function usualStep() {
      size.value = defaultStep(energy.value, kernel.value);
      size.dispatchEvent(new Event("input"));
    }

    function restart(seed) {
      chains = new Chains({
        energy: energy.value, kernel: kernel.value, step: Number(size.value), leapfrog: Number(leapfrog.value),
        start: start.value, seed,
      });
      window.explorables.mcmc.current = chains;
      size.disabled = kernel.value === "gibbs";
      leapfrog.disabled = kernel.value !== "hmc";
      truth = exact(energy.value);
      picture = null;
    }

    const taken = () => chains.draws[0].length; // steps

    kit.canvas({
      label: "The exact density, the draws of four chains in a colour each, and the latest moves: solid if taken, dashed with a cross if rejected",
      aspect: 1,
      draw(context, width, height, colour) {
        const { x, y } = chains.target, to = draw.box({ left: 0, right: width, top: 0, bottom: height }, x, y);
        if (!picture || picture.ink !== colour("ink")) picture = { ink: colour("ink"), canvas: density(chains.target, colour("ink")) };
        context.drawImage(picture.canvas, 0, 0, width, height);
        chains.draws.forEach((draws, c) => {
          context.fillStyle = colour(INKS[c]);
          context.globalAlpha = 0.4;
          for (const [u, v] of draws.slice(-500)) draw.disc(context, to.x(u), to.y(v), 1.8);
        });
        context.globalAlpha = 1;
        chains.moves.forEach((move, c) => drawMove(context, to, colour(INKS[c]), move));
        for (const { positions } of chains.replicas.slice(1)) {
          positions.forEach(([u, v], c) => hollow(context, to.x(u), to.y(v), colour(INKS[c])));
        }
        chains.positions.forEach(([u, v], c) => draw.dot(context, colour, INKS[c], to.x(u), to.y(v), 4.5));
        context.strokeStyle = colour("grid");
        context.strokeRect(0.5, 0.5, width - 1, height - 1);
      },
    });

    kit.canvas({
      label: "Marginals of x and y: exact curves over histograms of all draws",
      aspect: 1, narrow: 200,
      draw(context, width, height, colour) {
        const half = height / 2;
        ["x", "y"].forEach((name, axis) => {
          marginal(context, colour, { left: 10, right: width - 10, top: axis * half + 24, bottom: (axis + 1) * half - 20 }, {
            name, range: chains.target[name], curve: truth.marginals[axis], draws: chains.draws.flatMap((c) => c.map((z) => z[axis])),
          });
        });
      },
    });

    kit.canvas({
      label: "Traces: x of the four chains against the step, and the exact mean as a dashed line",
      aspect: 4, wide: true, narrow: 144,
      draw(context, width, height, colour) {
        const [low, high] = chains.target.x, first = Math.max(0, taken() - TRACED);
        const box = draw.box({ left: 24, right: width - 14, top: 22, bottom: height - 18 }, [first, first + TRACED], [low, high]);
        draw.axes(context, colour, box, { title: `x, last ${TRACED} steps; dashed: the exact mean`, rows: [-4, -2, 0, 2, 4], columns: [first, first + TRACED] });
        draw.clipped(context, box, () => chains.draws.forEach((draws, c) => {
          context.strokeStyle = colour(INKS[c]);
          context.lineWidth = 1.2;
          draw.path(context, draws.slice(first).map(([u], n) => [box.x(first + n + 1), box.y(u)]));
        }));
        context.strokeStyle = colour("ink");
        context.lineWidth = 1.5;
        draw.dashed(context, [5, 4], () => draw.path(context, [[box.left, box.y(truth.mean[0])], [box.right, box.y(truth.mean[0])]]));
      },
    });

    // What was done with the proposals.
    function fate() {
      if (chains.kernel === "gibbs") return "every draw is taken";
      if (chains.kernel === "langevin") return "nothing is ever rejected";
      const error = chains.kernel === "hmc"
        ? `, energy error of the last paths up to ${Math.max(...chains.moves.map(({ rise }) => Math.abs(rise))).toFixed(2)}` : "";
      const swaps = chains.swaps ? `, ${PERCENT(chains.swapped / chains.swaps)} of the swaps` : "";
      return `${PERCENT(chains.accepted / chains.proposed)} of the proposals taken${swaps}${error}`;
    }

    function readout() {
      const steps = taken();
      const { label, unit, cost } = KERNELS[chains.kernel];
      const setting = chains.kernel === "gibbs" ? "" : `, step size ${chains.size.toFixed(2)}`;
      const path = chains.kernel === "hmc" ? `, ${chains.leapfrog} leapfrog steps` : "";
      const title = `${label} on the ${chains.target.label}${setting}${path}, step ${steps}`;
      if (steps < 4) return `${title}. Exact means: x ${signed(truth.mean[0])}, y ${signed(truth.mean[1])}.`;
      const recent = [0, 1].map((axis) => chains.draws.map((c) => c.slice(-RECENT).map((z) => z[axis])));
      const all = [0, 1].map((axis) => average(chains.draws.flatMap((c) => c.map((z) => z[axis]))));
      const worth = recent.map(ess), paid = CHAINS * Math.min(steps, RECENT) * cost(chains);
      const diagnosis = worth.every(Number.isFinite)
        ? ` R-hat x ${rHat(recent[0]).toFixed(3)}, y ${rHat(recent[1]).toFixed(3)};`
          + ` effective sample size x ${worth[0].toFixed(0)}, y ${worth[1].toFixed(0)},`
          + ` ${(1000 * Math.min(...worth) / paid).toFixed(1)} for 1,000 ${unit}.` : "";
      return `${title}: ${fate()}. Means: x ${signed(all[0])} (exact ${signed(truth.mean[0])}),`
        + ` y ${signed(all[1])} (exact ${signed(truth.mean[1])}).${diagnosis}`;
    }

    kit.start({ restart, step: () => chains.step(), readout, unit: "step" });
  });

  function drawMove(context, to, ink, { path, end, taken }) {
    const points = path.map(([u, v]) => [to.x(u), to.y(v)]);
    context.strokeStyle = context.fillStyle = ink;
    context.lineWidth = 1.6;
    draw.dashed(context, taken ? [] : [3, 3], () => draw.path(context, points));
    if (points.length > 3) for (const [x, y] of points.slice(1, -1)) draw.disc(context, x, y, 1.6);
    if (!taken) draw.cross(context, to.x(end[0]), to.y(end[1]), 4);
  }

  // A replica at a higher temperature.
  function hollow(context, x, y, ink) {
    context.strokeStyle = ink;
    context.lineWidth = 1;
    context.beginPath();
    context.arc(x, y, 3, 0, 2 * Math.PI);
    context.stroke();
  }

  // The density as an image whose opacity is the probability.
  function density({ energy, x, y }, ink) {
    const n = 160, image = new ImageData(n, n), weights = new Float64Array(n * n);
    for (let j = 0; j < n; j++) {
      for (let i = 0; i < n; i++) {
        const u = x[0] + (i + 0.5) * (x[1] - x[0]) / n, v = y[1] - (j + 0.5) * (y[1] - y[0]) / n;
        weights[j * n + i] = Math.exp(-energy(u, v));
      }
    }
    const most = weights.reduce((a, b) => Math.max(a, b)), rgb = draw.rgb(ink);
    weights.forEach((w, i) => image.data.set([...rgb, 110 * Math.sqrt(w / most)], 4 * i));
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = n;
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  }

  function marginal(context, colour, frame, { name, range, curve, draws }) {
    const [low, high] = range, bins = 45, counts = new Array(bins).fill(0), wide = (high - low) / bins;
    for (const u of draws) {
      const bin = Math.floor((u - low) / wide);
      if (bin >= 0 && bin < bins) counts[bin]++;
    }
    const top = 1.35 * curve.reduce((a, b) => Math.max(a, b)), box = draw.box(frame, range, [0, top]);
    const y = (v) => box.y(Math.min(v, top));
    context.fillStyle = colour("edge");
    context.globalAlpha = 0.45;
    counts.forEach((k, i) => {
      const x = box.x(low + i * wide), height = y(draws.length ? k / draws.length / wide : 0);
      context.fillRect(x, height, box.x(low + wide) - box.left - 1, box.bottom - height);
    });
    context.globalAlpha = 1;
    context.strokeStyle = colour("ink");
    context.lineWidth = 2;
    draw.path(context, Array.from(curve, (v, i) => [box.x(low + (i + 0.5) * (high - low) / curve.length), y(v)]));
    context.lineWidth = 1;
    draw.path(context, [[box.left, box.bottom], [box.right, box.bottom]]);
    draw.text(context, colour, `marginal of ${name}: exact, and all draws`, box.left, box.top - 12);
    for (let tick = Math.ceil(low / 2) * 2; tick <= high; tick += 2) draw.text(context, colour, draw.signed(tick, 0), box.x(tick), box.bottom + 11, "center");
  }

  function signed(value) {
    return Math.abs(value) < 1e4 ? draw.signed(value, 2) : value.toExponential(1).replace("-", "−");
  }
})();
