// Drop, paste and preview. Without this script the form still works: choose a file, press the button.
const form = document.querySelector("form");
const input = document.querySelector("#file");
const chosen = document.querySelector("#chosen");
const button = form.querySelector("button");
const drop = document.querySelector(".drop");
let address = null;

function show(file) {
  chosen.replaceChildren();
  if (address) URL.revokeObjectURL(address);
  address = null;
  if (!file) return;
  const name = document.createElement("p");
  name.textContent = `${form.dataset.chosen} ${file.name}`;
  chosen.append(name);
  if (!["image/jpeg", "image/png"].includes(file.type)) {
    name.textContent += `. ${form.dataset.noPreview}`;
    return;
  }
  address = URL.createObjectURL(file);
  const picture = document.createElement("img");
  picture.alt = file.name;
  picture.onerror = () => picture.remove();
  picture.src = address;
  chosen.append(picture);
}

function take(files) {
  if (!files.length) return;
  const one = new DataTransfer();
  one.items.add(files[0]);
  input.files = one.files;
  show(files[0]);
  button.focus();
}

input.addEventListener("change", () => show(input.files[0]));
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
  take(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => take(event.clipboardData.files));
form.addEventListener("submit", () => {
  document.querySelector("#wait").textContent = form.dataset.wait;
  button.disabled = true; // twice would wait twice
});
window.addEventListener("pageshow", () => {
  button.disabled = false;
});
document.querySelector("#result")?.focus();
