// Two or three experts on a line, their product and their mixture: exact curves, with a histogram of samples of each
// behind. What the experts say, and how they are combined, is in product_of_experts_model.js.

(function () {
  "use strict";

  const { draw } = window.explorables;
  const poe = window.explorables.product_of_experts, { LOW, HIGH, BINS, GRID, KINDS } = poe;
  const NAMES = ["q", "r", "t"], INKS = ["curve", "curve2", "dot"];

  window.explorables.define("product_of_experts", (kit) => {
    let samples, exact, mixed, handles, dragged = null;
    const begin = () => kit.simulation && kit.restart();

    const count = kit.choice({
      key: "n", label: "Experts", options: [["2", "two: q and r"], ["3", "three: q, r and t"]], onInput: begin,
    });
    const panels = NAMES.map((name, m) => {
      const panel = kit.group(`Expert ${name}`);
      const slider = (letter, label, min, max, value, format) => kit.slider({
        key: letter + name, label: `${label} of ${name}`, min, max, step: 0.1, value, format, onInput: begin,
      });
      return {
        panel,
        kind: kit.choice({
          key: `k${name}`, label: `Kind of ${name}`, options: Object.entries(KINDS).map(([key, { label }]) => [key, label]), onInput: begin,
        }),
        mean: slider("m", "Place", -4, 4, [-1.5, 1.5, 0][m], (v) => draw.signed(v, 1)),
        sd: slider("s", "Width", 0.3, 2.5, [1, 0.8, 2][m], (v) => v.toFixed(1)),
        weight: slider("w", "Weight", 0, 4, 1, (v) => v.toFixed(1)),
      };
    });
    kit.group(null);

    function current() {
      return panels.slice(0, Number(count.value)).map(({ kind, mean, sd, weight }) => ({
        kind: kind.value, mean: Number(mean.value), sd: Number(sd.value), weight: Number(weight.value),
      }));
    }

    // Without any weight there is nothing to multiply: the first expert keeps a little.
    function restart(seed) {
      if (current().every(({ weight }) => weight === 0)) {
        panels[0].weight.value = 0.1;
        panels[0].weight.dispatchEvent(new Event("input"));
        return;
      }
      const experts = current();
      samples = new poe.Samples(experts, seed);
      exact = poe.product(experts);
      mixed = poe.mixtureOnGrid(experts);
      poe.current = samples;
      panels[2].panel.hidden = experts.length < 3;
    }

    const canvas = kit.canvas({
      label: "The experts' densities as thin curves; drag an expert sideways to move it",
      aspect: 1.25,
      draw(context, width, height, colour) {
        const { experts } = samples, say = (x, e) => Math.exp(poe.opinion(x, e));
        const top = 1.15 * Math.max(...experts.map((e) => Math.max(...GRID.map((x) => say(x, e)))));
        const box = frame(context, width, height, colour, "experts (drag them)", top);
        handles = experts.map((e) => [box.x(e.mean), e.kind === "veto" ? box.bottom - 12 : box.y(say(e.mean, e))]);
        experts.forEach((expert, m) => {
          context.strokeStyle = context.fillStyle = colour(INKS[m]);
          context.lineWidth = 2;
          context.globalAlpha = expert.weight === 0 ? 0.35 : 1;
          curve(context, box, GRID.map((x) => say(x, expert)));
          context.fillStyle = colour(INKS[m]);
          draw.disc(context, ...handles[m], 7);
          draw.text(context, colour, expert.kind === "veto" ? `not ${NAMES[m]}` : NAMES[m], handles[m][0], handles[m][1] - 15, "center");
          context.globalAlpha = 1;
        });
      },
    });

    kit.canvas({
      label: "Product, solid, and mixture, dashed: exact curves over histograms of samples",
      aspect: 1.25,
      draw(context, width, height, colour) {
        const top = 1.25 * Math.max(...exact.density, ...mixed.density);
        const box = frame(context, width, height, colour, "product (solid) and mixture (dashed)", top);
        histogram(context, box, samples.mixture, colour("ink"), 0.2);
        histogram(context, box, samples.product, colour("curve3"), 0.4);
        context.lineWidth = 2;
        context.strokeStyle = colour("ink");
        draw.dashed(context, [6, 4], () => curve(context, box, mixed.density));
        context.strokeStyle = colour("curve3");
        curve(context, box, exact.density);
      },
    });

    // Sideways drags move an expert: the mouse takes the nearest, a finger the one whose handle it touches, so that the
    // page still scrolls elsewhere.
    canvas.style.touchAction = "pan-y";
    canvas.style.cursor = "grab";
    const place = (event) => {
      const { left, width } = canvas.getBoundingClientRect();
      return LOW + (event.clientX - left - 12) / (width - 24) * (HIGH - LOW);
    };
    canvas.addEventListener("touchstart", (event) => { if (dragged !== null) event.preventDefault(); }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      const { left, top } = canvas.getBoundingClientRect(), finger = event.pointerType === "touch";
      const distances = handles.map(([x, y]) => Math.hypot(x - event.clientX + left, finger ? y - event.clientY + top : 0));
      if (finger && Math.min(...distances) > 40) return;
      dragged = distances.indexOf(Math.min(...distances));
      canvas.setPointerCapture(event.pointerId);
      move(event);
    });
    canvas.addEventListener("pointermove", (event) => dragged !== null && move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { dragged = null; });

    function move(event) {
      const input = panels[dragged].mean;
      input.value = place(event);
      input.dispatchEvent(new Event("input"));
    }

    function readout() {
      const { experts } = samples;
      if (exact.logZ === -Infinity) return "The experts forbid everything: their product is zero everywhere and has no normalizer.";
      const seen = (tally) => tally.n ? ` (sampled ${draw.signed(tally.mean, 2)} and ${tally.sd.toFixed(2)})` : "";
      const humps = (n) => n === 1 ? "one hump" : `${n} humps`;
      const where = samples.boxed ? " All are cut to the box from −6 to 6." : "";
      return `Product of ${experts.length}: ${humps(exact.humps)}, mean ${draw.signed(exact.mean, 2)}, width ${exact.sd.toFixed(2)}${seen(samples.product)}, log Z = ${draw.signed(exact.logZ, 3)}.`
        + ` Mixture: mean ${draw.signed(mixed.mean, 2)}, width ${mixed.sd.toFixed(2)}${seen(samples.mixture)}, log Z = 0.`
        + `${where} Samples of each: ${samples.product.n}.`;
    }

    kit.start({ restart, step: () => samples.step(), readout, unit: "sample" });
  });

  function frame(context, width, height, colour, title, top) {
    const box = draw.box({ left: 12, right: width - 12, top: 30, bottom: height - 22 }, [LOW, HIGH], [0, top]);
    draw.text(context, colour, title, box.left, 10);
    context.strokeStyle = colour("ink");
    context.lineWidth = 1;
    draw.path(context, [[box.left, box.bottom], [box.right, box.bottom]]);
    for (let tick = LOW + 2; tick < HIGH; tick += 2) draw.text(context, colour, draw.signed(tick, 0), box.x(tick), box.bottom + 12, "center");
    return box;
  }

  // Values on the grid.
  function curve(context, box, values) {
    draw.path(context, values.map((v, i) => [box.x(GRID[i]), box.y(v)]));
  }

  function histogram(context, box, tally, ink, alpha) {
    if (!tally.n) return;
    const wide = (HIGH - LOW) / BINS;
    context.fillStyle = ink;
    context.globalAlpha = alpha;
    tally.bins.forEach((k, i) => {
      const x = LOW + i * wide, y = Math.max(box.top, box.y(k / tally.n / wide));
      context.fillRect(box.x(x), y, box.x(x + wide) - box.x(x), box.bottom - y);
    });
    context.globalAlpha = 1;
  }
})();
