// The first figure of the book: the chapter's lattice at a temperature of the reader's choice. It runs by itself,
// except where the reader's system asks for less motion.

(function () {
  "use strict";

  const { Lattice, criticalTemperature, magnetization } = window.explorables.ising;

  window.explorables.define("landing", (kit) => {
    let lattice, sweeps;

    const temperature = kit.slider({
      key: "T", label: "Temperature", min: 1, max: 4, step: 0.01, value: 2.27, format: (v) => v.toFixed(2),
      mark: { at: criticalTemperature, html: "T<sub>c</sub>", description: "Set the temperature next to the critical one" },
      onInput: (value) => { lattice.set(value, 0); sweeps = 0; },
    });

    kit.canvas({
      label: "A square lattice of spins, amber for +1 and blue for -1", aspect: 1,
      draw(context, width, height, colour) {
        const { size, spins } = lattice, side = width / size;
        context.fillStyle = colour("down");
        context.fillRect(0, 0, width, height);
        context.fillStyle = colour("up");
        spins.forEach((spin, site) => {
          if (spin < 0) return;
          const row = Math.floor(site / size), column = site % size;
          context.fillRect(column * side, row * side, side + 0.5, side + 0.5);
        });
      },
    });

    kit.start({
      unit: "sweep",
      restart(seed) {
        lattice = new Lattice(64, Number(temperature.value), 0, seed, "mixed");
        sweeps = 0;
      },
      step() { lattice.sweep(); sweeps++; },
      readout() {
        const found = Math.abs(lattice.meanSpin()).toFixed(2);
        const exact = magnetization(lattice.temperature).toFixed(2);
        return `After ${sweeps} sweeps |m| = ${found}; exact on an endless lattice: ${exact}.`;
      },
    });

    if (!kit.calm.matches) {
      kit.announcer.setAttribute("aria-live", "off");  // nobody asked: silent until the figure is used
      for (const use of ["pointerdown", "keydown"]) {
        kit.stage.addEventListener(use, () => kit.announcer.setAttribute("aria-live", "polite"), { once: true });
      }
      kit.play();
    }
  });
})();
