// The tasks below an interactive figure: predict, try it in the figure, compare with the exact answer.
//
// The page holds each task as a question with its choices and a folded answer. Here the choices become radio
// buttons (or a field for a number), *Try it* sets the figure up, and *Check* compares the prediction.

(function () {
  "use strict";

  const NEEDED = "Predict first: choose an answer or write a number, then check it.";

  // A number as people write it: 0,5 and −2 and 1e-3 count; null where it is none.
  function asNumber(text) {
    const plain = text.trim().replace("−", "-").replace(/^([^.]*),([^.]*)$/, "$1.$2").replace(/\s*%$/, "");
    return plain !== "" && Number.isFinite(Number(plain)) ? Number(plain) : null;
  }

  function isRight(given, answer, tolerance) {
    const number = Number(answer);
    if (Number.isNaN(number)) return given === answer;
    const value = asNumber(given);
    return value !== null && Math.abs(value - number) <= tolerance + 1e-12;
  }

  // Radio buttons from the list of choices, in its place.
  function radios(task, name, list) {
    const field = document.createElement("fieldset");
    const legend = document.createElement("legend");
    legend.textContent = "Your prediction";
    field.append(legend);
    for (const item of list.children) {
      const label = document.createElement("label"), input = document.createElement("input");
      Object.assign(input, { type: "radio", name, value: item.textContent });
      label.append(input, " " + item.textContent);
      field.append(label);
    }
    list.replaceWith(field);
    return () => field.querySelector("input:checked")?.value ?? null;
  }

  function numberField(task, name) {
    const label = document.createElement("label"), input = document.createElement("input");
    Object.assign(input, { type: "text", inputMode: "decimal", autocomplete: "off", id: name, size: 8 });
    label.htmlFor = name;
    label.textContent = "Your prediction, a number: ";
    const row = document.createElement("p");
    row.append(label, input);
    task.querySelector(".explorable-task-question").append(row);
    return () => asNumber(input.value) === null ? null : input.value;
  }

  function upgrade(task, index, figure) {
    const { answer, tolerance, try: state } = task.dataset;
    const name = `${figure}-task-${index}`, list = task.querySelector(".explorable-task-choices");
    const given = list ? radios(task, name, list) : numberField(task, name);
    const verdict = document.createElement("p"), buttons = document.createElement("p");
    verdict.className = "explorable-task-verdict";
    verdict.setAttribute("role", "status");
    buttons.className = "explorable-buttons";
    const details = task.querySelector("details");
    const button = (text, action) => {
      const made = document.createElement("button");
      made.type = "button";
      made.textContent = text;
      made.addEventListener("click", action);
      buttons.append(made);
    };
    const check = () => {
      const prediction = given();
      if (prediction === null) {
        verdict.textContent = NEEDED;
        return;
      }
      const right = isRight(prediction, answer, Number(tolerance));
      task.dataset.verdict = right ? "right" : "other";
      verdict.textContent = right ? "Right. The answer below says why."
        : "Not what happens. Try it in the figure, predict again, or open the answer.";
      if (right) details.open = true;
    };
    button("Check", check);
    if (state) button("Try it in the figure", () => window.explorables.show(figure, state));
    task.querySelector("input[type=text]")?.addEventListener("keydown", (event) => { if (event.key === "Enter") check(); });
    task.insertBefore(buttons, details);
    task.insertBefore(verdict, details);
  }

  for (const tasks of document.querySelectorAll(".explorable-tasks")) {
    const figure = tasks.id.replace("tasks-", "");
    [...tasks.querySelectorAll(".explorable-task")].forEach((task, index) => upgrade(task, index + 1, figure));
  }

  window.explorables.tasks = { isRight };
})();
