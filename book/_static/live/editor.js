// The editor of the live exercises: CodeMirror 6, as published, with Python and the colours of the page.
import {EditorState, StateEffect, StateField} from "../../live/vendor/editor/codemirror-state.js";
import {
  Decoration, EditorView, drawSelection, highlightActiveLine, highlightSpecialChars, keymap, lineNumbers,
} from "../../live/vendor/editor/codemirror-view.js";
import {
  bracketMatching, indentOnInput, indentUnit, syntaxHighlighting,
} from "../../live/vendor/editor/codemirror-language.js";
import {defaultKeymap, history, historyKeymap, indentWithTab} from "../../live/vendor/editor/codemirror-commands.js";
import {closeBrackets, closeBracketsKeymap} from "../../live/vendor/editor/codemirror-autocomplete.js";
import {python} from "../../live/vendor/editor/codemirror-lang-python.js";
import {classHighlighter} from "../../live/vendor/editor/lezer-highlight.js";

const setMark = StateEffect.define();
const mark = StateField.define({
  create: () => Decoration.none,
  update(marks, transaction) {
    for (const effect of transaction.effects) {
      if (effect.is(setMark)) return effect.value;
    }
    return transaction.docChanged ? Decoration.none : marks;
  },
  provide: (field) => EditorView.decorations.from(field),
});

const theme = EditorView.theme({
  "&": {color: "var(--pst-color-text-base)", backgroundColor: "var(--live-paper)", fontSize: "0.875em"},
  "&.cm-focused": {outline: "2px solid var(--pst-color-primary)"},
  ".cm-content": {caretColor: "var(--pst-color-text-base)", fontFamily: "var(--pst-font-family-monospace)"},
  ".cm-cursor": {borderLeftColor: "var(--pst-color-text-base)"},
  ".cm-gutters": {
    color: "var(--pst-color-text-muted)", backgroundColor: "transparent", border: "none",
    fontFamily: "var(--pst-font-family-monospace)",
  },
  ".cm-activeLine": {backgroundColor: "transparent"},
  "&.cm-focused .cm-activeLine": {backgroundColor: "color-mix(in srgb, currentColor 6%, transparent)"},
  "&.cm-focused .cm-matchingBracket": {backgroundColor: "color-mix(in srgb, currentColor 18%, transparent)"},
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    background: "color-mix(in srgb, var(--pst-color-primary) 30%, transparent)",
  },
});

// An editor inside `parent`. `label` names it for screen readers; `hint` is the id of how to leave it by keyboard.
export function create({parent, text, label, hint, oneLine, changed, keys}) {
  const state = EditorState.create({
    doc: text,
    extensions: [
      oneLine ? [] : [lineNumbers(), highlightActiveLine()],
      highlightSpecialChars(), history(), drawSelection(), indentOnInput(), bracketMatching(), closeBrackets(),
      keymap.of([
        ...keys.map(([key, run]) => ({key, preventDefault: true, run: () => (run(), true)})),
        ...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...(oneLine ? [] : [indentWithTab]),
      ]),
      python(), indentUnit.of("    "), syntaxHighlighting(classHighlighter), EditorView.lineWrapping, mark, theme,
      EditorView.contentAttributes.of({"aria-label": label, "aria-describedby": hint}),
      EditorView.updateListener.of((update) => { if (update.docChanged) changed(update.state.doc.toString()); }),
    ],
  });
  const view = new EditorView({state, parent});
  return {
    text: () => view.state.doc.toString(),
    write: (text) => view.dispatch({changes: {from: 0, to: view.state.doc.length, insert: text}}),
    focus: () => view.focus(),
    // Marks line `number` as the one that an error comes from; 0 takes the mark away.
    markLine(number) {
      const wanted = number >= 1 && number <= view.state.doc.lines;
      const line = wanted && Decoration.line({class: "live-error-line"}).range(view.state.doc.line(number).from);
      view.dispatch({effects: setMark.of(wanted ? Decoration.set([line]) : Decoration.none)});
    },
  };
}
