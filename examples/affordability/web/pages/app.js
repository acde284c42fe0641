// Sliders say their value while they move; the print button prints. Everything works without this file.
"use strict";
const say = { percent: v => (v / 100).toFixed(2) + "%", years: v => v + " years" };
for (const input of document.querySelectorAll("input[type=range]")) {
  const output = document.querySelector(`output[for=${input.id}]`);
  input.addEventListener("input", () => { output.textContent = say[input.dataset.unit](input.value); });
}
for (const form of document.querySelectorAll("form[data-live]")) {
  form.addEventListener("change", event => { if (event.target.type === "range") form.requestSubmit(form.querySelector("button.main")); });
}
document.querySelector("[data-print]")?.addEventListener("click", () => window.print());
