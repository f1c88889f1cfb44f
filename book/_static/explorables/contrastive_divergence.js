// The race of three learners on bars and stripes: exact likelihoods, negative samples, phases of the gradient, and
// the learned weights as pictures. The machines are in contrastive_divergence_model.js.

(function () {
  "use strict";

  const { draw } = window.explorables, { signed } = draw;
  const { SIDE, VISIBLE, HIDDEN, LIMIT, DATA, STATES, KNOWN, Race } = window.explorables.contrastive_divergence;
  const NAMES = { exact: "exact", cd: "CD", pcd: "PCD" };
  const INKS = { exact: "ink", cd: "curve2", pcd: "curve" };
  const SHEET = 14; // small pictures shown of the data and of the samples

  window.explorables.define("contrastive_divergence", (kit) => {
    let race;

    const rate = kit.slider({
      key: "rate", label: "Learning rate at first", min: 0.05, max: 1, step: 0.05, value: 0.3,
      format: (v) => v.toFixed(2), onInput: (v) => { race.first = v; },
    });
    const schedule = kit.choice({
      key: "schedule", label: "The rate", options: [["constant", "stays as it is"], ["falling", `falls to a twentieth in ${LIMIT.toLocaleString("en")} updates`]],
      onInput: (name) => { race.schedule = name; },
    });
    const k = kit.slider({
      key: "k", label: "Gibbs steps k of CD and PCD", min: 1, max: 20, step: 1, value: 1,
      format: String, onInput: (v) => { race.k = v; },
    });
    const copies = kit.choice({
      key: "copies", label: "Chains of PCD", options: [1, 2, 4, 8, 16].map((n) => [`${n}`, `${n * DATA.length}`]), onInput: () => kit.restart(),
    });
    const shown = kit.choice({
      key: "show", label: "Show the phases and weights of", options: [["cd", "CD"], ["pcd", "PCD"], ["exact", "the exact gradient"]],
      onInput: () => {},
    });

    function restart(seed) {
      race = new Race({
        rate: Number(rate.value), k: Number(k.value), seed, schedule: schedule.value, copies: Number(copies.value),
      });
      window.explorables.contrastive_divergence.current = race;
    }

    function step() {
      if (race.updates < LIMIT) race.update();
    }

    kit.canvas({
      label: "Exact log-likelihood against updates for the three machines, under the best possible value",
      aspect: 1, narrow: 170,
      draw: (context, width, height, colour) => drawCurves(context, width, height, colour, race),
    });
    kit.canvas({
      label: "The data and the negative samples as small pictures, and the two phases of the gradient for the weights as grey levels beside the exact negative phase",
      aspect: 1, narrow: 310,
      draw: (context, width, height, colour) => drawPhases(context, width, height, colour, race.machines[shown.value], race.samples[shown.value]),
    });
    kit.canvas({
      label: "The weights of each hidden unit as a picture: orange for ink, blue against it; below, the unit's bias",
      aspect: 5.2, wide: true, narrow: 200,
      draw: (context, width, height, colour) => drawWeights(context, width, height, colour, race.machines[shown.value], NAMES[shown.value]),
    });

    function readout() {
      const now = Object.entries(race.curves).map(([name, curve]) => `${NAMES[name]} ${signed(curve[curve.length - 1], 3)}`);
      const machine = race.machines[shown.value], samples = race.samples[shown.value];
      const rest = race.updates >= LIMIT ? " The figure rests here; restart it for another run." : "";
      const strange = samples
        ? ` Of the negative samples of ${NAMES[shown.value]}, ${samples.filter((v) => !KNOWN.has(v.join(""))).length} of`
          + ` ${samples.length} are no bars or stripes; their phase differs from the exact one by ${distance(machine.phase(samples), machine.modelPhase()).toFixed(3)}.`
        : "";
      return `Update ${race.updates}, rate ${race.rate.toFixed(race.rate < 0.1 ? 3 : 2)}, k = ${race.k}, ${race.chains.length} chains.`
        + ` Exact log-likelihoods: ${now.join(", ")}; the best possible is ${signed(-Math.log(DATA.length), 3)}.${strange}${rest}`;
    }

    kit.start({ restart, step, readout, unit: "update" });
  });

  function drawCurves(context, width, height, colour, race) {
    const low = -7, high = -2, last = Math.max(200, race.updates);
    const box = draw.box({ left: 34, right: width - 8, top: 30, bottom: height - 26 }, [0, last], [low, high]);
    const y = (v) => box.y(Math.max(v, low));
    draw.text(context, colour, "exact log-likelihood of the data", box.left, 10);
    draw.axes(context, colour, box, { rows: Array.from({ length: high - low + 1 }, (_, i) => low + i) });
    draw.text(context, colour, "0", box.left, box.bottom + 14, "center");
    draw.text(context, colour, `${last} updates`, box.right, box.bottom + 14, "right");
    context.strokeStyle = colour("ink");
    const best = y(-Math.log(DATA.length));
    draw.dashed(context, [4, 4], () => draw.path(context, [[box.left, best], [box.right, best]]));
    context.lineWidth = 2;
    Object.entries(race.curves).forEach(([name, curve], place) => {
      context.strokeStyle = colour(INKS[name]);
      draw.path(context, curve.map((v, n) => [box.x(n), y(v)]));
      const at = box.left + 12 + place * 74;
      const above = (box.top + best) / 2; // where no curve comes
      draw.path(context, [[at, above], [at + 16, above]]);
      draw.text(context, colour, NAMES[name], at + 21, above);
    });
  }

  function drawPhases(context, width, height, colour, machine, samples) {
    const cell = (width - 6 * 6) / 7 / SIDE, picture = cell * SIDE, rows = 2 * (picture + 6);
    const place = (n, top) => [(n % 7) * (picture + 6), top + Math.floor(n / 7) * (picture + 6)];
    draw.text(context, colour, "data", 0, 8);
    DATA.forEach((v, n) => small(context, colour, v, ...place(n, 18), cell));
    const second = 18 + rows + 8;
    draw.text(context, colour, samples ? "negative samples (crossed: not in the data)" : "most probable pictures of the model", 0, second);
    (samples || likeliest(machine)).slice(0, SHEET).forEach((v, n) => {
      const [left, top] = place(n, second + 10);
      small(context, colour, v, left, top, cell);
      if (KNOWN.has(v.join(""))) return;
      context.strokeStyle = colour("ink");
      context.lineWidth = 2;
      draw.cross(context, left + picture / 2, top + picture / 2, picture / 2);
    });
    const third = second + 10 + rows + 8, exact = machine.modelPhase();
    const phases = [["positive", machine.phase(DATA)], ["negative", samples ? machine.phase(samples) : exact], ["exact", exact]];
    const size = (width - 24) / 3, tall = height - third - 14;
    phases.forEach(([name, { W }], n) => {
      const left = n * (size + 12);
      draw.text(context, colour, name, left, third);
      context.fillStyle = colour("ink");
      W.forEach((row, i) => row.forEach((value, j) => {
        context.globalAlpha = Math.min(1, 0.04 + 1.9 * value);
        context.fillRect(left + i * size / VISIBLE, third + 12 + j * tall / HIDDEN, size / VISIBLE + 0.3, tall / HIDDEN + 0.3);
      }));
      context.globalAlpha = 1;
    });
  }

  function small(context, colour, v, left, top, cell) {
    v.forEach((bit, i) => {
      context.fillStyle = colour(bit ? "up" : "down");
      context.fillRect(left + (i % SIDE) * cell, top + Math.floor(i / SIDE) * cell, cell + 0.5, cell + 0.5);
    });
  }

  function drawWeights(context, width, height, colour, machine, name) {
    const largest = Math.max(...machine.W.flat().map(Math.abs)), across = width < window.explorables.NARROW ? HIDDEN / 2 : HIDDEN;
    const slot = width / across, tall = (height - 24) * across / HIDDEN, side = Math.min(slot - 10, tall - 20), cell = side / SIDE;
    draw.text(context, colour, `weights of the hidden units of ${name}, up to ${largest.toFixed(2)}`, 0, 10);
    for (let j = 0; j < HIDDEN; j++) {
      const start = j % across * slot, head = 24 + Math.floor(j / across) * tall;
      machine.W.forEach((row, i) => {
        const left = start + (i % SIDE) * cell, top = head + Math.floor(i / SIDE) * cell;
        context.globalAlpha = Math.abs(row[j]) / largest;
        context.fillStyle = colour(row[j] > 0 ? "curve2" : "curve");
        context.fillRect(left, top, cell, cell);
        context.globalAlpha = 1;
        context.strokeStyle = colour("grid");
        context.lineWidth = 1;
        context.strokeRect(left + 0.5, top + 0.5, cell - 1, cell - 1);
      });
      draw.text(context, colour, signed(machine.b[j], 1), start + side / 2, head + side + 12, "center");
    }
  }

  // The states of lowest free energy, as many as the data.
  function likeliest(machine) {
    const energies = STATES.map((v) => machine.freeEnergy(v));
    return Array.from(STATES.keys()).sort((i, j) => energies[i] - energies[j]).slice(0, DATA.length).map((i) => STATES[i]);
  }

  // Euclidean distance of the weights' statistics in two phases.
  function distance(one, other) {
    return Math.hypot(...one.W.flatMap((row, i) => row.map((value, j) => value - other.W[i][j])));
  }
})();
