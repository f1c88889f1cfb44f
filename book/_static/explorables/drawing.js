// What the interactive figures draw with: a box with scales, axes, curves, dots, words, numbers in words.

window.explorables.draw = (function () {
  "use strict";

  // A rectangle of the canvas with the numbers that its sides stand for; x, y go to pixels, u, v come back.
  function box({ left, right, top, bottom }, [low, high], [least, most]) {
    return {
      left, right, top, bottom,
      x: (u) => left + (u - low) / (high - low) * (right - left),
      y: (v) => bottom - (v - least) / (most - least) * (bottom - top),
      u: (x) => low + (x - left) / (right - left) * (high - low),
      v: (y) => least + (bottom - y) / (bottom - top) * (most - least),
    };
  }

  function text(context, colour, words, x, y, align = "left") {
    context.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    context.fillStyle = colour("ink");
    context.textBaseline = "middle";
    context.textAlign = align;
    context.fillText(words, x, y);
  }

  function path(context, points) {
    context.beginPath();
    for (const [x, y] of points) context.lineTo(x, y);
    context.stroke();
  }

  function dashed(context, dashes, draw) {
    context.setLineDash(dashes);
    draw();
    context.setLineDash([]);
  }

  function disc(context, x, y, radius) {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
  }

  // A filled disc with an outline.
  function dot(context, colour, ink, x, y, radius) {
    context.fillStyle = colour(ink);
    context.strokeStyle = colour("ink");
    context.lineWidth = 1;
    disc(context, x, y, radius);
    context.stroke();
  }

  function cross(context, x, y, arm) {
    path(context, [[x - arm, y - arm], [x + arm, y + arm]]);
    path(context, [[x - arm, y + arm], [x + arm, y - arm]]);
  }

  // Grid lines at `rows` and numbers at `rows` and `columns`.
  function axes(context, colour, frame, { title, rows = [], columns = [], digits = 0 }) {
    if (title) text(context, colour, title, frame.left, frame.top - 14);
    context.lineWidth = 1;
    context.strokeStyle = colour("grid");
    for (const row of rows) {
      path(context, [[frame.left, frame.y(row)], [frame.right, frame.y(row)]]);
      text(context, colour, signed(row, digits), frame.left - 6, frame.y(row), "right");
    }
    for (const column of columns) text(context, colour, signed(column, 0), frame.x(column), frame.bottom + 12, "center");
  }

  function clipped(context, frame, draw) {
    context.save();
    context.beginPath();
    context.rect(frame.left, frame.top, frame.right - frame.left, frame.bottom - frame.top);
    context.clip();
    draw();
    context.restore();
  }

  // A number with a true minus sign, and no minus before zero.
  function signed(value, digits) {
    return value.toFixed(digits).replace(/^-(?=[0.]*$)/, "").replace("-", "−");
  }

  function rgb(hex) {
    return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  }

  return { box, text, path, dashed, disc, dot, cross, axes, clipped, signed, rgb };
})();
