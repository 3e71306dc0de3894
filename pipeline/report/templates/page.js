"use strict";
const byId = (id) => document.getElementById(id);

const slider = byId("step");
if (slider) {
  const frames = [...document.querySelectorAll("#frames figure")];
  const show = () => {
    frames.forEach((frame, i) => { frame.hidden = i !== Number(slider.value); });
    slider.setAttribute("aria-valuetext", "step " + frames[slider.value].dataset.step);
  };
  slider.addEventListener("input", show);
  show();  // a browser may restore the slider, but not the picture
}

const viewer = byId("viewer");
const tiles = [...document.querySelectorAll("button.zoom")];
let at = 0;

function turn(to) {
  at = (to + tiles.length) % tiles.length;
  const image = tiles[at].querySelector("img");
  byId("viewer-image").src = image.src;
  byId("viewer-image").alt = image.alt;
  byId("viewer-text").textContent = image.alt;
}

tiles.forEach((tile, i) => tile.addEventListener("click", () => { turn(i); viewer.showModal(); }));
byId("viewer-back").addEventListener("click", () => turn(at - 1));
byId("viewer-next").addEventListener("click", () => turn(at + 1));
byId("viewer-close").addEventListener("click", () => viewer.close());
viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
viewer.addEventListener("close", () => tiles[at].focus());
viewer.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") turn(at - 1);
  if (event.key === "ArrowRight") turn(at + 1);
});
