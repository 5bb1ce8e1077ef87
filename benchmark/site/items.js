/* Shows the items of one subset. */
(function () {
  "use strict";
  const tools = document.getElementById("item-filter");
  if (!tools) return;
  const choice = document.getElementById("item-subset");
  const count = document.getElementById("item-count");
  const items = Array.from(document.querySelectorAll("article.item"));

  function apply() {
    let shown = 0;
    for (const item of items) {
      item.hidden = choice.value !== "" && !item.dataset.subsets.split(" ").includes(choice.value);
      shown += item.hidden ? 0 : 1;
    }
    count.textContent = shown + " of " + items.length + " items";
  }

  tools.hidden = false;
  choice.addEventListener("change", apply);
  apply();
})();
