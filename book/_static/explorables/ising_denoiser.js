// A picture, what is seen of it through noise, and its restoration by Gibbs sampling, by iterated conditional modes
// and by a minimum cut, beside the exact probability of each pixel. The model is in ising_denoiser_model.js.

(function () {
  "use strict";

  const { draw, denoiser, random: generator } = window.explorables;
  const BURN_IN = 20; // sweeps that are not counted
  const SHOWN = 6; // of the most probable pictures

  // The lecture's picture with its noise; the others are seen through noise that the reader sets.
  const PICTURES = {
    slide: { label: "the lecture's 3×3 picture", rows: ["#..", "#..", "###"], flips: ["...", "...", "#.."] },
    letter: {
      label: "a letter, 12×12",
      rows: ["............", ".##########.", ".##########.", ".##.........", ".##.........", ".########...",
        ".########...", ".##.........", ".##.........", ".##########.", ".##########.", "............"],
    },
    disc: {
      label: "a disc and a thin line, 12×12",
      rows: ["..####......", ".######.....", "########....", "########....", "########....", "########....",
        ".######.....", "..####......", "............", "............", ".##########.", "............"],
    },
    blank: { label: "blank paper to paint on, 12×12", rows: Array(12).fill("............") },
  };
  const METHODS = { gibbs: "Gibbs sampling", icm: "ICM, greedy", cut: "minimum cut, exact" };

  const bits = (rows) => rows.join("").split("").map((mark) => mark === "#" ? 1 : 0);
  const spins = (values) => values.map((bit) => 2 * bit - 1);
  const differing = (a, b) => a.reduce((count, value, i) => count + (value !== b[i]), 0);

  window.explorables.ising_denoiser = { PICTURES, bits };

  window.explorables.define("ising_denoiser", (kit) => {
    let truth, flips, seen, posterior, y, sweeps, sums, counted, visits, random, answers, cursor = null;
    let painted = null, fixed = null; // a truth and a noise that the reader made

    const picture = kit.choice({
      key: "picture", label: "Picture", options: Object.entries(PICTURES).map(([key, { label }]) => [key, label]),
      onInput() { painted = fixed = null; cursor = null; kit.restart(); },
    });
    const method = kit.choice({
      key: "method", label: "Restore by", options: Object.entries(METHODS), onInput: () => kit.restart(),
    });
    const noise = kit.slider({
      key: "noise", label: "Noise: share of pixels flipped", min: 0, max: 0.4, step: 0.01, value: 0.1,
      format: (v) => v.toFixed(2), onInput() { if (picture.value !== "slide") fixed = null; kit.restart(); },
    });
    const coupling = kit.slider({
      key: "J", label: "Coupling J", min: 0, max: 1.5, step: 0.05, value: 0.5, format: (v) => v.toFixed(2), onInput: model,
    });
    const epsilon = kit.slider({
      key: "eps", label: "Noise ε that the model believes in", min: 0.01, max: 0.45, step: 0.01, value: 0.2,
      format: (v) => v.toFixed(2), onInput: model,
    });
    for (const [key, read, take] of [["y", () => painted, (v) => { painted = v; }], ["f", () => fixed, (v) => { fixed = v; }]]) {
      const write = (text) => take(/^[01]+$/.test(text) && text.length === size() ? text.split("").map(Number) : null);
      kit.state(key, () => read() ? read().join("") : "", write);
      write(kit.linked[key] || "");
    }
    // The magnified pixel, counted row by row.
    const magnify = (text) => { if (/^\d+$/.test(text) && Number(text) < size()) cursor = Number(text); };
    kit.state("at", () => cursor, magnify);
    magnify(kit.linked.at);

    function shape() {
      const { rows } = PICTURES[picture.value];
      return [rows.length, rows[0].length];
    }

    function size() {
      return shape()[0] * shape()[1];
    }

    function restart(seed) {
      const { rows, flips: given } = PICTURES[picture.value];
      random = generator(seed);
      truth = painted || bits(rows);
      const drawn = truth.map(() => random() < Number(noise.value) ? 1 : 0);
      flips = fixed || (given ? bits(given) : drawn);
      const [height, width] = shape();
      if (cursor === null || cursor >= size()) cursor = Math.floor(height / 2) * width;
      noise.disabled = Boolean(given);
      kit.still(method.value === "cut");
      model();
    }

    // The posterior of what is seen now, and the restoration begun again.
    function model() {
      if (!truth) return;
      const [rows, columns] = shape();
      seen = spins(truth.map((bit, i) => bit ^ flips[i]));
      posterior = new denoiser.Posterior({
        rows, columns, seen, coupling: Number(coupling.value), epsilon: Number(epsilon.value),
      });
      answers = null;
      y = (method.value === "cut" ? exact().cut : seen).slice();
      sums = new Array(size()).fill(0);
      visits = new Map();
      sweeps = counted = 0;
      publish();
    }

    function publish() {
      window.explorables.ising_denoiser.current = { posterior, y, truth: spins(truth), seen, sweeps, counted, sums, method: method.value };
    }

    function step() {
      if (method.value === "icm") posterior.icm(y);
      else posterior.gibbs(y, random);
      sweeps++;
      if (method.value === "gibbs" && sweeps > BURN_IN) count();
      publish();
    }

    function count() {
      counted++;
      y.forEach((spin, i) => { if (spin > 0) sums[i]++; });
      if (size() === 9) visits.set(y.join(), (visits.get(y.join()) || 0) + 1);
    }

    // What is exact, computed when it is first looked at.
    function exact() {
      if (!answers) {
        const { logZ, ink } = posterior.exact(), cut = posterior.minimumCut();
        answers = {
          logZ, ink, cut, icm: posterior.icmFrom(seen), vote: ink.map((p) => p > 0.5 ? 1 : -1),
          ranked: size() === 9 ? posterior.ranked().slice(0, SHOWN) : null,
        };
      }
      return answers;
    }

    function flip(place, array) {
      const made = array.slice();
      made[place] ^= 1;
      return made;
    }

    // A flipped pixel of the truth keeps its noise; a flipped pixel of what is seen changes the noise.
    function paint(place, onTruth) {
      if (onTruth) painted = truth = flip(place, truth);
      else fixed = flips = flip(place, flips);
      model();
      kit.remember();
      kit.draw();
    }

    // --- pictures on canvases -----------------------------------------------------------------------------

    function panels(width, height, count, top = 22) {
      const side = Math.min((width - 12 * (count - 1)) / count, height - top), gap = (width - count * side) / Math.max(1, count - 1);
      return Array.from({ length: count }, (_, k) => ({ left: k * (side + Math.min(gap, 40)), top, side, cell: side / shape()[1] }));
    }

    function sheet(context, colour, panel, values, { wrong, title, chosen }) {
      draw.text(context, colour, title, panel.left, 10);
      values.forEach((spin, i) => {
        const [x, top] = corner(panel, i);
        context.fillStyle = colour(spin > 0 ? "up" : "down");
        context.fillRect(x, top, panel.cell - 0.5, panel.cell - 0.5);
        if (wrong && wrong[i] !== spin) mark(context, x + panel.cell / 2, top + panel.cell / 2, panel.cell / 5);
      });
      if (chosen) outline(context, colour, panel, cursor);
    }

    function corner(panel, i) {
      return [panel.left + i % shape()[1] * panel.cell, panel.top + Math.floor(i / shape()[1]) * panel.cell];
    }

    // A cross that shows on both inks.
    function mark(context, x, top, arm) {
      for (const [ink, width] of [["#000", 4], ["#fff", 2]]) {
        context.strokeStyle = ink;
        context.lineWidth = width;
        draw.cross(context, x, top, arm);
      }
    }

    function outline(context, colour, panel, i) {
      const [x, top] = corner(panel, i);
      context.strokeStyle = colour("ink");
      context.lineWidth = 2.5;
      context.strokeRect(x - 1, top - 1, panel.cell + 1.5, panel.cell + 1.5);
    }

    const given = kit.canvas({
      label: "The truth, and what is seen of it. Tap or click to flip a pixel of either; or use the arrow keys, Enter for what is seen and t for the truth",
      aspect: 1.85,
      draw(context, width, height, colour) {
        const [left, right] = panels(width, height, 2);
        sheet(context, colour, left, spins(truth), { title: "truth (tap or click)", chosen: true });
        sheet(context, colour, right, seen, { title: `seen: ${differing(seen, spins(truth))} wrong`, wrong: spins(truth), chosen: true });
      },
    });

    const now = kit.canvas({
      label: "The restoration now, wrong pixels crossed; and the probability of ink in each pixel, exact as squares and sampled as discs",
      aspect: 1.85,
      draw(context, width, height, colour) {
        const [left, right] = panels(width, height, 2);
        sheet(context, colour, left, y, {
          title: `${{ gibbs: "Gibbs", icm: "ICM", cut: "minimum cut" }[method.value]}: ${differing(y, spins(truth))} wrong`, wrong: spins(truth), chosen: true,
        });
        draw.text(context, colour, "exact p(ink)", right.left, 10);
        exact().ink.forEach((p, i) => {
          const [x, top] = corner(right, i);
          shade(context, colour, p);
          context.fillRect(x, top, right.cell - 0.5, right.cell - 0.5);
          if (!counted) return;
          shade(context, colour, sums[i] / counted);
          draw.disc(context, x + right.cell / 2, top + right.cell / 2, 0.3 * right.cell);
          context.strokeStyle = colour("grid");
          context.lineWidth = 0.8;
          context.stroke();
        });
        outline(context, colour, right, cursor);
      },
    });

    // Between the two inks, by probability.
    function shade(context, colour, probability) {
      const [up, down] = [draw.rgb(colour("up")), draw.rgb(colour("down"))];
      context.fillStyle = `rgb(${up.map((c, k) => Math.round(probability * c + (1 - probability) * down[k])).join()})`;
    }

    kit.canvas({
      label: "Magnifier: the chosen pixel, its neighbours and what was seen there, and how they add up to its probability",
      aspect: 2.1, narrow: 112,
      draw(context, width, height, colour) {
        const cell = Math.min(height / 3.6, width / 11), middle = [1.7 * cell, height / 2];
        const square = (across, along, spin) => {
          context.fillStyle = colour(spin > 0 ? "up" : "down");
          context.fillRect(middle[0] + (1.12 * across - 0.5) * cell, middle[1] + (1.12 * along - 0.5) * cell, cell, cell);
        };
        for (const j of posterior.neighbours(cursor)) {
          const across = Math.abs(j - cursor) === 1 ? j - cursor : 0;
          square(across, across ? 0 : Math.sign(j - cursor), y[j]);
        }
        square(0, 0, y[cursor]);
        context.strokeStyle = colour("ink");
        context.lineWidth = 2.5;
        context.strokeRect(middle[0] - cell / 2, middle[1] - cell / 2, cell, cell);
        magnified().forEach((words, k) => draw.text(context, colour, words, 3.6 * cell, (k + 1) * height / 6));
      },
    });

    // The chosen pixel in words.
    function magnified() {
      const { coupling: J, strength } = posterior, pull = posterior.pull(y, cursor);
      const around = posterior.neighbours(cursor).reduce((sum, j) => sum + y[j], 0);
      return [
        `seen ${seen[cursor] > 0 ? "ink" : "paper"}: ${draw.signed(strength * seen[cursor], 2)}`,
        `neighbours' sum ${draw.signed(around, 0)}, times J: ${draw.signed(J * around, 2)}`,
        `together a = ${draw.signed(pull, 2)}`,
        `p(ink | rest) = σ(2a) = ${denoiser.sigmoid(2 * pull).toFixed(3)}`,
        `exact p(ink) = ${exact().ink[cursor].toFixed(3)}`,
      ];
    }

    kit.canvas({
      label: "For nine pixels the six most probable pictures with their exact probabilities and sampled shares; for more, the answers of ICM, the minimum cut and the vote of marginals",
      aspect: 2.1, narrow: 138,
      draw(context, width, height, colour) {
        const { ranked, icm, cut, vote } = exact(), right = spins(truth);
        if (!ranked) {
          panels(width, height, 3, 38).forEach((panel, k) => {
            const [name, values] = [["ICM", icm], ["minimum cut", cut], ["vote", vote]][k];
            sheet(context, colour, panel, values, { title: name, wrong: right });
            draw.text(context, colour, `${differing(values, right)} wrong`, panel.left, 26);
          });
          return;
        }
        draw.text(context, colour, "most probable pictures: exact (sampled)", 0, 10);
        const slot = width / SHOWN, side = Math.min(slot - 14, height - 90);
        ranked.forEach(({ y: values, probability }, k) => {
          const panel = { left: k * slot, top: 36, side, cell: side / 3 };
          sheet(context, colour, panel, values, { title: "", wrong: right });
          draw.text(context, colour, `${(100 * probability).toFixed(1)} %`, panel.left, panel.top + side + 14);
          if (counted) draw.text(context, colour, `(${(100 * (visits.get(values.join()) || 0) / counted).toFixed(1)})`, panel.left, panel.top + side + 30);
        });
      },
    });

    // --- pointer and keys ---------------------------------------------------------------------------------

    function under(canvas, event) {
      const { left, top, width, height } = canvas.getBoundingClientRect();
      const found = panels(width, height, 2).map((panel) => {
        const [column, row] = [event.clientX - left - panel.left, event.clientY - top - panel.top].map((u) => Math.floor(u / panel.cell));
        return Math.min(column, row) < 0 || column >= shape()[1] || row >= shape()[0] ? null : row * shape()[1] + column;
      });
      const panel = found[0] !== null ? 0 : 1;
      return found[panel] === null ? null : { panel, place: found[panel] };
    }

    given.style.cursor = now.style.cursor = "crosshair";
    given.addEventListener("click", (event) => {
      const hit = under(given, event);
      if (!hit) return;
      cursor = hit.place;
      paint(hit.place, hit.panel === 0);
    });
    now.addEventListener("click", (event) => {
      const hit = under(now, event);
      if (hit) cursor = hit.place;
      kit.remember();
      kit.draw();
    });
    given.tabIndex = 0;
    given.addEventListener("keydown", (event) => {
      const [rows, columns] = shape(), row = Math.floor(cursor / columns), column = cursor % columns;
      const to = { ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1], ArrowUp: [row - 1, column], ArrowDown: [row + 1, column] }[event.key];
      if (to) cursor = Math.min(rows - 1, Math.max(0, to[0])) * columns + Math.min(columns - 1, Math.max(0, to[1]));
      else if (event.key === "Enter" || event.key === "t") paint(cursor, event.key === "t");
      else return;
      event.preventDefault();
      kit.remember();
      kit.draw();
    });

    function readout() {
      const { logZ, cut, icm, vote } = exact(), right = spins(truth), wrong = (v) => differing(v, right);
      const chance = (v) => probability(-posterior.energy(v) - logZ);
      return `${METHODS[method.value]}${method.value === "cut" ? "" : `, sweep ${sweeps}`}: ${wrong(y)} of ${size()} pixels wrong (${wrong(seen)} as seen), energy ${draw.signed(posterior.energy(y), 2)};`
        + ` the least possible is ${draw.signed(posterior.energy(cut), 2)}.`
        + ` Wrong pixels: ICM ${wrong(icm)}, minimum cut ${wrong(cut)}, vote of the exact marginals ${wrong(vote)}.`
        + ` Exact probability of the truth ${chance(right)}, of the minimum cut ${chance(cut)}.`
        + ` The magnified pixel: ${magnified().join("; ")}.`
        + (counted ? ` Sampled and exact p(ink) differ by at most ${Math.max(...exact().ink.map((p, i) => Math.abs(p - sums[i] / counted))).toFixed(3)} after ${counted} sweeps.` : "");
    }

    kit.start({ restart, step, readout, unit: "sweep" });
  });

  function probability(log) {
    return log > Math.log(1e-3) ? Math.exp(log).toFixed(4) : `e^${draw.signed(log, 1)}`;
  }
})();
