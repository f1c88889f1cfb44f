// Questions in the text: predict, check, read why. The tasks below interactive figures are such questions too.
//
// The page holds each question with its choices and a folded answer. Here the choices become radio buttons (or a
// field for a number), and *Check* compares the prediction; a task's *Try it* sets its figure up.

(function () {
  "use strict";

  const NEEDED = "Predict first: choose an answer or write a number, as 0.5 or 1/2, then check it.";
  const SAID = {
    predict: { right: "Right. The answer below says why.", other: "Not so. The answer below says why." },
    task: {
      right: "Right. The answer below says why.",
      other: "Not what happens. Try it in the figure, predict again, or open the answer.",
    },
  };

  // A number as people write it: 0,5 and −2 and 1e-3 and 1/2 count; null where it is none.
  function asNumber(text) {
    const [above, below = 1, ...more] = text.replace(/\s*%\s*$/, "").split(/[/⁄]/).map(asDecimal);
    const value = above / below;
    return more.length || above === null || below === null || !Number.isFinite(value) ? null : value;
  }

  function asDecimal(text) {
    const plain = text.trim().replace("−", "-").replace(/^([^.]*),([^.]*)$/, "$1.$2");
    return plain !== "" && Number.isFinite(Number(plain)) ? Number(plain) : null;
  }

  function isRight(given, answer, tolerance) {
    const number = Number(answer);
    if (Number.isNaN(number)) return given === answer;
    const value = asNumber(given);
    return value !== null && Math.abs(value - number) <= tolerance + 1e-12;
  }

  // Radio buttons from the list of choices, in its place.
  function radios(name, list) {
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

  function numberField(question, name) {
    const label = document.createElement("label"), input = document.createElement("input");
    Object.assign(input, { type: "text", autocomplete: "off", id: name, size: 8 });
    label.htmlFor = name;
    label.textContent = "Your prediction, a number: ";
    const row = document.createElement("p");
    row.append(label, input);
    question.querySelector(".question-text").append(row);
    return () => asNumber(input.value) === null ? null : input.value;
  }

  function upgrade(question, index) {
    const { answer, tolerance, try: state } = question.dataset;
    const name = `question-${index}`, list = question.querySelector(".question-choices");
    const kind = question.classList.contains("question-task") ? "task" : "predict";
    const given = list ? radios(name, list) : numberField(question, name);
    const verdict = document.createElement("p"), buttons = document.createElement("p");
    verdict.className = "question-verdict";
    verdict.setAttribute("role", "status");
    buttons.className = "explorable-buttons";
    const details = question.querySelector("details");
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
      const found = isRight(prediction, answer, Number(tolerance)) ? "right" : "other";
      question.dataset.verdict = found;
      verdict.textContent = SAID[kind][found];
      details.open ||= found === "right" || kind === "predict";
    };
    button("Check", check);
    if (state) {
      const figure = question.closest(".explorable-tasks").id.replace("tasks-", "");
      button("Try it in the figure", () => window.explorables.show(figure, state));
    }
    question.querySelector("input[type=text]")?.addEventListener("keydown", (event) => { if (event.key === "Enter") check(); });
    question.insertBefore(buttons, details);
    question.insertBefore(verdict, details);
  }

  [...document.querySelectorAll(".question")].forEach((question, index) => upgrade(question, index + 1));

  window.questions = { isRight };
})();
