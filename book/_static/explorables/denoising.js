// A noisy datum y, the best guess at the clean one, and the energy of the blurred data whose slope leads there; below,
// walkers that follow the slopes. The formulas are in denoising_model.js.

(function () {
  "use strict";

  const { draw } = window.explorables;
  const model = window.explorables.denoising, { LOW, HIGH, GRID, DATA } = model;
  const BINS = 64;

  window.explorables.define("denoising", (kit) => {
    let walk;
    const begin = () => kit.simulation && kit.restart();

    const data = kit.choice({
      key: "data", label: "Data", options: Object.entries(DATA).map(([key, { label }]) => [key, label]), onInput: begin,
    });
    const sigma = kit.slider({
      key: "sigma", label: "Noise σ", min: 0.1, max: 4, step: 0.05, value: 0.6, format: (v) => v.toFixed(2), onInput: begin,
    });
    const noisy = kit.slider({
      key: "y", label: "Noisy datum y", min: -3.5, max: 3.5, step: 0.05, value: 0.5, format: (v) => draw.signed(v, 2), onInput: () => {},
    });
    const schedule = kit.choice({
      key: "schedule", label: "Walkers", options: [["constant", "at this σ"], ["falling", "from σ = 4 down to this σ"]], onInput: begin,
    });

    function restart(seed) {
      walk = new model.Walk({ data: DATA[data.value], sigma: Number(sigma.value), schedule: schedule.value, seed });
      model.current = walk;
    }

    kit.canvas({
      label: "The energy of the blurred data; an arrow leads from the noisy datum to the best guess at the clean one",
      aspect: 1.25,
      draw(context, width, height, colour) {
        const at = walk.sigma, y = Number(noisy.value), values = GRID.map((u) => model.energy(u, at, walk.data));
        const least = Math.min(...values), span = Math.min(8, Math.max(1, Math.max(...values) - least));
        const box = frame(context, width, height, colour, `energy at σ = ${at.toFixed(2)}, from 0 to ${span.toFixed(0)}`, [-0.12 * span, span]);
        draw.clipped(context, box, () => {
          context.strokeStyle = colour("curve");
          context.lineWidth = 2;
          draw.path(context, values.map((v, i) => [box.x(GRID[i]), box.y(v - least)]));
        });
        for (const x of walk.data.points) {
          context.strokeStyle = colour("ink");
          draw.cross(context, box.x(x), box.bottom, 5);
        }
        const height_ = Math.min(span, model.energy(y, at, walk.data) - least);
        context.strokeStyle = colour("curve2");
        arrow(context, box.x(y), box.x(model.denoised(y, at, walk.data)), box.y(height_) - 14);
        draw.dot(context, colour, "dot", box.x(y), box.y(height_), 6);
      },
    });

    kit.canvas({
      label: "Histogram of the walkers over the exact density at their level of noise",
      aspect: 1.25,
      draw(context, width, height, colour) {
        const level = walk.level(), density = GRID.map((y) => Math.exp(-model.energy(y, level, walk.data)));
        const box = frame(context, width, height, colour, `walkers and density at σ = ${level.toFixed(2)}`, [0, 1.3 * Math.max(...density)]);
        const wide = (HIGH - LOW) / BINS, counts = new Array(BINS).fill(0);
        for (const y of walk.walkers) if (y >= LOW && y < HIGH) counts[Math.floor((y - LOW) / wide)]++;
        context.fillStyle = colour("curve3");
        context.globalAlpha = 0.4;
        counts.forEach((k, i) => {
          const top = Math.max(box.top, box.y(k / walk.walkers.length / wide));
          context.fillRect(box.x(LOW + i * wide), top, box.x(LOW + wide) - box.x(LOW), box.bottom - top);
        });
        context.globalAlpha = 1;
        context.strokeStyle = colour("ink");
        context.lineWidth = 2;
        draw.path(context, density.map((v, i) => [box.x(GRID[i]), box.y(v)]));
      },
    });

    function readout() {
      const y = Number(noisy.value), at = walk.sigma, n = model.wells(at, walk.data);
      return `At σ = ${at.toFixed(2)} the energy has ${n === 1 ? "one well" : `${n} wells`}.`
        + ` At y = ${draw.signed(y, 2)} the score is ${draw.signed(model.score(y, at, walk.data), 3)} and the best guess at the clean datum`
        + ` y + σ² · score = ${draw.signed(model.denoised(y, at, walk.data), 3)}.`
        + ` Walkers at σ = ${walk.level().toFixed(2)}, below zero: ${(100 * walk.left()).toFixed(0)} %, exact: ${(100 * model.share(walk.level(), walk.data)).toFixed(0)} %. Steps: ${walk.steps}.`;
    }

    kit.start({ restart, step: () => walk.step(), readout, unit: "step" });
  });

  function frame(context, width, height, colour, title, [least, most]) {
    const box = draw.box({ left: 12, right: width - 12, top: 30, bottom: height - 22 }, [LOW, HIGH], [least, most]);
    draw.text(context, colour, title, box.left, 10);
    context.strokeStyle = colour("ink");
    context.lineWidth = 1;
    draw.path(context, [[box.left, box.bottom], [box.right, box.bottom]]);
    for (let tick = LOW + 1; tick < HIGH; tick++) draw.text(context, colour, draw.signed(tick, 0), box.x(tick), box.bottom + 12, "center");
    return box;
  }

  function arrow(context, from, to, y) {
    const head = Math.sign(to - from) * Math.min(7, Math.abs(to - from));
    context.lineWidth = 2.5;
    draw.path(context, [[from, y], [to, y]]);
    draw.path(context, [[to - head, y - 5], [to, y], [to - head, y + 5]]);
  }
})();
