// A file that is chosen, dropped or pasted is examined at once. Without this script the form works by its button.
const form = document.querySelector("form");
const input = document.querySelector("#file");
const button = form.querySelector("button");
const drop = document.querySelector(".drop");

function examine(files) {
  if (!files.length) return;
  if (files !== input.files) {
    const one = new DataTransfer();
    one.items.add(files[0]);
    input.files = one.files;
  }
  document.querySelector("#chosen").textContent = `${form.dataset.chosen} ${files[0].name}`;
  form.requestSubmit();
}

input.addEventListener("change", () => examine(input.files));
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  examine(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => examine(event.clipboardData.files));
form.addEventListener("submit", () => {
  document.querySelector("#wait").textContent = form.dataset.wait;
  button.disabled = true; // twice would wait twice
});
window.addEventListener("pageshow", () => {
  button.disabled = false;
});
document.querySelector("#result")?.focus();
