/* Asks, keeps the answers in this browser, and hands them over as a file. Nothing is sent. */
(function () {
  "use strict";
  const study = JSON.parse(document.getElementById("study").textContent);
  const PLACE = "mitds-study-" + study.study;
  const player = window.mitdsPlayers.get(document.querySelector(".player"));
  const fields = Array.from(document.querySelectorAll("fieldset"));
  const next = document.getElementById("next");
  const previous = document.getElementById("previous");
  let kept = restore();
  let shownAt = 0;

  function restore() {
    let found = null;
    try { found = JSON.parse(localStorage.getItem(PLACE)); } catch (error) { found = null; }
    if (found && typeof found.rater === "string" && Array.isArray(found.votes)) return found;
    return { rater: randomHex(8), start: randomBelow(study.pairs.length), at: 0, votes: [] };
  }

  /* Without storage (a private window) the votes live as long as the page. */
  function keep() { try { localStorage.setItem(PLACE, JSON.stringify(kept)); } catch (error) { return; } }

  function randomHex(bytes) {
    return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (b) => b.toString(16).padStart(2, "0")).join("");
  }

  function randomBelow(limit) { return crypto.getRandomValues(new Uint32Array(1))[0] % limit; }

  /* Every rater begins elsewhere in the round: no pair is always the last, and repeats stay apart. */
  function pairAt(n) { return study.pairs[(kept.start + n) % study.pairs.length]; }

  function voteOf(pair, question) { return kept.votes.find((v) => v.pair === pair.pair && v.question === question); }

  function complete(pair) { return fields.every((field, n) => voteOf(pair, n)); }

  function show() {
    const done = kept.at >= study.pairs.length;
    document.getElementById("ask").hidden = done;
    document.getElementById("done").hidden = !done;
    document.getElementById("progress").value = kept.at / study.pairs.length;
    document.getElementById("where").textContent = Math.min(kept.at + 1, study.pairs.length) + " of " + study.pairs.length;
    player.pause();
    if (done) return;
    load(pairAt(kept.at));
    press();
    shownAt = performance.now();
  }

  /* The page names the two candidates first; the reference, where there is one, stands above them. */
  function load(pair) {
    const [first, second, reference] = pair.videos;
    const sources = reference ? [reference, first, second] : [first, second];
    player.videos.forEach((video, n) => {
      video.src = sources[n];
      video.preload = "auto";
    });
    player.show(0);
  }

  function press() {
    const pair = pairAt(kept.at);
    fields.forEach((field, n) => {
      const vote = voteOf(pair, n);
      for (const button of field.querySelectorAll("button")) {
        button.setAttribute("aria-pressed", String(Boolean(vote) && vote.answer === button.dataset.answer));
      }
    });
    next.disabled = !complete(pair);
    previous.disabled = kept.at === 0;
  }

  function answer(question, value) {
    const pair = pairAt(kept.at);
    const seconds = Math.round((performance.now() - shownAt) / 10) / 100;
    kept.votes = kept.votes.filter((v) => v.pair !== pair.pair || v.question !== question);
    kept.votes.push({ pair: pair.pair, question: question, answer: value, seconds: seconds });
    keep();
    press();
  }

  function go(by) {
    kept.at = Math.max(0, kept.at + by);
    keep();
    show();
  }

  function save() {
    const ballot = { schema: "mitds.study-votes/1", study: study.study, rater: kept.rater, votes: kept.votes };
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(ballot)], { type: "application/json" }));
    link.download = "votes-" + kept.rater + ".json";
    link.click();
  }

  function key(event) {
    if (kept.at >= study.pairs.length || event.ctrlKey || event.metaKey || event.altKey) return;
    const chosen = { 1: "first", 0: "same", 2: "second" }[event.key];
    if (chosen) {
      const open = fields.findIndex((field, n) => !voteOf(pairAt(kept.at), n));
      answer(open < 0 ? fields.length - 1 : open, chosen);
    } else if (event.key === "Enter" && !next.disabled && !event.target.closest("button")) go(1);
  }

  fields.forEach((field, n) => {
    for (const button of field.querySelectorAll("button")) {
      button.addEventListener("click", () => answer(n, button.dataset.answer));
    }
  });
  next.addEventListener("click", () => go(1));
  previous.addEventListener("click", () => go(-1));
  document.getElementById("save").addEventListener("click", save);
  document.addEventListener("keydown", key);
  show();
})();
